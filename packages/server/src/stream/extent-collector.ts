import type { ExtentId, MemberId } from '../api/index.js';
import type { NodeDirectory } from './node-directory.js';
import type { StreamTables } from './stream-tables.js';

/** Two operations each, within what one transaction of the meta store takes. */
const DELETES_PER_TRANSACTION = 50;

export interface ExtentCollectorOptions {
  readonly nodes: NodeDirectory;
  readonly tables: StreamTables;
  /** Its record must not change now; whoever is busy with it says when that ends. */
  readonly isBusy: (extentId: ExtentId) => boolean;
  /** What such a node keeps is found when it comes back. */
  readonly isDead: (memberId: MemberId) => boolean;
  readonly managerEpoch: number;
}

/** Deletes extents that no stream lists: the record first, then the files; `OrphanSweep` finds files that stay. */
export class ExtentCollector {
  readonly #options: ExtentCollectorOptions;
  #collecting: Promise<void> = Promise.resolve();

  constructor(options: ExtentCollectorOptions) {
    this.#options = options;
  }

  /** One after the other; a second call sees what the first left. */
  collect(): Promise<void> {
    const result = this.#collecting.then(() => this.#collect());
    this.#collecting = result.catch(() => undefined);
    return result;
  }

  /** Resolves when no collection goes on. */
  async idle(): Promise<void> {
    await this.#collecting;
  }

  async #collect(): Promise<void> {
    const { tables, isBusy } = this.#options;
    const unlisted = tables.unlisted().filter((extentId) => !isBusy(extentId));
    for (let start = 0; start < unlisted.length; start += DELETES_PER_TRANSACTION) {
      const batch = unlisted.slice(start, start + DELETES_PER_TRANSACTION);
      const idsByMember = new Map<MemberId, ExtentId[]>();
      for (const extentId of batch) {
        for (const memberId of tables.findExtent(extentId)?.replicas ?? []) {
          idsByMember.set(memberId, [...(idsByMember.get(memberId) ?? []), extentId]);
        }
      }
      await tables.commit({ extents: new Map(batch.map((extentId) => [extentId, undefined])) });
      await Promise.all([...idsByMember].map(([memberId, extentIds]) => this.delete(memberId, extentIds)));
    }
  }

  /** Best effort. */
  async delete(memberId: MemberId, extentIds: readonly ExtentId[]): Promise<void> {
    const { nodes, isDead, managerEpoch } = this.#options;
    if (isDead(memberId)) return;
    const call = { memberId, replicaCount: 1, what: 'Deleting extents' };
    const message = { extentIds, managerEpoch };
    // What a node keeps is an orphan now, and the next sweep finds it.
    await nodes.call(call, (node) => node.deleteExtents(message)).catch(() => undefined);
  }
}
