import { z } from 'zod';
import type { CallOptions } from './calls.js';
import { LIMITS } from './limits.js';
import { bucketNameSchema, keySchema } from './schemas.js';

/*
 * Locks that hold for all who use a store: advice that programs follow, never a condition of reading or writing. They
 * belong to a session, which lasts as long as its holder renews it, and live in the memory of whoever serves the key.
 */

export interface LockCalls {
  /**
   * Opens a session, or keeps it for another `leaseMs` from when the call was made. With another `incarnation` than before
   * nothing is held by it any more; what was may be claimed again while `graceMs` is not 0.
   */
  renew(input: RenewLocksInput, options?: CallOptions): Promise<RenewLocksResult>;
  /**
   * Sets the mode of [start, end) for an owner: of what it has there already nothing stays. Whoever waits is served in order.
   * To repeat it changes nothing.
   */
  acquire(input: AcquireLockInput, options?: CallOptions): Promise<AcquireLockResult>;
  /** Ends what an owner has of [start, end). To repeat it changes nothing; nothing held is no error. */
  release(input: ReleaseLockInput, options?: CallOptions): Promise<void>;
  /** What would keep `acquire` from being granted now. */
  find(input: FindLockInput, options?: CallOptions): Promise<FindLockResult>;
  /** Ends a session with all it holds and waits for. */
  end(input: EndLocksInput, options?: CallOptions): Promise<void>;
}

const count = z.int().nonnegative();
const name = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[\w:.-]+$/, 'has letters, digits and _ : . - only');
const session = {
  bucket: bucketNameSchema,
  /** Drawn at random by its holder: who knows it may end it. */
  sessionId: name.min(16)
};
const target = {
  ...session,
  key: keySchema,
  /** As an earlier answer gave it: the lock stays with the file when that is renamed or removed. */
  fileId: name.optional(),
  /** The file has no name any more: without locks under its id there are none. */
  isUnnamed: z.boolean().optional(),
  /** Who has the lock within the session, such as a process. */
  owner: name,
  /** Locks of one space do not keep out those of the other, as flock(2) and fcntl(2) do not. */
  space: z.enum(['flock', 'range']),
  /** In bytes; default 0. */
  start: count.optional(),
  /** Exclusive; absent = for ever. */
  end: count.min(1).optional()
};
const ordered = {
  /** Counts the session's calls. */
  sequence: count,
  /** Of calls up to here the caller awaits nothing any more: those that arrive late are refused. */
  settledSequence: count
};
const mode = z.enum(['shared', 'exclusive']);

export const renewLocksSchema = z.object(session);
export const endLocksSchema = z.object(session);
export const acquireLockSchema = z.object({
  ...target,
  ...ordered,
  mode,
  /** How long to wait for it; default 0. */
  waitMs: count.max(LIMITS.lockWaitMsMax).optional(),
  /** How long it was waited for in earlier calls: keeps the place among those who wait. */
  waitedMs: count.optional(),
  /** It was held before whoever served the key was replaced. */
  isReclaim: z.boolean().optional(),
  /** Told to who asks what is in the way. */
  pid: count.max(0xffffffff).optional()
});
export const releaseLockSchema = z.object({ ...target, ...ordered });
export const findLockSchema = z.object({ ...target, mode });

export type RenewLocksInput = z.input<typeof renewLocksSchema>;
export type EndLocksInput = z.input<typeof endLocksSchema>;
export type AcquireLockInput = z.input<typeof acquireLockSchema>;
export type ReleaseLockInput = z.input<typeof releaseLockSchema>;
export type FindLockInput = z.input<typeof findLockSchema>;
export type LockMode = z.infer<typeof mode>;
export type LockSpaceName = AcquireLockInput['space'];

export interface RenewLocksResult {
  readonly leaseMs: number;
  /** Names this life of the session: never told twice, so that an answer that got lost is not missed. */
  readonly incarnation: string;
  /** For how long locks of before are taken up again, and no others. */
  readonly graceMs: number;
}

/** A lock that is in the way. */
export interface LockConflict {
  readonly mode: LockMode;
  readonly start: number;
  /** Exclusive; absent = for ever. */
  readonly end?: number;
  /** Whether the session that asks has it. */
  readonly isOwnSession: boolean;
  readonly pid: number;
}

export type AcquireLockResult =
  | { readonly outcome: 'granted'; readonly fileId: string }
  | { readonly outcome: 'conflict'; readonly conflict: LockConflict }
  /** To wait would be to wait for oneself. */
  | { readonly outcome: 'deadlock' }
  /** There are as many locks as there may be. */
  | { readonly outcome: 'full' }
  /** Only locks of before are given: ask again. */
  | { readonly outcome: 'grace'; readonly graceMs: number }
  /** A lock of before that cannot be had again. */
  | { readonly outcome: 'lost' }
  /** The session ended, or was never opened: renew it. */
  | { readonly outcome: 'noSession' };

export type FindLockResult =
  | { readonly outcome: 'free' }
  | { readonly outcome: 'conflict'; readonly conflict: LockConflict }
  | { readonly outcome: 'grace'; readonly graceMs: number };
