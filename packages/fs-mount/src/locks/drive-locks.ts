import type { StoreCalls } from '@stampede/client';
import type { AttributeCache } from '../attribute-cache.js';
import { FileSystemError } from '../errno.js';
import type { FileState } from '../file-state.js';
import { currentVersion } from '../file-state-services.js';
import type { FileSystemOptions } from '../file-system-options.js';
import type { ForeignChanges } from '../foreign-changes.js';
import type { OpenFiles } from '../open-files.js';
import { type GuardedNames, isGuardedBy } from './guarded-names.js';
import { loseChanges } from './lose-changes.js';
import { ServerLocks } from './server-locks.js';

export interface DriveLocksParts {
  readonly store: StoreCalls;
  readonly files: OpenFiles;
  readonly cache: AttributeCache;
  readonly foreign: ForeignChanges;
  readonly guarded: GuardedNames;
}

const REFRESH_COUNT_MAX = 8;

/** Locks among mounts, for the files of one: undefined where the kernel keeps them by itself. */
export function driveLocks(
  options: FileSystemOptions,
  { store, files, cache, foreign, guarded }: DriveLocksParts
): ServerLocks | undefined {
  if (!options.locks) return undefined;
  const { bucket, clock, onEvent } = options;
  const { newId } = options.locks;
  /** Of each file, the foreign changes that the kernel was told of for sure. */
  const told = new WeakMap<FileState, number>();
  return new ServerLocks({
    store,
    bucket,
    clock,
    newId,
    async commit(state) {
      // A journal that is stored after its lock has gone would be taken for the next holder's.
      for (const beside of statesBeside(state)) if (beside.isDirty) await files.commit(beside);
      await files.commit(state);
    },
    async refresh(state) {
      if (state.isDetached) return;
      if (guarded.add(state.key)) {
        cache.forgetPrefix(state.key);
        await foreign.guarded(state.key);
      }
      await adoptNewest(state);
      const { foreignChangeCount } = state;
      if (told.get(state) === foreignChangeCount) return;
      await foreign.refreshed(state.key);
      told.set(state, foreignChangeCount);
    },
    async onLost(locked) {
      // A journal is of no use without the lock under which it was written.
      const states = new Set([...locked, ...locked.flatMap(statesBeside)]);
      // At once: what is done with the open files from here on fails.
      const losses = [...states].map((state) => ({ state, losing: loseChanges(state) }));
      for (const { state, losing } of losses) {
        const bytes = await losing;
        if (bytes === undefined) continue;
        if (!state.base) files.remove(state);
        onEvent({ type: 'locksLost', path: `/${state.key}`, bytes });
        foreign.bytesChanged(state.key);
      }
    }
  });

  function statesBeside({ key }: FileState): FileState[] {
    return files.under(key).filter((state) => isGuardedBy(state.key, key));
  }

  /** What is not stored of the file is laid over the newest version, and stored where it hides that. */
  async function adoptNewest(state: FileState): Promise<void> {
    for (let attempt = 0; attempt < REFRESH_COUNT_MAX; attempt++) {
      const head = await findVersion(state);
      if (!head) return;
      state.adopt(head);
      if (!state.isDirty || (state.base?.generation ?? 0) >= head.generation) return;
      await files.commit(state);
    }
    throw new FileSystemError('EIO', `${state.key} changes too fast to be locked; try again`);
  }

  /** Undefined when it was removed elsewhere, which who reads it will be told. */
  async function findVersion(state: FileState) {
    try {
      return await currentVersion({ store, bucket }, state.key);
    } catch (error) {
      if (error instanceof FileSystemError && error.code === 'ESTALE') return undefined;
      throw error;
    }
  }
}
