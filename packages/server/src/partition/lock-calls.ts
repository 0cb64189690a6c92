import type { LockCalls, LockService } from '../api/index.js';

/** The calls of the locks of a range: of the service there is at the time of each call. */
export function lockCalls(current: () => LockService): LockCalls {
  return {
    renew: async (input) => current().renew(input),
    acquire: async (input, options) => await current().acquire(input, options),
    release: async (input) => current().release(input),
    find: async (input) => current().find(input),
    end: async (input) => current().end(input)
  };
}
