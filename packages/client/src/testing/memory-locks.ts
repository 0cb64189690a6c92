import {
  acquireLockSchema,
  endLocksSchema,
  findLockSchema,
  type LockCalls,
  type LockService,
  releaseLockSchema,
  renewLocksSchema
} from '@stampede/server/api';
import { cancelledError } from '../errors.js';
import { answer, parse } from './memory-call.js';

/** The service that real stores have, without a partition around it. */
export function memoryLocks(locks: LockService): LockCalls {
  return {
    renew: (input, options) => answer(renewLocksSchema, input, options, (session) => locks.renew(session)),
    async acquire(input, options) {
      try {
        return await locks.acquire(parse(acquireLockSchema, input), options);
      } catch (error) {
        throw options?.signal?.aborted ? cancelledError(options.signal) : error;
      }
    },
    release: (input, options) => answer(releaseLockSchema, input, options, (lock) => locks.release(lock)),
    find: (input, options) => answer(findLockSchema, input, options, (lock) => locks.find(lock)),
    end: (input, options) => answer(endLocksSchema, input, options, (session) => locks.end(session))
  };
}
