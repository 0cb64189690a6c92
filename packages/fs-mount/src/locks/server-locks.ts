import {
  type AcquireLockResult,
  type LockConflict,
  type LockMode,
  modesIn,
  type StoreCalls,
  storeErrorFrom
} from '@stampede/client';
import type { Clock } from '../clock.js';
import { FileSystemError, isTransient } from '../errno.js';
import type { FileState } from '../file-state.js';
import { isGuardedBy } from './guarded-names.js';
import { type FileLocks, HeldLocks } from './held-locks.js';
import { Lease } from './lease.js';
import { type Lock, LockCaller } from './lock-caller.js';
import { LostFiles } from './lost-files.js';
import { Settling } from './settling.js';

export interface LockRequest extends Lock {
  readonly mode: LockMode;
  readonly pid: number;
  /** The open file through which it is asked for. */
  readonly handle: number;
}

export interface ServerLocksOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Stores what was written to the file so far, and to files beside it. */
  readonly commit: (state: FileState) => Promise<void>;
  /** Makes the file what is stored now: called with the lock held, before its holder is told. */
  readonly refresh: (state: FileState) => Promise<void>;
  /** The locks of these files may be somebody else's: what was written under them must not be stored any more. */
  readonly onLost: (states: readonly FileState[]) => Promise<void>;
}

interface Waiting {
  readonly wait: boolean;
  readonly signal: AbortSignal;
}

/** Calls that wait at the store; a connection carries no more than some hundred calls of all kinds. */
const POLLS_MAX = 32;
const POLL_MS = 20_000;
/** Who finds all of these taken asks that often instead. */
const ASK_MS = 250;
const GRACE_LOOK_MS = 1000;
const CLOSE_MS = 2000;
/** One after the other, although each was renewed before: something is wrong with the store. */
const LOST_SESSIONS_MAX = 10;
const EVERYTHING = { start: 0, end: Number.POSITIVE_INFINITY };

/**
 * flock(2) and fcntl(2) locks that hold among all mounts of a bucket. Whoever gets a lock sees what its last holder wrote:
 * before a lock is given back what was written is stored, and with a lock the file is made what is stored.
 */
export class ServerLocks {
  readonly #options: ServerLocksOptions;
  readonly #lease: Lease;
  readonly #held = new HeldLocks();
  readonly #lostFiles = new LostFiles();
  readonly #caller: LockCaller;
  readonly #settling: Settling;
  readonly #closing = new AbortController();
  #pollCount = 0;
  #pendingCount = 0;

  constructor(options: ServerLocksOptions) {
    this.#options = options;
    const lease = new Lease({
      ...options,
      isIdle: () => this.#held.isEmpty && this.#pendingCount === 0,
      onForgotten: (graceMs) => this.#reclaimAll(graceMs),
      onLost: () => void this.#lose(this.#held.clear())
    });
    this.#lease = lease;
    this.#caller = new LockCaller({ ...options, held: this.#held, sessionId: () => lease.sessionId });
    this.#settling = new Settling({ ...options, lease, caller: this.#caller, closing: this.#closing.signal });
  }

  /** A change of the file was under way when its locks were lost, and may have come to lie in it after that. */
  async changedTooLate(state: FileState): Promise<void> {
    await this.#lose([state]);
  }

  /** Finds out whether locks were lost by the clock, before anything is done that needs them. */
  check(): void {
    this.#lease.check();
  }

  /**
   * Takes a lock, or changes the mode of one; with `wait` as long as that takes. Fails with `EAGAIN` when somebody else has
   * it, `EDEADLK`, `ENOLCK`, `EINTR` when the signal aborts; then the owner has what he had before, and of a flock nothing.
   */
  async acquire(state: FileState, request: LockRequest, waiting: Waiting): Promise<void> {
    this.#pendingCount++;
    try {
      // Less than before must not be had by others before they can see what was written.
      await this.#options.commit(state);
      const before = this.#held.segmentsOf(state, request.space, request.owner);
      const fileId = await this.#untilGranted(state, request, waiting).catch(async (error: unknown) => {
        // As in the kernel: what flock(2) cannot convert is given up.
        if (request.space === 'flock' && before.length > 0) await this.#giveBackQuietly(state, request);
        throw error;
      });
      this.#held.granted(state, { ...request, fileId });
      await this.#options.refresh(state).catch(async (error: unknown) => {
        // Without that the lock is of no use.
        for (const { mode, ...range } of modesIn(request.space === 'flock' ? [] : before, request))
          if (!mode) await this.#giveBackQuietly(state, { ...request, ...range });
        throw error;
      });
    } finally {
      this.#pendingCount--;
    }
  }

  /** Gives back what the owner has of the range, when what was written is stored: fails, and keeps it, if it cannot be. */
  async release(state: FileState, lock: Lock): Promise<void> {
    this.check();
    if (this.#held.segmentsOf(state, lock.space, lock.owner).length === 0) return;
    await this.#options.commit(state);
    await this.#giveBack(state, lock);
  }

  /** What is in the way of a lock. */
  async find(state: FileState, request: LockRequest, signal: AbortSignal): Promise<LockConflict | undefined> {
    for (;;) {
      const found = await this.#caller.find(this.#caller.target(state, request), request, request.mode);
      if (found.outcome === 'free') return undefined;
      if (found.outcome === 'conflict') return found.conflict;
      await this.#pause(Math.min(found.graceMs, GRACE_LOOK_MS), signal);
    }
  }

  /** A program closed the file: it has no locks of ranges any more, whatever could be stored. */
  async ownerClosed(state: FileState, owner: string): Promise<void> {
    await this.#end(state, { ...EVERYTHING, owner, space: 'range' });
  }

  /** An open file ends, with the locks that were taken through it and belong to it. */
  async handleClosed(state: FileState, handle: number, flockOwner: string): Promise<void> {
    for (const owner of this.#held.rangeOwnersOf(state, handle)) await this.ownerClosed(state, owner);
    await this.#end(state, { ...EVERYTHING, owner: flockOwner, space: 'flock' });
  }

  /** The lease that changes of a key rest on: that of a locked file, or beside one. `EIO` beside one whose locks are lost. */
  findLease(key: string): Lease | undefined {
    this.check();
    this.#lostFiles.assertNotBeside(key);
    return this.#held.some((locked) => key === locked || isGuardedBy(key, locked)) ? this.#lease : undefined;
  }

  /** Gives everything back, and ends who waits. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#held.clear();
    await this.#lease.close(CLOSE_MS);
  }

  async #untilGranted(state: FileState, request: LockRequest, { wait, signal }: Waiting): Promise<string> {
    const { clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    for (let lostCount = 0; ; ) {
      if (signal.aborted || this.#closing.signal.aborted) throw interrupted();
      await this.#settling.done(state);
      await this.#lease.ready();
      const poll = wait && this.#pollCount < POLLS_MAX;
      const waited = poll
        ? { waitMs: POLL_MS, waitedMs: Math.floor(clock.monotonicMs() - sinceMs) }
        : undefined;
      const answer = await this.#ask(state, request, waited, signal);
      if (answer.outcome === 'granted') return answer.fileId;
      if (answer.outcome !== 'noSession') lostCount = 0;
      if (answer.outcome === 'noSession') {
        if (++lostCount > LOST_SESSIONS_MAX) throw new FileSystemError('ENOLCK', 'the store forgets locks');
        await this.#lease.renew();
      } else if (answer.outcome === 'grace')
        await this.#pause(Math.min(answer.graceMs, GRACE_LOOK_MS), signal);
      else if (answer.outcome !== 'conflict' || !wait) throw refusal(answer.outcome);
      else if (!poll) await this.#pause(ASK_MS, signal);
    }
  }

  async #ask(
    state: FileState,
    request: LockRequest,
    waited: { readonly waitMs: number; readonly waitedMs: number } | undefined,
    signal: AbortSignal
  ): Promise<AcquireLockResult> {
    if (waited) this.#pollCount++;
    // What flock(2) converts is given up first.
    if (request.space === 'flock') this.#held.released(state, { ...request, ...EVERYTHING });
    const { mode, pid } = request;
    const target = this.#caller.target(state, request);
    try {
      const answer = await this.#caller.acquire(target, request, { mode, pid, ...waited }, { signal });
      this.check();
      // The session that it was granted to is over.
      return this.#lease.sessionId === target.sessionId ? answer : { outcome: 'noSession' };
    } catch (thrown) {
      const error = storeErrorFrom(thrown);
      if (error.traits.outcome === 'unknown') this.#settling.begin(state, request, target);
      if (signal.aborted) throw interrupted();
      throw error;
    } finally {
      if (waited) this.#pollCount--;
    }
  }

  /** What was written under a lock is stored before it ends, or never. */
  async #end(state: FileState, lock: Lock): Promise<void> {
    const segments = this.#held.segmentsOf(state, lock.space, lock.owner);
    if (segments.length === 0) return;
    const isWriter = segments.some(({ mode }) => mode === 'exclusive');
    try {
      if (isWriter) await this.#options.commit(state);
    } catch {
      // Closing has told the program already; stored later it could undo what the next holder writes.
      await this.#lose([state]);
    }
    await this.#giveBack(state, lock);
  }

  async #lose(states: readonly FileState[]): Promise<void> {
    for (const state of states) this.#lostFiles.add(state);
    await this.#options.onLost(states);
  }

  async #giveBack(state: FileState, lock: Lock): Promise<void> {
    const target = this.#caller.target(state, lock);
    this.#held.released(state, lock);
    await this.#settling.done(state);
    try {
      await this.#caller.release(target, lock);
    } catch (error) {
      // Nobody could be told what to do about it: the lock goes back, or ends with the session.
      if (!isTransient(error)) throw error;
      this.#settling.begin(state, lock, target);
    }
  }

  async #giveBackQuietly(state: FileState, lock: Lock): Promise<void> {
    await this.#giveBack(state, lock).catch(() => undefined);
  }

  async #reclaimAll(graceMs: number): Promise<boolean> {
    if (graceMs === 0) return false;
    for (const file of this.#held.all()) if (!(await this.#reclaim(file))) return false;
    return true;
  }

  async #reclaim(file: FileLocks): Promise<boolean> {
    const { state } = file;
    // Another life of the store gave other ids.
    file.fileId = undefined;
    for (const space of ['flock', 'range'] as const)
      for (const [owner, segments] of [...file.spaces[space]]) {
        const lock = { owner, space, ...EVERYTHING };
        for (const { mode, ...range } of segments) {
          const target = this.#caller.target(state, lock);
          const answer = await this.#caller.acquire(target, range, { mode, isReclaim: true });
          if (answer.outcome !== 'granted') return false;
          file.fileId = answer.fileId;
        }
        // It was changed meanwhile, and the store may have heard of that before.
        if (this.#held.segmentsOf(state, space, owner) !== segments)
          this.#settling.begin(state, lock, this.#caller.target(state, lock));
      }
    return true;
  }

  async #pause(durationMs: number, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    await this.#options.clock.sleep(durationMs, either).catch(() => undefined);
    if (either.aborted) throw interrupted();
  }
}

function refusal(outcome: 'conflict' | 'deadlock' | 'full' | 'lost'): FileSystemError {
  switch (outcome) {
    case 'conflict':
      return new FileSystemError('EAGAIN', 'somebody else has the lock');
    case 'deadlock':
      return new FileSystemError('EDEADLK', 'the lock would wait for one of its own owner');
    case 'full':
      return new FileSystemError('ENOLCK', 'the store takes no more locks');
    case 'lost':
      return new FileSystemError('EIO', 'the lock was lost');
  }
}

function interrupted(): FileSystemError {
  return new FileSystemError('EINTR', 'waiting for the lock was interrupted');
}
