import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { MetaCallOptions } from './meta-store.js';

/**
 * Waits for a call no longer than its caller wants to.
 *
 * @throws StoreError `Cancelled` or `DeadlineExceeded`; the call itself may still take effect.
 */
export async function boundedCall<Result>(
  clock: Clock,
  options: MetaCallOptions,
  start: () => Promise<Result>
): Promise<Result> {
  const { signal, deadlineMs } = options;
  if (signal?.aborted) throw cancelled(signal);
  const call = start();
  if (!signal && deadlineMs === undefined) return await call;
  return await new Promise((resolve, reject) => {
    const abort = (): void => settle(() => reject(signal && cancelled(signal)));
    const timer =
      deadlineMs === undefined
        ? undefined
        : clock.setTimer(deadlineMs, () => settle(() => reject(exceeded())));
    const settle = (finish: () => void): void => {
      timer?.[Symbol.dispose]();
      signal?.removeEventListener('abort', abort);
      finish();
    };
    signal?.addEventListener('abort', abort, { once: true });
    call.then(
      (result) => settle(() => resolve(result)),
      (error: unknown) => settle(() => reject(error))
    );
  });
}

function cancelled(signal: AbortSignal): StoreError {
  return new StoreError('Cancelled', 'The caller gave the metadata call up.', { cause: signal.reason });
}

function exceeded(): StoreError {
  return new StoreError('DeadlineExceeded', 'The metadata did not answer in time. Read back, then retry.');
}
