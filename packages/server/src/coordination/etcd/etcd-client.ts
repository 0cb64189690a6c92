import { setMaxListeners } from 'node:events';
import { StoreError } from '../../api/index.js';
import type { Clock } from '../../platform/index.js';
import type { MetaCallOptions } from '../meta-store.js';
import { type EtcdCallOptions, EtcdEndpoint, type EtcdOptions, endedBy } from './etcd-endpoint.js';
import { errorOf, isTooLarge, wantsNewSignIn, wasNotSent } from './etcd-errors.js';

/**
 * One try, at one member. The first is short, since a member goes on waiting for a leader that has died; later ones leave
 * etcd more time, should it only be slow.
 */
const ATTEMPT_MS_MIN = 1000;
const ATTEMPT_MS_MAX = 4000;
const CALL_TIMEOUT_MS = 15_000;
const RETRY_MS = 50;
/** For what is worth telling etcd when everything else has ended. */
const LAST_CALLS_MS = 1000;

/** One try of a call. */
export interface Attempt {
  readonly etcd: EtcdEndpoint['etcd'];
  readonly options: EtcdCallOptions;
}

/** How long a caller waits, over all the calls that its answer needs. */
export interface Patience {
  readonly signal: AbortSignal | undefined;
  /** Monotonic. */
  readonly endMs: number;
  /** The error when it ends. */
  readonly exceededCode: 'DeadlineExceeded' | 'ServiceUnavailable';
}

/** `repeatable`: a second execution changes nothing, or does no harm. `once`: it is sent again only when it did not leave. */
export type CallKind = 'repeatable' | 'once';

/**
 * The calls of etcd, each within the patience of its caller. All go to one member, while it answers; when it does not, the next
 * one is asked, and stays the one.
 */
export class EtcdClient {
  readonly clock: Clock;
  readonly #prefix: string;
  readonly #callTimeoutMs: number;
  readonly #endpoints: readonly EtcdEndpoint[];
  readonly #closed = new AbortController();
  #currentIndex: number;

  /** @param startFraction Of [0, 1), which member is asked first. */
  constructor({ prefix, callTimeoutMs, endpoints, ...options }: EtcdOptions, startFraction: number) {
    if (endpoints.length === 0)
      throw new StoreError('InvalidArgument', 'No endpoint of etcd is given. Name one at least.');
    this.clock = options.clock;
    this.#prefix = prefix;
    this.#callTimeoutMs = callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.#endpoints = endpoints.map((url) => new EtcdEndpoint(url, options));
    this.#currentIndex = Math.floor(startFraction * endpoints.length);
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** The member that is asked now. */
  get endpoint(): EtcdEndpoint {
    return this.#endpoints[this.#currentIndex]!;
  }

  keyOf(name: string): Buffer {
    return Buffer.from(this.#prefix + name);
  }

  nameOf(key: Buffer): string {
    return key.toString('utf8').slice(this.#prefix.length);
  }

  /** All keys that begin with `prefix`, as the half-open range that etcd wants, without the store's own, see `ownKeyOf`. */
  rangeOf(prefix: string): { readonly key: Buffer; readonly range_end: Buffer } {
    const key = prefix === '' ? this.keyOf('\x01') : this.keyOf(prefix);
    const end = this.keyOf(prefix);
    for (let length = end.length; length > 0; length--) {
      if (end[length - 1] === 0xff) continue;
      end[length - 1]! += 1;
      return { key, range_end: end.subarray(0, length) };
    }
    return { key, range_end: Buffer.of(0) };
  }

  /** A key of this implementation, which no caller sees. */
  ownKeyOf(name: string): Buffer {
    return this.keyOf(`\0${name}`);
  }

  patience({ signal, deadlineMs }: MetaCallOptions): Patience {
    return {
      signal,
      endMs: this.clock.monotonicMs() + (deadlineMs ?? this.#callTimeoutMs),
      exceededCode: deadlineMs === undefined ? 'ServiceUnavailable' : 'DeadlineExceeded'
    };
  }

  /**
   * @throws StoreError `Cancelled`, `DeadlineExceeded` and `ServiceUnavailable`, after which what was called may yet be carried
   *         out; else what etcd itself answers, see `errorOf`.
   */
  async call<Answer>(
    kind: CallKind,
    patience: Patience,
    run: (attempt: Attempt) => Promise<Answer>
  ): Promise<Answer> {
    for (let attemptMs = ATTEMPT_MS_MIN; ; attemptMs = Math.min(2 * attemptMs, ATTEMPT_MS_MAX)) {
      this.#requirePatience(patience, undefined);
      const endpoint = this.endpoint;
      try {
        const leftMs = patience.endMs - this.clock.monotonicMs();
        const timeoutMs = kind === 'once' ? leftMs : Math.min(attemptMs, leftMs);
        return await this.attempt(endpoint, { timeoutMs, signals: [patience.signal, this.closed] }, run);
      } catch (cause) {
        this.#requirePatience(patience, cause);
        const error = errorOf(cause);
        if (error.code !== 'ServiceUnavailable' || isTooLarge(cause)) throw error;
        this.distrust(endpoint);
        if (wantsNewSignIn(cause)) endpoint.renew();
        else if (kind === 'once' && !wasNotSent(cause)) throw error;
      }
      await this.clock.sleep(RETRY_MS, this.closed).catch(() => undefined);
    }
  }

  /** One try at one member, which ends when the time is over or a signal aborts. */
  async attempt<Answer>(
    { etcd }: EtcdEndpoint,
    {
      timeoutMs,
      signals
    }: { readonly timeoutMs: number; readonly signals: readonly (AbortSignal | undefined)[] },
    run: (attempt: Attempt) => Promise<Answer>
  ): Promise<Answer> {
    const end = new AbortController();
    const abort = (): void => end.abort(givenUp());
    if (signals.some((signal) => signal?.aborted)) throw givenUp();
    const timer = this.clock.setTimer(Math.max(0, timeoutMs), () =>
      end.abort(new StoreError('ServiceUnavailable', 'etcd did not answer in time. Check its members.'))
    );
    for (const signal of signals) {
      if (!signal) continue;
      // Shared by all calls that are under way, of which there may be many.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', abort, { once: true });
    }
    try {
      return await new Promise((resolve, reject) => {
        end.signal.addEventListener('abort', () => reject(end.signal.reason), { once: true });
        run({ etcd, options: endedBy(end.signal) }).then(resolve, reject);
      });
    } finally {
      timer[Symbol.dispose]();
      for (const signal of signals) signal?.removeEventListener('abort', abort);
    }
  }

  /** The member did not answer: others are asked from now on. */
  distrust(endpoint: EtcdEndpoint): void {
    if (this.endpoint === endpoint) this.#currentIndex = (this.#currentIndex + 1) % this.#endpoints.length;
  }

  /** Ends all calls; then makes the last ones, as far as etcd answers them soon. */
  async close(lastCalls: readonly ((attempt: Attempt) => Promise<unknown>)[]): Promise<void> {
    if (this.closed.aborted) return;
    this.#closed.abort(closedError());
    await Promise.all(
      lastCalls.map((run) =>
        this.attempt(this.endpoint, { timeoutMs: LAST_CALLS_MS, signals: [] }, run).catch(() => undefined)
      )
    );
    for (const endpoint of this.#endpoints) endpoint.close();
  }

  #requirePatience({ signal, endMs, exceededCode }: Patience, cause: unknown): void {
    if (this.closed.aborted) throw closedError();
    if (signal?.aborted)
      throw new StoreError('Cancelled', 'The caller gave the metadata call up.', { cause: signal.reason });
    if (this.clock.monotonicMs() < endMs) return;
    const reason = cause === undefined ? '' : ` (${errorOf(cause).message})`;
    throw new StoreError(exceededCode, `etcd did not answer in time${reason}. Check its members.`, { cause });
  }
}

function givenUp(): StoreError {
  return new StoreError('ServiceUnavailable', 'The call of etcd was given up.');
}

function closedError(): StoreError {
  return new StoreError('ServiceUnavailable', 'The meta store was closed. Open it again.');
}
