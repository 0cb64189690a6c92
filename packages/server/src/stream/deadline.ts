import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';

export interface DeadlineOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Of the message, such as "Freezing extent 7 on node a". */
  readonly what: string;
}

/** Waits for a call no longer than a time. @throws StoreError `ReplicaUnavailable`; the call may still take effect. */
export function withDeadline<Result>(
  { clock, timeoutMs, what }: DeadlineOptions,
  call: Promise<Result>
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => {
      const advice = 'Check the node and its disk.';
      reject(new StoreError('ReplicaUnavailable', `${what} took longer than ${timeoutMs} ms. ${advice}`));
    });
    call.then(
      (result) => {
        timer[Symbol.dispose]();
        resolve(result);
      },
      (error: unknown) => {
        timer[Symbol.dispose]();
        reject(error);
      }
    );
  });
}
