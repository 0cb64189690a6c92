import type { StoreCalls, WatchEvent, WatchInput } from '@stampede/server/api';
import { storeErrorFrom } from './errors.js';
import { backoffMs, type RetryOptions } from './retry.js';

export interface WatchObjectsInput extends Pick<WatchInput, 'bucket' | 'prefix'> {
  /** From an earlier event; absent = from now. */
  readonly resumeToken?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * A token before every change: the store answers `reset`, or all changes it still has. Used when a watch broke before
 * it had a token of its own, since nobody knows what happened until it was there again.
 */
export const TOKEN_BEFORE_ALL = '0';

/** Watches over any number of connections; see `StoreClient.watch`. */
export async function* watchObjects(
  calls: StoreCalls,
  input: WatchObjectsInput,
  options: RetryOptions
): AsyncGenerator<WatchEvent> {
  const { bucket, prefix, signal } = input;
  let { resumeToken } = input;
  for (let failureCount = 1; !signal.aborted; failureCount++) {
    let failure: unknown = new Error('the store ended the watch');
    try {
      for await (const event of calls.objects.watch({ bucket, prefix, resumeToken }, { signal })) {
        ({ resumeToken } = event);
        failureCount = 0;
        yield event;
      }
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    const error = storeErrorFrom(failure);
    // An unknown failure may be one of the way to the store; anything else that is final is final here too.
    if (error.traits.retry === 'never' && error.code !== 'InternalError') throw error;
    resumeToken ??= TOKEN_BEFORE_ALL;
    await options.clock.sleep(backoffMs(Math.max(1, failureCount), error, options), signal).catch(() => {});
  }
}
