import type { ExtentId, MemberId } from '../api/index.js';
import type { NodeDirectory } from './node-directory.js';
import type { OnStreamEvent } from './stream-event.js';
import type { StreamTables } from './stream-tables.js';

/** Two operations each, within what one transaction of the meta store takes. */
const DELETES_PER_TRANSACTION = 50;
const LIST_PAGE = 1000;

export interface ExtentCollectorOptions {
  readonly nodes: NodeDirectory;
  readonly tables: StreamTables;
  readonly onEvent: OnStreamEvent;
  /** Files of these exist, or may soon, although no stream lists them yet. */
  readonly allocating: ReadonlySet<ExtentId>;
  readonly managerEpoch: number;
}

/** Deletes extents that no stream lists: the record first, then the files; files without a record at the next sweep. */
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
    const { tables } = this.#options;
    const unlisted = tables.unlisted();
    for (let start = 0; start < unlisted.length; start += DELETES_PER_TRANSACTION) {
      const batch = unlisted.slice(start, start + DELETES_PER_TRANSACTION);
      const idsByMember = new Map<MemberId, ExtentId[]>();
      for (const extentId of batch) {
        for (const memberId of tables.findExtent(extentId)?.replicas ?? []) {
          idsByMember.set(memberId, [...(idsByMember.get(memberId) ?? []), extentId]);
        }
      }
      await tables.commit({ extents: new Map(batch.map((extentId) => [extentId, undefined])) });
      await Promise.all([...idsByMember].map(([memberId, extentIds]) => this.#delete(memberId, extentIds)));
    }
  }

  async #delete(memberId: MemberId, extentIds: readonly ExtentId[]): Promise<void> {
    const { nodes, managerEpoch } = this.#options;
    const call = { memberId, replicaCount: 1, what: 'Deleting extents' };
    const message = { extentIds, managerEpoch };
    // What a node keeps is an orphan now, and the next sweep finds it.
    await nodes.call(call, (node) => node.deleteExtents(message)).catch(() => undefined);
  }

  /** Deletes the files that crashes and failed deletes left. */
  async sweepOrphans(): Promise<void> {
    for (const { memberId } of this.#options.nodes.reachable()) {
      await this.#sweepNode(memberId).catch((cause: unknown) =>
        this.#options.onEvent({ type: 'sweep-failed', cause })
      );
    }
  }

  async #sweepNode(memberId: MemberId): Promise<void> {
    const { nodes, tables, onEvent } = this.#options;
    const call = { memberId, replicaCount: 1, what: 'Listing extents' };
    for (let after: ExtentId | undefined; ; ) {
      const message = after === undefined ? { limit: LIST_PAGE } : { after, limit: LIST_PAGE };
      const page = await nodes.call(call, (node) => node.list(message));
      const orphans = page.filter((extentId) => this.#isOrphan(extentId, memberId));
      const known = orphans.filter((extentId) => tables.wasAllocated(extentId));
      if (known.length > 0) await this.#delete(memberId, known);
      const extentIds = orphans.filter((extentId) => !tables.wasAllocated(extentId));
      if (extentIds.length > 0) onEvent({ type: 'unknown-extents-kept', memberId, extentIds });
      after = page.at(-1);
      if (page.length < LIST_PAGE || after === undefined) return;
    }
  }

  #isOrphan(extentId: ExtentId, memberId: MemberId): boolean {
    const { tables, allocating } = this.#options;
    return !allocating.has(extentId) && !tables.findExtent(extentId)?.replicas.includes(memberId);
  }
}
