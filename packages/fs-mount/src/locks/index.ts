export { driveLocks } from './drive-locks.js';
export { GuardedNames } from './guarded-names.js';
export { leasedStore } from './leased-store.js';
export type { Lock } from './lock-caller.js';
export type { LockRequest, ServerLocks } from './server-locks.js';
