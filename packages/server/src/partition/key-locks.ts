import type { RowKey, RowRange } from './row-key.js';

export interface LockRequest {
  /** Nobody else may hold them. */
  readonly exclusive?: readonly RowKey[];
  /** Others may share them. */
  readonly shared?: readonly RowKey[];
  /** Every key in them, exclusively. */
  readonly ranges?: readonly RowRange[];
  readonly signal?: AbortSignal | undefined;
}

/** A request in which each row stands once. */
interface Locks {
  readonly exclusive: ReadonlySet<RowKey>;
  readonly shared: ReadonlySet<RowKey>;
  readonly ranges: readonly RowRange[];
}

interface Waiting {
  readonly locks: Locks;
  readonly grant: (release: () => void) => void;
}

/** Those who wait that are looked at when locks are given back; the others come nearer with each turn. */
const LOOK_AT_MAX = 256;

/**
 * Keeps mutations that are decided but not yet applied apart from others of the same rows, so that each is decided on
 * what the earlier ones left. A request takes all of its locks in one step or waits without any: no deadlocks. It also
 * waits for those that came before it and want the same: nobody waits for ever.
 */
export class KeyLocks {
  readonly #held = new LockTable();
  /** What those in the queue want. */
  readonly #wanted = new LockTable();
  readonly #queue = new Set<Waiting>();

  /** Takes the locks; the result gives them back. Fails with the signal's reason when it aborts first. */
  async acquire(request: LockRequest): Promise<() => void> {
    const { signal } = request;
    signal?.throwIfAborted();
    const locks = locksOf(request);
    if (!this.#held.conflictsWith(locks) && !this.#wanted.conflictsWith(locks)) return this.#take(locks);
    return await new Promise<() => void>((resolve, reject) => {
      const abort = (): void => {
        this.#leave(waiting);
        // Others may have waited for this one only.
        this.#grantWaiting();
        reject(signal?.reason);
      };
      const waiting: Waiting = {
        locks,
        grant: (release) => {
          signal?.removeEventListener('abort', abort);
          resolve(release);
        }
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.add(waiting);
      this.#wanted.add(locks);
    });
  }

  #take(locks: Locks): () => void {
    this.#held.add(locks);
    return () => {
      this.#held.remove(locks);
      this.#grantWaiting();
    };
  }

  #leave(waiting: Waiting): void {
    this.#queue.delete(waiting);
    this.#wanted.remove(waiting.locks);
  }

  #grantWaiting(): void {
    if (this.#queue.size === 0) return;
    const before = new LockTable();
    let count = 0;
    for (const waiting of this.#queue) {
      if (++count > LOOK_AT_MAX) return;
      const { locks, grant } = waiting;
      if (this.#held.conflictsWith(locks) || before.conflictsWith(locks)) {
        before.add(locks);
        continue;
      }
      this.#leave(waiting);
      grant(this.#take(locks));
    }
  }
}

/** How often each row is locked, and which ranges are. */
class LockTable {
  readonly #rows = new Map<RowKey, { exclusive: number; shared: number }>();
  readonly #ranges: RowRange[] = [];

  conflictsWith({ exclusive, shared, ranges }: Locks): boolean {
    for (const key of exclusive) if (this.#rows.has(key) || this.#isInRange(key)) return true;
    for (const key of shared)
      if ((this.#rows.get(key)?.exclusive ?? 0) > 0 || this.#isInRange(key)) return true;
    for (const range of ranges) {
      for (const held of this.#ranges) if (overlaps(held, range)) return true;
      for (const key of this.#rows.keys()) if (contains(range, key)) return true;
    }
    return false;
  }

  add({ exclusive, shared, ranges }: Locks): void {
    for (const key of exclusive) this.#rowOf(key).exclusive += 1;
    for (const key of shared) this.#rowOf(key).shared += 1;
    this.#ranges.push(...ranges);
  }

  remove({ exclusive, shared, ranges }: Locks): void {
    for (const key of exclusive) this.#drop(key, 'exclusive');
    for (const key of shared) this.#drop(key, 'shared');
    for (const range of ranges) this.#ranges.splice(this.#ranges.indexOf(range), 1);
  }

  #rowOf(key: RowKey): { exclusive: number; shared: number } {
    let row = this.#rows.get(key);
    if (!row) {
      row = { exclusive: 0, shared: 0 };
      this.#rows.set(key, row);
    }
    return row;
  }

  #drop(key: RowKey, kind: 'exclusive' | 'shared'): void {
    const row = this.#rowOf(key);
    row[kind] -= 1;
    if (row.exclusive === 0 && row.shared === 0) this.#rows.delete(key);
  }

  #isInRange(key: RowKey): boolean {
    for (const range of this.#ranges) if (contains(range, key)) return true;
    return false;
  }
}

function locksOf({ exclusive = [], shared = [], ranges = [] }: LockRequest): Locks {
  const alone = new Set(exclusive);
  return { exclusive: alone, shared: new Set(shared.filter((key) => !alone.has(key))), ranges };
}

export function contains({ start, end }: RowRange, key: RowKey): boolean {
  return key >= start && key < end;
}

export function overlaps(a: RowRange, b: RowRange): boolean {
  return a.start < b.end && b.start < a.end;
}
