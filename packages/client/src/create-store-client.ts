import type { StoreError } from '@stampede/server/api';
import type { StoreClient } from './object-client.js';
import { clientOver, type StoreClientOptions } from './store-client.js';
import { FramedTransport } from './transport/framed-transport.js';
import type { Connect, TlsOptions } from './transport/socket-seam.js';
import { invokerOverTransport } from './transport-seam.js';

/** Where a store is, and who asks. */
export interface ConnectionOptions {
  /** `http://HOST:7070`, or `https://HOST` with TLS. */
  readonly endpoint: string;
  readonly accessKey: string;
  /** Signs tokens; never leaves the process. */
  readonly secretKey: string;
  readonly tls?: TlsOptions;
  /** How a connection is made. Default: over the machine's network. */
  readonly connect?: Connect;
}

/** A store that was never there is more likely a wrong endpoint than one that comes back. */
const REACH_TIMEOUT_MS = 3000;

export interface CreateStoreClientOptions extends ConnectionOptions, StoreClientOptions {
  /**
   * How long calls are repeated while the store was never reached; afterwards they fail at once with
   * `ServiceUnavailable`. After the first connection only their deadlines count. Default 3 s.
   */
  readonly reachTimeoutMs?: number;
}

/**
 * A store over the network. It connects when the first call is made, and again after a connection was lost; calls are
 * then repeated as the table of errors advises, within their deadlines. Close it, or it keeps the process running.
 *
 * @throws StoreError `InvalidArgument` for an endpoint or credentials that cannot be right.
 */
export function createStoreClient(options: CreateStoreClientOptions): StoreClient {
  const { endpoint, accessKey, secretKey, tls, connect, reachTimeoutMs = REACH_TIMEOUT_MS } = options;
  const transport = new FramedTransport({
    endpoint,
    accessKey,
    secretKey,
    ...(tls && { tls }),
    ...(connect && { connect }),
    ...(options.clock && { clock: options.clock })
  });
  const isFinal = ({ code }: StoreError, pauseMs: number) => {
    const { unreachedMs } = transport;
    return (
      code === 'ServiceUnavailable' && unreachedMs !== undefined && unreachedMs + pauseMs > reachTimeoutMs
    );
  };
  const clientOptions = { ...options, retry: { isFinal, ...options.retry } };
  return clientOver(invokerOverTransport(transport), clientOptions, () => transport.close());
}
