import type { ExtentId, MemberId } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { ExtentRepair } from './extent-repair.js';
import type { NodeDirectory } from './node-directory.js';
import type { MemberState, NodeRegistry } from './node-registry.js';
import { conditionOf } from './repair-plan.js';
import type { ReplicaCopier } from './replica-copier.js';
import type { OnStreamEvent } from './stream-event.js';
import type { OrphanMeasure } from './stream-measure.js';
import type { ExtentRecord, StreamTables } from './stream-tables.js';

const LIST_PAGE = 1000;

export interface OrphanSweepOptions {
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
  readonly tables: StreamTables;
  readonly repair: ExtentRepair;
  readonly copier: ReplicaCopier;
  readonly clock: Clock;
  readonly onEvent: OnStreamEvent;
  readonly delete: (memberId: MemberId, extentIds: readonly ExtentId[]) => Promise<void>;
  readonly wantedCount: number;
  /** For so long a file that no table knows is kept: time to notice that the tables are the wrong ones. */
  readonly graceMs: number;
  /** Files of these exist, or may soon, although no stream lists them yet. */
  readonly allocating: ReadonlySet<ExtentId>;
}

/**
 * Compares what nodes have with what the tables say. A file that no table knows is deleted after a grace time, unless an
 * extent lacks a replica and can use it; a file that should be there and is not is made anew.
 */
export class OrphanSweep {
  readonly #options: OrphanSweepOptions;
  /** When a file was first found that the tables do not know. */
  #foundAtMs = new Map<MemberId, ReadonlyMap<ExtentId, number>>();
  readonly #unknownCounts = new Map<MemberId, number>();

  constructor(options: OrphanSweepOptions) {
    this.#options = options;
  }

  /** As the last sweep left it, of members that are there. */
  measure(): OrphanMeasure {
    const ids = this.#options.registry.states().map(({ memberId }) => memberId);
    const sum = (countOf: (memberId: MemberId) => number): number =>
      ids.reduce((total, memberId) => total + countOf(memberId), 0);
    return {
      unknownCount: sum((memberId) => this.#unknownCounts.get(memberId) ?? 0),
      waitingCount: sum((memberId) => this.#foundAtMs.get(memberId)?.size ?? 0)
    };
  }

  async run(): Promise<void> {
    const { registry, onEvent } = this.#options;
    const reachable = registry.states().filter(({ liveness }) => liveness === 'up');
    await Promise.all(
      reachable.map(async (member) => {
        await this.#sweep(member).catch((cause: unknown) => onEvent({ type: 'sweep-failed', cause }));
      })
    );
  }

  async #sweep(member: MemberState): Promise<void> {
    const { memberId } = member;
    // Read before the node is asked: a replica is there before it is listed.
    const missing = this.#expectedOn(memberId);
    const orphans: ExtentId[] = [];
    for await (const page of this.#list(memberId)) {
      for (const extentId of page) {
        missing.delete(extentId);
        if (this.#isOrphan(extentId, memberId)) orphans.push(extentId);
      }
    }
    await this.#settleOrphans(member, orphans);
    const { repair } = this.#options;
    for (const extentId of missing) {
      repair.missing.add(extentId, memberId);
      await repair.noteDamage(extentId, memberId);
    }
  }

  #expectedOn(memberId: MemberId): Set<ExtentId> {
    const expected = new Set<ExtentId>();
    for (const [extentId, { state, replicas }] of this.#options.tables.extents()) {
      if (state === 'sealed' && replicas.includes(memberId)) expected.add(extentId);
    }
    return expected;
  }

  async *#list(memberId: MemberId): AsyncIterable<readonly ExtentId[]> {
    const call = { memberId, replicaCount: 1, what: 'Listing extents' };
    for (let after: ExtentId | undefined; ; ) {
      const message = after === undefined ? { limit: LIST_PAGE } : { after, limit: LIST_PAGE };
      const page = await this.#options.nodes.call(call, (node) => node.list(message));
      yield page;
      after = page.at(-1);
      if (page.length < LIST_PAGE || after === undefined) return;
    }
  }

  #isOrphan(extentId: ExtentId, memberId: MemberId): boolean {
    const { tables, allocating, copier } = this.#options;
    if (allocating.has(extentId) || copier.isCopying(extentId, memberId)) return false;
    return !tables.findExtent(extentId)?.replicas.includes(memberId);
  }

  async #settleOrphans(member: MemberState, orphans: readonly ExtentId[]): Promise<void> {
    const { tables, onEvent, repair, graceMs } = this.#options;
    const { memberId } = member;
    const nowMs = this.#options.clock.monotonicMs();
    const before = this.#foundAtMs.get(memberId);
    const found = new Map<ExtentId, number>();
    const extentIds = orphans.filter((extentId) => !tables.wasAllocated(extentId));
    this.#unknownCounts.set(memberId, extentIds.length);
    if (extentIds.length > 0) onEvent({ type: 'unknown-extents-kept', memberId, extentIds });
    const useless: ExtentId[] = [];
    for (const extentId of orphans.filter((id) => tables.wasAllocated(id))) {
      const use = this.#useOf(extentId, member);
      if (use === 'adopt') await repair.adopt(extentId, memberId);
      if (use !== 'none') continue;
      const foundAtMs = before?.get(extentId) ?? nowMs;
      if (nowMs - foundAtMs >= graceMs) useless.push(extentId);
      else found.set(extentId, foundAtMs);
    }
    this.#foundAtMs.set(memberId, found);
    if (useless.length === 0) return;
    await this.#options.delete(memberId, useless);
    onEvent({ type: 'orphans-deleted', memberId, extentIds: useless });
  }

  /** `keep`: as long as the extent has too few good replicas, this one may be the last that is whole. */
  #useOf(extentId: ExtentId, { memberId, faultDomain }: MemberState): 'none' | 'keep' | 'adopt' {
    const { tables, registry, wantedCount } = this.#options;
    // Also where a copy began, or ended, while the node was being listed.
    if (!this.#isOrphan(extentId, memberId)) return 'keep';
    const record = tables.findExtent(extentId);
    if (!record || !tables.isListed(extentId)) return 'none';
    if (record.state !== 'sealed') return 'keep';
    const good = this.#goodReplicas(record);
    const isElsewhere = good.every((id) => registry.find(id)?.faultDomain !== faultDomain);
    if (good.length < wantedCount && isElsewhere) return 'adopt';
    return good.length < record.replicas.length ? 'keep' : 'none';
  }

  #goodReplicas(record: ExtentRecord): readonly MemberId[] {
    const findMember = (id: MemberId) => this.#options.registry.find(id);
    return record.replicas.filter((id) =>
      ['good', 'draining'].includes(conditionOf({ record, findMember }, id))
    );
  }
}
