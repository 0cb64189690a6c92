import { type CallOptions, isStoreError, LIMITS, type StoreCalls } from '@stampede/client';
import type { Clock } from '../clock.js';
import { FileSystemError } from '../errno.js';
import type { Lease } from './lease.js';

export interface LeasedStoreOptions {
  readonly store: StoreCalls;
  readonly lease: Lease;
  readonly clock: Clock;
  readonly newId: () => string;
}

/**
 * A store whose changes of objects are made within the session there is now, or not at all: none is repeated after others
 * may have got the locks. One that is on its way when they are lost may still arrive.
 */
export function leasedStore({ store, lease, clock, newId }: LeasedStoreOptions): StoreCalls {
  const { sessionId, lost } = lease;
  const assertKept = (): void => {
    lease.check();
    if (lease.sessionId !== sessionId) throw lostError();
  };
  const within =
    <Input extends object, Result>(call: (input: Input, options?: CallOptions) => Promise<Result>) =>
    async (given: Input): Promise<Result> => {
      const input = { ...given, requestId: newId() };
      const endsAtMs = clock.monotonicMs() + LIMITS.callDeadlineMsDefault;
      for (;;) {
        assertKept();
        // The session may be renewed meanwhile: then the call has more time.
        try {
          return await call(input, { signal: lost, deadlineMs: Math.ceil(lease.leftMs) });
        } catch (error) {
          if (lost.aborted) throw lostError(error);
          if (!isStoreError(error, 'DeadlineExceeded') || clock.monotonicMs() >= endsAtMs) throw error;
        }
      }
    };
  const { objects, uploads } = store;
  const own = {
    put: within((...call: Parameters<typeof objects.put>) => objects.put(...call)),
    edit: within((...call: Parameters<typeof objects.edit>) => objects.edit(...call)),
    setAttributes: within((...call: Parameters<typeof objects.setAttributes>) =>
      objects.setAttributes(...call)
    )
  };
  const complete = within((...call: Parameters<typeof uploads.complete>) => uploads.complete(...call));
  // On top of the given one, so that every other call is found there.
  return {
    ...store,
    objects: Object.assign(Object.create(objects), own),
    uploads: Object.assign(Object.create(uploads), { complete })
  };
}

function lostError(cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'the locks of the file were lost', { cause });
}
