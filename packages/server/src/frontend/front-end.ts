import type { Logger } from 'pino';
import {
  type CallOptions,
  KEEPALIVE_TIMEOUT_MS,
  LIMITS,
  type StampStatus,
  type StoreCalls
} from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import type { PartitionLayer } from '../partition/index.js';
import {
  type Clock,
  type Listener,
  MetricRegistry,
  type Network,
  type Random,
  type ServerTls
} from '../platform/index.js';
import { AccessKeys, type Credentials } from './access-keys.js';
import { Authenticator } from './authenticator.js';
import { BytesInFlight } from './bytes-in-flight.js';
import { Dispatcher } from './dispatcher.js';
import { FramedServer } from './framed-server.js';
import { explainClientErrors } from './http-answers.js';
import { inProcessCalls } from './in-process-calls.js';
import { Metrics } from './metrics.js';
import type { Membership } from './procedure.js';
import { TrpcHttp } from './trpc-http.js';
import { TrpcWebSocket } from './trpc-websocket.js';
import { WebRoutes } from './web-routes.js';

export interface FrontEndOptions {
  /** Stays the caller's, as do the meta store and everything else given here. */
  readonly layer: PartitionLayer;
  /** Where the access keys are. */
  readonly meta: MetaStore;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The key that may do everything. */
  readonly root: Credentials;
  readonly status: (options: CallOptions) => Promise<StampStatus>;
  readonly membership: Membership;
  /** For load balancers: whether calls are worth sending. */
  readonly isReady: () => boolean;
  /** Of the process, to which those of calls are added. Default: one of its own. */
  readonly metrics?: MetricRegistry | undefined;
  /** Absent = only calls in the process. */
  readonly listen?: ListenAddress | undefined;
}

export interface ListenAddress {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Absent = plain HTTP. */
  readonly tls?: ServerTls | undefined;
}

export interface FrontEnd {
  /** The calls in this process, as the root key. */
  readonly calls: StoreCalls;
  /** Where clients connect, as `http://127.0.0.1:7070`; absent when it does not listen. */
  readonly endpoint?: string | undefined;
  /** Refuses new calls, lets those in flight end for `graceMs` (default 0), then aborts them and cuts all connections. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Limits of HTTP: none of them is what a proper client meets. */
const HTTP_LIMITS = {
  // Inputs of queries travel in the address.
  maxHeaderSize: 64 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 2 * LIMITS.callDeadlineMsDefault,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 5000,
  keepAlive: true,
  noDelay: true
};
/** Each holds some memory even when it is idle. */
const CONNECTION_COUNT_MAX = 4096;
/** Time for answers to leave at the end, even when calls get none. */
const FLUSH_MS = 1000;

/**
 * Opens the door of a stamp: every call, from whatever transport, is checked, authorised and handed to the partition
 * layer here.
 *
 * @throws StoreError `InvalidArgument` when the address cannot be listened on.
 */
export async function openFrontEnd(options: FrontEndOptions): Promise<FrontEnd> {
  const { layer, meta, clock, random, root, status, membership, logger } = options;
  const keys = await AccessKeys.open({ meta, clock, random, root, logger });
  const metrics = new Metrics(options.metrics ?? new MetricRegistry());
  const dispatcher = new Dispatcher({
    services: { layer, keys, status, membership },
    clock,
    random,
    logger,
    metrics
  });
  const calls = inProcessCalls(dispatcher, keys.root);
  let door: Door | undefined;
  try {
    door = await openDoor(options, { keys, dispatcher, metrics });
  } catch (error) {
    await keys.close();
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = async (graceMs: number): Promise<void> => {
    await dispatcher.close(graceMs);
    await door?.close();
    await keys.close();
  };
  return {
    calls,
    endpoint: door?.endpoint,
    close: ({ graceMs = 0 } = {}) => {
      closing ??= close(graceMs);
      return closing;
    }
  };
}

interface Inside {
  readonly keys: AccessKeys;
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
}

/** What listens. */
interface Door {
  readonly endpoint: string;
  /** Once no call is in flight any more. */
  close(): Promise<void>;
}

async function openDoor(options: FrontEndOptions, inside: Inside): Promise<Door | undefined> {
  const { listen, network, clock, isReady, logger } = options;
  if (!listen) return undefined;
  const bytesInFlight = new BytesInFlight(LIMITS.frontEndBytesInFlightMax);
  const authenticator = new Authenticator(inside.keys, clock);
  const shared = { ...inside, authenticator, bytesInFlight, clock, logger };
  const framed = new FramedServer(shared);
  const trpcWebSocket = new TrpcWebSocket(shared);
  const routes = new WebRoutes({
    trpcHttp: new TrpcHttp(shared),
    trpcWebSocket,
    framed,
    metrics: inside.metrics,
    clock,
    logger,
    isReady
  });
  const listener = await network.listen({
    ...listen,
    http: HTTP_LIMITS,
    unsentMsMax: KEEPALIVE_TIMEOUT_MS,
    onRequest: (request, response) => routes.serve(request, response),
    onUpgrade: (request, socket, head) => routes.upgrade(request, socket, head)
  });
  listener.server.maxConnections = CONNECTION_COUNT_MAX;
  explainClientErrors(listener.server, { clock, headerBytesMax: HTTP_LIMITS.maxHeaderSize });
  return {
    endpoint: endpointOf(listener),
    async close() {
      trpcWebSocket.close();
      await framed.close(FLUSH_MS);
      await listener.close({ graceMs: FLUSH_MS });
    }
  };
}

function endpointOf({ host, port, isEncrypted }: Listener): string {
  const scheme = isEncrypted ? 'https' : 'http';
  // Who listens on every address is reached on this one from here.
  if (host === '0.0.0.0' || host === '::') return `${scheme}://127.0.0.1:${port}`;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
