import { type CallOptions, ERROR_CODES, type ErrorTraits, LIMITS, StoreError } from '@stampede/server/api';
import { type CallKind, type Invoker, kindOf } from './call-table.js';
import type { Clock, Random } from './clock.js';
import { cancelledError, storeErrorFrom } from './errors.js';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Longest pause before the second try; doubles with each further one. */
  readonly backoffMsMin?: number;
  readonly backoffMsMax?: number;
  /** Tries of one call in all; the deadline usually ends it earlier. */
  readonly triesMax?: number;
  /** Errors for which another try after that pause is in vain, although the table of errors advises it. */
  readonly isFinal?: (error: StoreError, pauseMs: number) => boolean;
  /** For calls without a deadline of their own. */
  readonly deadlineMsDefault?: number;
}

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 5000;
const TRIES_MAX = 100;

/** Judged before the store looks whether it knows the `requestId`: they say nothing about an earlier try. */
const JUDGED_FIRST: ReadonlySet<string> = new Set(['Unauthenticated', 'AccessDenied', 'NoSpace']);

/**
 * Repeats calls as the table of errors advises, with exponential backoff and full jitter, within the call's deadline.
 * A mutation without a `requestId` gets one, so that repeating it after a lost answer changes nothing.
 */
export function withRetries(invoker: Invoker, options: RetryOptions): Invoker {
  const { clock, random } = options;
  const triesMax = options.triesMax ?? TRIES_MAX;
  return {
    watch: (input, watchOptions) => invoker.watch(input, watchOptions),
    async call(call, givenInput, callOptions) {
      const kind = kindOf(call);
      const input = kind === 'mutation' ? withRequestId(givenInput, random) : givenInput;
      const deadlineMs = callOptions.deadlineMs ?? options.deadlineMsDefault ?? LIMITS.callDeadlineMsDefault;
      const endsAtMs = clock.monotonicMs() + deadlineMs;
      let doubtful: StoreError | undefined;
      let told: StoreError | undefined;
      for (let tries = 1; ; tries++) {
        const { signal } = callOptions;
        if (signal?.aborted) throw cancelledError(signal);
        const remainingMs = endsAtMs - clock.monotonicMs();
        try {
          return await invoker.call(call, input, attemptOptions(signal, remainingMs));
        } catch (thrown) {
          const error = storeErrorFrom(thrown);
          if (error.traits.outcome === 'unknown') doubtful = error;
          const pauseMs = backoffMs(tries, error, options);
          const isLast = tries >= triesMax || clock.monotonicMs() + pauseMs >= endsAtMs;
          if (isLast || !mayRepeat(kind, error) || options.isFinal?.(error, pauseMs))
            throw kind === 'read' ? mostTelling(error, told) : inDoubt(error, doubtful);
          if (error.code !== 'DeadlineExceeded') told = error;
          await pause(clock, pauseMs, signal);
        }
      }
    }
  };
}

/** Whether a call that ended with this error may be made again. */
export function mayRepeat(kind: CallKind, error: StoreError): boolean {
  const { retry, outcome } = error.traits;
  if (retry === 'never') return false;
  return outcome === 'none' || kind !== 'unrepeatable';
}

/** Full jitter: anywhere from 0 to the bound, on top of what the store asked for. */
export function backoffMs(tries: number, error: StoreError, options: RetryOptions): number {
  const first = options.backoffMsMin ?? BACKOFF_MS_MIN;
  const bound = Math.min(options.backoffMsMax ?? BACKOFF_MS_MAX, first * 2 ** Math.min(tries - 1, 20));
  return (error.retryAfterMs ?? 0) + options.random.fraction() * bound;
}

function withRequestId(input: unknown, random: Random): unknown {
  // The store says what is wrong with an input that is none.
  if (typeof input !== 'object' || input === null) return input;
  return 'requestId' in input && input.requestId !== undefined
    ? input
    : { ...input, requestId: random.uuid() };
}

function attemptOptions(signal: AbortSignal | undefined, deadlineMs: number): CallOptions {
  return signal ? { signal, deadlineMs } : { deadlineMs };
}

/** That the time was over says less than why it was not enough. */
function mostTelling(error: StoreError, told: StoreError | undefined): StoreError {
  return error.code === 'DeadlineExceeded' && told ? told : error;
}

/** An earlier try may have happened although the last one says that it did not. */
function inDoubt(error: StoreError, doubtful: StoreError | undefined): StoreError {
  if (!doubtful || doubtful === error) return error;
  const traits: ErrorTraits = ERROR_CODES[error.code];
  if (traits.outcome === 'unknown') return error;
  if (traits.retry === 'never' && !JUDGED_FIRST.has(error.code)) return error;
  return new StoreError(
    'ServiceUnavailable',
    `whether the call happened is unknown: after "${doubtful.message}" it could not be repeated (${error.code}: ${error.message})`,
    { cause: error }
  );
}

async function pause(clock: Clock, durationMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await clock.sleep(durationMs, signal);
  } catch (error) {
    throw signal?.aborted ? cancelledError(signal) : storeErrorFrom(error);
  }
}
