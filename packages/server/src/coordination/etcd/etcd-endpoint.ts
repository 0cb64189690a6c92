import { Etcd3 } from 'etcd3';
import type { Clock } from '../../platform/index.js';

export interface EtcdOptions {
  /** As `http://10.0.0.1:2379`; any member of the etcd cluster, better all. */
  readonly endpoints: readonly string[];
  /** All keys of the stamp begin with it. */
  readonly prefix: string;
  readonly auth?: { readonly username: string; readonly password: string } | undefined;
  /** PEM texts. Absent: what the machine trusts, for `https`. */
  readonly tls?:
    | { readonly ca: string; readonly cert?: string | undefined; readonly key?: string | undefined }
    | undefined;
  readonly clock: Clock;
  /** How long a call that names no deadline may take; 15 s unless given. */
  readonly callTimeoutMs?: number | undefined;
}

/** Options of one call: it ends when the signal aborts. */
export type EtcdCallOptions = { readonly interceptors: never };

/** Larger answers are refused; a page of a range is then made smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const AUTHENTICATION_MS_MAX = 3000;

/**
 * The library's client of one member of etcd. One for each member, since the library itself picks any of them for each call,
 * also one that does not answer.
 */
export class EtcdEndpoint {
  readonly url: string;
  readonly #options: Omit<EtcdOptions, 'endpoints' | 'prefix'>;
  #etcd: Etcd3;

  constructor(url: string, options: Omit<EtcdOptions, 'endpoints' | 'prefix'>) {
    this.url = url;
    this.#options = options;
    this.#etcd = this.#open();
  }

  get etcd(): Etcd3 {
    return this.#etcd;
  }

  /** Signs in anew with the next call, as etcd wants it after its users or roles were changed. */
  renew(): void {
    this.#etcd.close();
    this.#etcd = this.#open();
  }

  close(): void {
    this.#etcd.close();
  }

  #open(): Etcd3 {
    const { auth, tls, clock } = this.#options;
    const signIn = (): EtcdCallOptions => {
      const patience = new AbortController();
      clock.setTimer(AUTHENTICATION_MS_MAX, () => patience.abort());
      return endedBy(patience.signal);
    };
    return new Etcd3({
      hosts: [this.url],
      ...(auth && { auth: { ...auth, callOptions: signIn } }),
      ...(tls && {
        credentials: {
          rootCertificate: Buffer.from(tls.ca),
          ...(tls.cert !== undefined && { certChain: Buffer.from(tls.cert) }),
          ...(tls.key !== undefined && { privateKey: Buffer.from(tls.key) })
        }
      }),
      // Its own tries know nothing of deadlines, and its circuit breaker stays open when etcd is back.
      faultHandling: { global: noPolicy(), host: () => noPolicy() },
      grpcOptions: {
        'grpc.keepalive_time_ms': 10_000,
        'grpc.keepalive_timeout_ms': 5000,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 1000,
        'grpc.max_receive_message_length': ANSWER_BYTES_MAX
      }
    });
  }
}

/**
 * Ends a call on a signal. Deadlines of gRPC would be instants of the wall clock, which may jump between the moment they are
 * computed and the moment they are looked at.
 */
export function endedBy(signal: AbortSignal): EtcdCallOptions {
  const interceptor = (
    options: object,
    next: (options: object) => { cancelWithStatus(code: number, text: string): void }
  ) => {
    const call = next(options);
    signal.addEventListener('abort', () => call.cancelWithStatus(CANCELLED, 'given up'), { once: true });
    return call;
  };
  return { interceptors: [interceptor] as never };
}

/** Of gRPC. */
const CANCELLED = 1;

interface NoPolicy {
  execute<Answer>(run: () => Answer): Promise<Answer>;
}

/** For a library that wants a policy for its failures. */
function noPolicy(): never {
  const policy: NoPolicy = { execute: async (run) => await run() };
  return policy as never;
}
