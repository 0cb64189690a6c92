import {
  type LockMode,
  type LockRange,
  type LockSegments,
  type LockSpaceName,
  withMode
} from '@stampede/client';
import type { FileState } from '../file-state.js';

type Owners = Map<string, LockSegments>;

/** What the store has said that this mount's programs hold of one file. */
export interface FileLocks {
  readonly state: FileState;
  /** By which the store knows the file, whatever happens to its name. */
  fileId: string | undefined;
  readonly spaces: Readonly<Record<LockSpaceName, Owners>>;
  /** Owners who have ranges, by the handles they took them with. */
  readonly handles: Map<number, Set<string>>;
}

/** The locks of a mount, to be claimed again from a store that has forgotten them. */
export class HeldLocks {
  readonly #files = new Map<FileState, FileLocks>();

  get isEmpty(): boolean {
    return this.#files.size === 0;
  }

  all(): readonly FileLocks[] {
    return [...this.#files.values()];
  }

  /** Whether something is true of the key of a file with locks. */
  some(isTrue: (key: string) => boolean): boolean {
    for (const { key } of this.#files.keys()) if (isTrue(key)) return true;
    return false;
  }

  find(state: FileState): FileLocks | undefined {
    return this.#files.get(state);
  }

  segmentsOf(state: FileState, space: LockSpaceName, owner: string): LockSegments {
    return this.#files.get(state)?.spaces[space].get(owner) ?? [];
  }

  granted(
    state: FileState,
    lock: LockRange & {
      readonly space: LockSpaceName;
      readonly owner: string;
      readonly mode: LockMode;
      readonly handle: number;
      readonly fileId: string;
    }
  ): void {
    const file = this.#files.get(state) ?? newFile(state);
    this.#files.set(state, file);
    file.fileId = lock.fileId;
    if (lock.space === 'range') {
      const owners = file.handles.get(lock.handle) ?? new Set();
      file.handles.set(lock.handle, owners.add(lock.owner));
    }
    this.#set(file, lock, lock.mode);
  }

  released(
    state: FileState,
    lock: LockRange & { readonly space: LockSpaceName; readonly owner: string }
  ): void {
    const file = this.#files.get(state);
    if (file) this.#set(file, lock, undefined);
  }

  /** Who has ranges that were taken through the handle. */
  rangeOwnersOf(state: FileState, handle: number): readonly string[] {
    return [...(this.#files.get(state)?.handles.get(handle) ?? [])];
  }

  /** Forgets everything; returns of which files. */
  clear(): readonly FileState[] {
    const states = [...this.#files.keys()];
    this.#files.clear();
    return states;
  }

  #set(
    file: FileLocks,
    lock: LockRange & { readonly space: LockSpaceName; readonly owner: string },
    mode: LockMode | undefined
  ): void {
    const owners = file.spaces[lock.space];
    const segments = withMode(owners.get(lock.owner) ?? [], lock, mode);
    if (segments.length > 0) owners.set(lock.owner, segments);
    else owners.delete(lock.owner);
    if (lock.space === 'range' && segments.length === 0) forgetOwner(file, lock.owner);
    if (file.spaces.flock.size === 0 && file.spaces.range.size === 0) this.#files.delete(file.state);
  }
}

/** The same process may take locks again through another handle, with which they end. */
function forgetOwner({ handles }: FileLocks, owner: string): void {
  for (const [handle, owners] of handles) {
    owners.delete(owner);
    if (owners.size === 0) handles.delete(handle);
  }
}

function newFile(state: FileState): FileLocks {
  return { state, fileId: undefined, spaces: { flock: new Map(), range: new Map() }, handles: new Map() };
}
