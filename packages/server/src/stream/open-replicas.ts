import type { ExtentId } from '../api/index.js';
import type { ExtentReplica } from './extent-replica.js';

interface Entry {
  replica: ExtentReplica | undefined;
  readonly opening: Promise<ExtentReplica | undefined>;
  userCount: number;
  isDropped: boolean;
}

/**
 * The replicas whose files are open, at most `countMax` besides those that take appends or are in use: the least
 * recently used is closed first.
 */
export class OpenReplicas {
  readonly #countMax: number;
  readonly #open: (extentId: ExtentId) => Promise<ExtentReplica | undefined>;
  /** Least recently used first. */
  readonly #entries = new Map<ExtentId, Entry>();
  readonly #closing = new Set<Promise<void>>();

  constructor(countMax: number, open: (extentId: ExtentId) => Promise<ExtentReplica | undefined>) {
    this.#countMax = countMax;
    this.#open = open;
  }

  /** Without waiting: for appends, whose replica is always open. */
  findActive(extentId: ExtentId): ExtentReplica | undefined {
    const replica = this.#entries.get(extentId)?.replica;
    return replica?.isActive ? replica : undefined;
  }

  add(extentId: ExtentId, replica: ExtentReplica): void {
    const opening = Promise.resolve(replica);
    this.#entries.set(extentId, { replica, opening, userCount: 0, isDropped: false });
    this.#evict();
  }

  /** Runs with the replica, `undefined` when there is none; it stays open meanwhile. */
  async use<Result>(
    extentId: ExtentId,
    run: (replica: ExtentReplica | undefined) => Promise<Result>
  ): Promise<Result> {
    const entry = this.#touch(extentId);
    entry.userCount += 1;
    try {
      return await run(entry.replica ?? (await entry.opening));
    } finally {
      entry.userCount -= 1;
      if (entry.isDropped) this.#closeUnused(entry);
      else this.#evict();
    }
  }

  #touch(extentId: ExtentId): Entry {
    const known = this.#entries.get(extentId);
    if (known) {
      this.#entries.delete(extentId);
      this.#entries.set(extentId, known);
      return known;
    }
    const opening = this.#open(extentId);
    const entry: Entry = { replica: undefined, opening, userCount: 0, isDropped: false };
    this.#entries.set(extentId, entry);
    const forget = (): void => {
      if (this.#entries.get(extentId) === entry) this.#entries.delete(extentId);
    };
    opening.then((replica) => {
      entry.replica = replica;
      if (!replica) forget();
    }, forget);
    return entry;
  }

  /** Forgets a replica, whose file was removed or replaced; it is closed when its last user is done. */
  drop(extentId: ExtentId): void {
    const entry = this.#entries.get(extentId);
    if (!entry) return;
    this.#entries.delete(extentId);
    entry.isDropped = true;
    this.#closeUnused(entry);
  }

  #evict(): void {
    if (this.#entries.size <= this.#countMax) return;
    let excess = this.#entries.size - this.#countMax;
    for (const [extentId, entry] of this.#entries) {
      if (excess <= 0) return;
      if (entry.userCount > 0 || !entry.replica || entry.replica.isActive) continue;
      this.drop(extentId);
      excess -= 1;
    }
  }

  #closeUnused(entry: Entry): void {
    if (entry.userCount > 0) return;
    const closing: Promise<void> = entry.opening
      .then((replica) => replica?.close())
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async close(): Promise<void> {
    for (const extentId of [...this.#entries.keys()]) this.drop(extentId);
    await Promise.all(this.#closing);
  }
}
