import { type CallOptions, isStoreError, LIMITS, type StoreCalls } from '@stampede/client';
import type { Clock } from '../clock.js';
import { FileSystemError } from '../errno.js';
import type { Lease } from './lease.js';

export interface LeasedStoreOptions {
  readonly store: StoreCalls;
  readonly clock: Clock;
  readonly newId: () => string;
  /** The lease that changes of a key rest on, where locks concern it. May fail with `EIO`. */
  readonly findLease: (key: string) => Lease | undefined;
}

interface Change {
  readonly key: string;
  readonly to?: { readonly key: string } | undefined;
}

type Call<Input, Result> = (input: Input, options?: CallOptions) => Promise<Result>;

/**
 * A store whose changes of keys that locks concern are made within the lease there is now, or not at all: none is repeated
 * after others may have got the locks. One that is on its way when they are lost may still arrive.
 */
export function leasedStore({ store, clock, newId, findLease }: LeasedStoreOptions): StoreCalls {
  const within = async <Input extends Change, Result>(
    call: Call<Input, Result>,
    given: Input,
    lease: Lease
  ): Promise<Result> => {
    const { lost } = lease;
    const input = { requestId: newId(), ...given };
    const endsAtMs = clock.monotonicMs() + LIMITS.callDeadlineMsDefault;
    for (;;) {
      lease.check();
      if (lost.aborted) throw lostError();
      // The session may be renewed meanwhile: then the call has more time.
      try {
        return await call(input, { signal: lost, deadlineMs: Math.ceil(lease.leftMs) });
      } catch (error) {
        if (lost.aborted) throw lostError(error);
        if (!isStoreError(error, 'DeadlineExceeded') || clock.monotonicMs() >= endsAtMs) throw error;
      }
    }
  };
  const leased =
    <Input extends Change, Result>(call: Call<Input, Result>): Call<Input, Result> =>
    async (input, options) => {
      const lease = findLease(input.key) ?? (input.to && findLease(input.to.key));
      return lease ? within(call, input, lease) : call(input, options);
    };
  const { objects, uploads } = store;
  const own = {
    put: leased((...call: Parameters<typeof objects.put>) => objects.put(...call)),
    edit: leased((...call: Parameters<typeof objects.edit>) => objects.edit(...call)),
    setAttributes: leased((...call: Parameters<typeof objects.setAttributes>) =>
      objects.setAttributes(...call)
    ),
    rename: leased((...call: Parameters<typeof objects.rename>) => objects.rename(...call)),
    delete: leased((...call: Parameters<typeof objects.delete>) => objects.delete(...call))
  };
  const complete = leased((...call: Parameters<typeof uploads.complete>) => uploads.complete(...call));
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
