import type { Logger } from 'pino';
import { ERROR_CODES, type ErrorCode, LIMITS, StoreError } from '../api/index.js';
import type { Clock, Random } from '../platform/index.js';
import { authorise } from './authorise.js';
import { CallScope } from './call-scope.js';
import { Deadlines } from './deadlines.js';
import { faultOf } from './fault.js';
import type { Metrics } from './metrics.js';
import type { Principal } from './principal.js';
import type { Procedure, Services, Subscription } from './procedure.js';
import { LOCK_PATH, pathOf, WATCH_PATH } from './procedures.js';
import { publicErrorOf } from './public-error.js';

export interface DispatcherOptions {
  readonly services: Services;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface Caller {
  readonly principal: Principal;
  /** For the log. */
  readonly transport: 'in-process' | 'framed' | 'http' | 'websocket';
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs?: number | undefined;
}

export interface RunningOptions {
  /** Answer at the abort of the call, and do not wait for the procedure. */
  readonly raced?: boolean;
  /** Gets what aborts the call: cheaper than a signal of the caller. */
  readonly onBegin?: (abort: (reason: StoreError) => void) => void;
  /** The procedure has ended, or was never started: bytes of the input are free. Called once. */
  readonly onEnd?: () => void;
}

interface Running {
  readonly path: string;
  readonly caller: Caller;
  readonly startedMs: number;
  readonly scope: CallScope;
}

/** How long a call may take to notice that it was aborted, at the end. */
const ABORT_MS_MAX = 10_000;

/** Where every call of every transport is parsed, authorised, timed, run, counted and logged, in the same way. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #running = new Set<Running>();
  readonly #deadlines: Deadlines;
  readonly #requestIdPrefix: string;
  #requestCount = 0;
  #isClosing = false;
  #onIdle: (() => void) | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(options.clock);
    this.#requestIdPrefix = options.random.uuid().slice(0, 8);
  }

  get callsInFlight(): number {
    return this.#running.size;
  }

  /**
   * Makes one call. The answer comes when the procedure has ended, even if it was aborted, so that bytes of the input
   * are free on return; `raced` lets it come at the abort, and `onEnd` then tells when the procedure has ended.
   *
   * @throws StoreError with a public code.
   */
  async call<Output>(
    procedure: Procedure<Output>,
    rawInput: unknown,
    caller: Caller,
    options: RunningOptions = {}
  ): Promise<Output> {
    const running = this.#begin(pathOf(procedure), caller, options);
    const { scope } = running;
    let ending: Promise<unknown> | undefined;
    try {
      const { buckets, run } = procedure.parse(rawInput);
      authorise(caller.principal, { access: procedure.access, buckets });
      if (scope.signal.aborted) throw scope.signal.reason;
      const output = run(this.#options.services, {
        signal: scope.signal,
        deadlineMs: deadlineOf(caller),
        principal: caller.principal
      });
      if (options.raced) ending = output;
      const answer = await (options.raced ? scope.race(output) : output);
      this.#succeeded(running, rawInput, answer);
      return answer;
    } catch (thrown) {
      throw this.#failed(running, thrown, rawInput);
    } finally {
      this.#end(running, ending, options.onEnd);
    }
  }

  /** Makes a subscription; it has no deadline and ends with the caller's signal. */
  async *subscribe<Event>(
    subscription: Subscription<Event>,
    rawInput: unknown,
    caller: Caller & { readonly signal: AbortSignal }
  ): AsyncGenerator<Event, void, undefined> {
    const running = this.#begin(WATCH_PATH, { ...caller, deadlineMs: Number.POSITIVE_INFINITY });
    const { signal } = running.scope;
    let thrown: unknown;
    try {
      const { buckets, run } = subscription.parse(rawInput);
      authorise(caller.principal, { access: subscription.access, buckets });
      yield* run(this.#options.services, { signal });
      if (signal.aborted && !caller.signal.aborted) throw signal.reason;
    } catch (error) {
      thrown = error;
      if (!caller.signal.aborted) throw this.#failed(running, error, rawInput);
    } finally {
      if (!thrown || caller.signal.aborted) this.#succeeded(running, rawInput, undefined);
      this.#end(running);
    }
  }

  /**
   * Refuses new calls, waits `graceMs` for those in flight, aborts the rest and waits for them. A call that does not
   * end even then is left behind.
   */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    if (this.#running.size > 0) await this.#idle(graceMs);
    this.#deadlines[Symbol.dispose]();
  }

  async #idle(graceMs: number): Promise<void> {
    const { clock, logger } = this.#options;
    const reason = new StoreError(
      'ServiceUnavailable',
      'The store was stopped during the call. Try again when it is back.'
    );
    // What ends only when somebody else does something is not waited for.
    for (const { path, scope } of this.#running)
      if (path === WATCH_PATH || path === LOCK_PATH) scope.abort(reason);
    const abortTimer = clock.setTimer(graceMs, () => {
      for (const { scope } of this.#running) scope.abort(reason);
    });
    await new Promise<void>((resolve) => {
      const giveUpTimer = clock.setTimer(graceMs + ABORT_MS_MAX, () => {
        logger.warn({ procedures: [...this.#running].map(({ path }) => path) }, 'Calls do not end.');
        resolve();
      });
      this.#onIdle = () => {
        giveUpTimer[Symbol.dispose]();
        resolve();
      };
    });
    abortTimer[Symbol.dispose]();
  }

  #begin(path: string, caller: Caller, { onBegin, onEnd }: RunningOptions = {}): Running {
    if (this.#isClosing) {
      onEnd?.();
      throw new StoreError('SlowDown', 'The store is being stopped. Try again when it is back.');
    }
    const { clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    const { signal } = caller;
    const scope = new CallScope({
      deadlines: this.#deadlines,
      startedMs,
      deadlineMs: deadlineOf(caller),
      signal
    });
    const running = { path, caller, startedMs, scope };
    this.#running.add(running);
    metrics.callStarted();
    onBegin?.((reason) => scope.abort(reason));
    return running;
  }

  /** A call whose answer did not wait for its end counts as running until then. */
  #end(running: Running, ending?: Promise<unknown>, onEnd?: () => void): void {
    const end = (): void => {
      running.scope[Symbol.dispose]();
      this.#running.delete(running);
      if (this.#running.size === 0) this.#onIdle?.();
      onEnd?.();
    };
    if (ending) ending.then(end, end);
    else end();
  }

  #succeeded(running: Running, input: unknown, answer: unknown): void {
    const { path, startedMs, caller } = running;
    const { clock, logger, metrics } = this.#options;
    const durationMs = clock.monotonicMs() - startedMs;
    metrics.callEnded(path, {
      code: 'ok',
      durationMs,
      bytesIn: bodyBytesOf(input),
      bytesOut: bodyBytesOf(answer)
    });
    if (logger.isLevelEnabled('debug'))
      logger.debug(this.#line(this.#nextRequestId(), path, caller, { durationMs }), 'call');
  }

  #failed(running: Running, thrown: unknown, input: unknown): StoreError {
    const { path, startedMs, caller, scope } = running;
    const { clock, logger, metrics } = this.#options;
    const durationMs = clock.monotonicMs() - startedMs;
    const requestId = this.#nextRequestId();
    const known = publicErrorOf(thrown, { signal: scope.signal });
    const isFault = known.code === 'InternalError' || known.code === 'ChecksumMismatch';
    const error =
      known.code === 'InternalError'
        ? new StoreError('InternalError', `${known.message} Request ${requestId}.`, { cause: known.cause })
        : known;
    metrics.callEnded(path, { code: error.code, durationMs, bytesIn: bodyBytesOf(input), bytesOut: 0 });
    const level = isFault ? 'error' : levelOf(error.code);
    if (logger.isLevelEnabled(level)) {
      const line = this.#line(requestId, path, caller, { code: error.code, durationMs });
      logger[level](isFault ? { ...line, err: faultOf(error.cause ?? error) } : line, error.message);
    }
    return error;
  }

  #line(
    requestId: string,
    procedure: string,
    { principal, transport }: Caller,
    more: { readonly code?: string; readonly durationMs: number }
  ): object {
    return { requestId, procedure, transport, accessKey: principal.accessKey, ...more };
  }

  #nextRequestId(): string {
    this.#requestCount += 1;
    return `${this.#requestIdPrefix}-${this.#requestCount}`;
  }
}

/** What programs ask in order to learn it. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  'NoSuchBucket',
  'NoSuchKey',
  'NoSuchUpload',
  'BucketAlreadyExists',
  'PreconditionFailed',
  'Cancelled'
]);

function levelOf(code: ErrorCode): 'debug' | 'info' | 'warn' {
  if (EXPECTED.has(code)) return 'debug';
  return ERROR_CODES[code].retry === 'later' || code === 'NoSpace' ? 'warn' : 'info';
}

function deadlineOf({ deadlineMs = LIMITS.callDeadlineMsDefault }: Caller): number {
  if (deadlineMs === Number.POSITIVE_INFINITY) return deadlineMs;
  return Math.min(deadlineMs, LIMITS.callDeadlineMsMax);
}

export function bodyBytesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null || !('body' in value)) return 0;
  return value.body instanceof Uint8Array ? value.body.byteLength : 0;
}
