import {
  type AcquireLockInput,
  type AcquireLockResult,
  type CallOptions,
  type FindLockResult,
  type LockMode,
  type LockRange,
  type LockSpaceName,
  modesIn,
  type StoreCalls
} from '@stampede/client';
import type { FileState } from '../file-state.js';
import type { HeldLocks } from './held-locks.js';

/** What a program asks for. */
export interface Lock extends LockRange {
  /** Who has it, within the mount: as the kernel names it. */
  readonly owner: string;
  readonly space: LockSpaceName;
}

/** A lock as the store names it. */
export interface Target {
  readonly bucket: string;
  readonly sessionId: string;
  readonly key: string;
  readonly owner: string;
  readonly space: LockSpaceName;
  readonly fileId?: string;
  readonly isUnnamed?: boolean;
}

export interface LockCallerOptions {
  readonly store: Pick<StoreCalls, 'locks'>;
  readonly bucket: string;
  readonly newId: () => string;
  readonly held: HeldLocks;
  readonly sessionId: () => string;
}

type AcquireWish = Pick<AcquireLockInput, 'mode' | 'pid' | 'waitMs' | 'waitedMs' | 'isReclaim'>;

/** Makes the calls of one session, each with its number, so that the store refuses those that were given up. */
export class LockCaller {
  readonly #options: LockCallerOptions;
  readonly #unnamedIds = new WeakMap<FileState, string>();
  /** Numbers of calls whose answer is awaited, the lowest first. */
  readonly #open = new Set<number>();
  #sequence = 0;

  constructor(options: LockCallerOptions) {
    this.#options = options;
  }

  target(state: FileState, { owner, space }: Pick<Lock, 'owner' | 'space'>): Target {
    const { bucket, sessionId, held } = this.#options;
    const { key, isDetached } = state;
    const fileId = held.find(state)?.fileId ?? (isDetached ? this.#unnamedId(state) : undefined);
    return {
      bucket,
      sessionId: sessionId(),
      key,
      owner,
      space,
      ...(fileId !== undefined && { fileId }),
      ...(isDetached && { isUnnamed: true })
    };
  }

  acquire(
    target: Target,
    range: LockRange,
    wish: AcquireWish,
    options?: CallOptions
  ): Promise<AcquireLockResult> {
    const { locks } = this.#options.store;
    return this.#numbered((numbers) =>
      locks.acquire({ ...target, ...rangeOf(range), ...numbers, ...wish }, options)
    );
  }

  async release(target: Target, range: LockRange): Promise<void> {
    const { locks } = this.#options.store;
    await this.#numbered((numbers) => locks.release({ ...target, ...rangeOf(range), ...numbers }));
  }

  find(target: Target, range: LockRange, mode: LockMode): Promise<FindLockResult> {
    return this.#options.store.locks.find({ ...target, ...rangeOf(range), mode });
  }

  /** Takes back what the store may have given of a lock beyond what is held: less is always granted. */
  async settle(state: FileState, lock: Lock, target: Target): Promise<void> {
    const segments = this.#options.held.segmentsOf(state, lock.space, lock.owner);
    for (const { mode, ...range } of modesIn(segments, lock))
      if (mode === 'shared') await this.acquire(target, range, { mode });
      else if (!mode) await this.release(target, range);
  }

  async #numbered<Result>(
    call: (numbers: { readonly sequence: number; readonly settledSequence: number }) => Promise<Result>
  ): Promise<Result> {
    const sequence = ++this.#sequence;
    this.#open.add(sequence);
    try {
      const [lowest] = this.#open;
      return await call({ sequence, settledSequence: lowest! - 1 });
    } finally {
      this.#open.delete(sequence);
    }
  }

  #unnamedId(state: FileState): string {
    const id = this.#unnamedIds.get(state) ?? this.#options.newId();
    this.#unnamedIds.set(state, id);
    return id;
  }
}

function rangeOf({ start, end }: LockRange) {
  return { start, ...(Number.isFinite(end) && { end }) };
}
