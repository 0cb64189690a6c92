import { Etcd3 } from 'etcd3';
import { StoreError } from '../../api/index.js';
import type { Clock } from '../../platform/index.js';
import type { MetaCallOptions } from '../meta-store.js';
import { errorOf, wasNotSent } from './etcd-errors.js';

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
}

/** One try, at one member: enough for an election among the members of etcd. */
const ATTEMPT_MS = 3000;
const DEADLINE_MS_DEFAULT = 15_000;
const RETRY_MS = 50;

interface Attempt {
  readonly deadline: Date;
}

/** Whether a call that failed without an answer may have been carried out. */
export type CallKind = 'read' | 'write';

/**
 * The calls of etcd, each with a deadline. A read is tried again at another member while there is time; a write only when it
 * certainly did not leave.
 */
export class EtcdClient {
  readonly etcd: Etcd3;
  readonly clock: Clock;
  readonly #prefix: string;
  readonly #closed = new AbortController();

  constructor({ endpoints, prefix, auth, tls, clock }: EtcdOptions) {
    this.clock = clock;
    this.#prefix = prefix;
    this.etcd = new Etcd3({
      hosts: [...endpoints],
      ...(auth && { auth: { ...auth, callOptions: () => ({ deadline: this.#deadline(ATTEMPT_MS) }) } }),
      ...(tls && {
        credentials: {
          rootCertificate: Buffer.from(tls.ca),
          ...(tls.cert !== undefined && { certChain: Buffer.from(tls.cert) }),
          ...(tls.key !== undefined && { privateKey: Buffer.from(tls.key) })
        }
      }),
      // Its own tries would repeat writes whose outcome is unknown.
      faultHandling: { global: noPolicy(), host: () => noPolicy() },
      grpcOptions: {
        'grpc.keepalive_time_ms': 10_000,
        'grpc.keepalive_timeout_ms': 5000,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 1000
      }
    });
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  keyOf(name: string): Buffer {
    return Buffer.from(this.#prefix + name);
  }

  nameOf(key: Buffer): string {
    return key.toString('utf8').slice(this.#prefix.length);
  }

  /** The end of the range of all keys that begin with `prefix`. */
  endOf(prefix: string): Buffer {
    const end = this.keyOf(prefix);
    for (let length = end.length; length > 0; length--) {
      if (end[length - 1] === 0xff) continue;
      end[length - 1]! += 1;
      return end.subarray(0, length);
    }
    return Buffer.of(0);
  }

  /**
   * @throws StoreError `Cancelled`, `DeadlineExceeded`, `ServiceUnavailable` (of a write: it may have been carried out), and
   *         what etcd itself answers, see `errorOf`.
   */
  async call<Answer>(
    kind: CallKind,
    options: MetaCallOptions,
    run: (attempt: Attempt) => Promise<Answer>
  ): Promise<Answer> {
    const { signal, deadlineMs = DEADLINE_MS_DEFAULT } = options;
    const endMs = this.clock.monotonicMs() + deadlineMs;
    for (;;) {
      if (this.closed.aborted) throw closedError();
      if (signal?.aborted) throw cancelled(signal);
      const leftMs = endMs - this.clock.monotonicMs();
      try {
        const attemptMs = Math.max(1, Math.min(ATTEMPT_MS, leftMs));
        return await this.#until(signal, run({ deadline: this.#deadline(attemptMs) }));
      } catch (cause) {
        const error = errorOf(cause);
        const mayRepeat = error.code === 'ServiceUnavailable' && (kind === 'read' || wasNotSent(cause));
        if (!mayRepeat || this.closed.aborted || signal?.aborted) throw error;
        if (this.clock.monotonicMs() + RETRY_MS >= endMs)
          throw options.deadlineMs === undefined ? error : exceeded(error);
      }
      await this.clock.sleep(RETRY_MS, this.closed).catch(() => undefined);
    }
  }

  close(): void {
    if (this.closed.aborted) return;
    this.#closed.abort(closedError());
    this.etcd.close();
  }

  #deadline(durationMs: number): Date {
    return new Date(this.clock.nowMs() + durationMs);
  }

  /** The answer, or the end of the caller's patience. */
  #until<Answer>(signal: AbortSignal | undefined, answer: Promise<Answer>): Promise<Answer> {
    const ended = signal ? AbortSignal.any([signal, this.closed]) : this.closed;
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal?.aborted ? cancelled(signal) : closedError());
      if (ended.aborted) return abort();
      ended.addEventListener('abort', abort, { once: true });
      answer.then(resolve, reject).finally(() => ended.removeEventListener('abort', abort));
    });
  }
}

function closedError(): StoreError {
  return new StoreError('ServiceUnavailable', 'The meta store was closed. Open it again.');
}

function cancelled(signal: AbortSignal): StoreError {
  return new StoreError('Cancelled', 'The caller gave the metadata call up.', { cause: signal.reason });
}

function exceeded(cause: StoreError): StoreError {
  return new StoreError('DeadlineExceeded', 'etcd did not answer in time. Check its members.', { cause });
}

interface NoPolicy {
  execute<Answer>(run: () => Answer): Promise<Answer>;
}

/** For a library that wants a policy for its failures. */
function noPolicy(): never {
  const policy: NoPolicy = { execute: async (run) => await run() };
  return policy as never;
}
