import { type ExtentId, isStoreError, type MemberId, StoreError } from '../api/index.js';
import type { Leadership, MetaStore } from '../coordination/index.js';
import type { Clock, Random } from '../platform/index.js';
import type { ExtentRepair } from './extent-repair.js';
import type { ScrubView } from './membership-api.js';
import { NodeDirectory } from './node-directory.js';
import type { NodeRegistry } from './node-registry.js';
import {
  decodeScrub,
  encodeScrub,
  newScrub,
  SCRUB_PREFIX,
  type ScrubRecord,
  scrubKey,
  scrubMemberOf
} from './scrub-record.js';
import type { OnStreamEvent } from './stream-event.js';
import type { StreamTables } from './stream-tables.js';

/** How far a walk is becomes durable so often; a new stream manager goes on from there. */
const SAVE_MS = 60_000;
/** A walk shall end well before the next one is due. */
const CYCLE_SHARE = 0.8;

export interface ExtentScrubberOptions {
  readonly metaStore: MetaStore;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
  readonly tables: StreamTables;
  readonly repair: ExtentRepair;
  readonly onEvent: OnStreamEvent;
  readonly signal: AbortSignal;
  /** Every block is verified once in this time. */
  readonly cycleMs: number;
  /** Of each node; more where a cycle would else not suffice. */
  readonly bytesPerSecond: number;
}

type Finding = { readonly blockCount: number; readonly verifiedBytes: number; readonly isIntact: boolean };

const UNREADABLE: Finding = { blockCount: 0, verifiedBytes: 0, isIntact: false };

/** Has every node verify its sealed replicas, one after the other, again and again; bad ones are repaired. */
export class ExtentScrubber {
  readonly #options: ExtentScrubberOptions;
  readonly #records: Map<MemberId, ScrubRecord>;
  readonly #running = new Map<MemberId, Promise<void>>();

  private constructor(options: ExtentScrubberOptions, records: Map<MemberId, ScrubRecord>) {
    this.#options = options;
    this.#records = records;
  }

  static async load(options: ExtentScrubberOptions): Promise<ExtentScrubber> {
    const { entries } = await options.metaStore.range(SCRUB_PREFIX);
    const records = entries.map((entry) => [scrubMemberOf(entry.key), decodeScrub(entry)] as const);
    return new ExtentScrubber(options, new Map(records));
  }

  view(memberId: MemberId): ScrubView {
    const { dueAtMs: _, after: __, ...view } = this.#records.get(memberId) ?? newScrub(0);
    return view;
  }

  /** The last extent that was verified, of each walk that is under way. */
  positions(): ReadonlyMap<MemberId, ExtentId | undefined> {
    const underWay = [...this.#records].filter(([, record]) => isUnderWay(record));
    return new Map(underWay.map(([memberId, { after }]) => [memberId, after]));
  }

  /** Starts a walk from the beginning, durably: a new stream manager goes on with it. */
  async start(memberIds: readonly MemberId[]): Promise<void> {
    const dueAtMs = this.#options.clock.nowMs();
    for (const memberId of memberIds) await this.#save(memberId, newScrub(dueAtMs));
    this.check();
  }

  /** Forgets a member that is gone. */
  async remove(memberId: MemberId): Promise<void> {
    const { metaStore, leadership } = this.#options;
    this.#records.delete(memberId);
    await metaStore.transact({ compares: [leadership.proof], deletes: [scrubKey(memberId)] });
  }

  /** Begins, or goes on with, the walks that are due. */
  check(): void {
    const { registry, signal, onEvent } = this.#options;
    for (const { memberId, liveness } of registry.states()) {
      if (signal.aborted || liveness !== 'up' || this.#running.has(memberId)) continue;
      if (!this.#isDue(memberId)) continue;
      const walk = this.#walk(memberId)
        .catch((cause: unknown) => {
          // A node that does not answer goes on where it is when it does.
          const isExpected = signal.aborted || isStoreError(cause, 'ReplicaUnavailable');
          if (!isExpected) onEvent({ type: 'sweep-failed', cause });
        })
        .finally(() => this.#running.delete(memberId));
      this.#running.set(memberId, walk);
    }
  }

  /** A new member's first walk comes at a random time of the cycle, so that not all nodes read at once. */
  #isDue(memberId: MemberId): boolean {
    const { clock, random, cycleMs } = this.#options;
    const nowMs = clock.nowMs();
    const record = this.#records.get(memberId);
    if (!record) {
      const first = newScrub(nowMs + Math.floor(random.fraction() * cycleMs));
      this.#records.set(memberId, first);
      this.#save(memberId, first).catch(() => undefined);
      return false;
    }
    // Further away than a cycle: the wall clock was wrong when it was written.
    return isUnderWay(record) || nowMs >= record.dueAtMs || record.dueAtMs > nowMs + 2 * cycleMs;
  }

  async #walk(memberId: MemberId): Promise<void> {
    const { clock, cycleMs, onEvent, signal } = this.#options;
    let record = this.#begin(memberId);
    let savedAtMs = clock.monotonicMs();
    const { ids, totalBytes } = this.#replicasOf(memberId);
    for (const extentId of ids.filter((id) => record.after === undefined || id > record.after)) {
      const finding = await this.#verify(extentId, memberId, totalBytes);
      if (signal.aborted) return;
      const next = await this.#note(record, { extentId, memberId, finding });
      // Started anew meanwhile, or the member was removed.
      if (this.#records.get(memberId) !== record) return;
      record = next;
      this.#records.set(memberId, record);
      if (clock.monotonicMs() - savedAtMs < SAVE_MS) continue;
      await this.#save(memberId, record);
      savedAtMs = clock.monotonicMs();
    }
    const { after: _, ...rest } = record;
    const finished = { ...rest, dueAtMs: rest.startedAtMs! + cycleMs, finishedAtMs: clock.nowMs() };
    await this.#save(memberId, finished);
    const { blockCount, verifiedBytes, corruptCount, repairedCount } = finished;
    onEvent({
      type: 'scrub-finished',
      memberId,
      blockCount,
      verifiedBytes,
      corruptCount,
      repairedCount
    });
  }

  #begin(memberId: MemberId): ScrubRecord {
    const known = this.#records.get(memberId)!;
    const startedAtMs = this.#options.clock.nowMs();
    const record = isUnderWay(known) ? known : { ...newScrub(known.dueAtMs), startedAtMs };
    this.#records.set(memberId, record);
    return record;
  }

  /** In growing order of their ids. */
  #replicasOf(memberId: MemberId): { readonly ids: readonly ExtentId[]; readonly totalBytes: number } {
    const ids: ExtentId[] = [];
    let totalBytes = 0;
    for (const [extentId, record] of this.#options.tables.extents()) {
      if (record.state !== 'sealed' || !record.replicas.includes(memberId)) continue;
      ids.push(extentId);
      totalBytes += record.length;
    }
    return { ids: ids.sort((a, b) => a - b), totalBytes };
  }

  /** `undefined` for a replica that is not a confirmed one (any more): the repair looks at it anyway. */
  async #verify(extentId: ExtentId, memberId: MemberId, totalBytes: number): Promise<Finding | undefined> {
    const { tables, nodes, signal, cycleMs, bytesPerSecond } = this.#options;
    const record = tables.findExtent(extentId);
    if (record?.state !== 'sealed' || !record.replicas.includes(memberId)) return undefined;
    if (record.unconfirmed.includes(memberId)) return undefined;
    const { length } = record;
    const rate = Math.max(bytesPerSecond, (totalBytes * 1000) / (cycleMs * CYCLE_SHARE));
    const timeoutMs = NodeDirectory.timeoutMsFor(length) + (length * 1000) / rate;
    const call = { memberId, replicaCount: 1, what: `Verifying extent ${extentId}`, timeoutMs };
    try {
      const message = { extentId, length, bytesPerSecond: rate };
      return await nodes.call(call, (node) => node.verify(message, { signal }));
    } catch (error) {
      // What cannot be read is as good as damaged.
      if (isStoreError(error, 'ExtentNotFound')) this.#options.repair.missing.add(extentId, memberId);
      if (isStoreError(error, 'ExtentNotFound', 'DiskFailed', 'ChecksumMismatch')) return UNREADABLE;
      if (isStoreError(error, 'ReplicaUnavailable', 'Cancelled')) throw error;
      throw new StoreError('InternalError', `Extent ${extentId} could not be verified.`, { cause: error });
    }
  }

  async #note(
    record: ScrubRecord,
    found: {
      readonly extentId: ExtentId;
      readonly memberId: MemberId;
      readonly finding: Finding | undefined;
    }
  ): Promise<ScrubRecord> {
    const { extentId, memberId, finding } = found;
    const next = { ...record, after: extentId };
    if (!finding) return next;
    next.blockCount += finding.blockCount;
    next.verifiedBytes += finding.verifiedBytes;
    const { repair, tables, onEvent } = this.#options;
    const { isIntact, verifiedBytes: bytes } = finding;
    onEvent({ type: 'replica-verified', extentId, memberId, bytes, isIntact });
    const latest = tables.findExtent(extentId);
    if (isIntact) {
      // A read failed where the bytes are well.
      if (latest?.damaged?.includes(memberId)) await repair.noteWhole(extentId, memberId);
      return next;
    }
    // It may have been moved or deleted while it was read.
    if (!latest?.replicas.includes(memberId)) return next;
    next.corruptCount += 1;
    if (await repair.fix(extentId, memberId)) next.repairedCount += 1;
    return next;
  }

  async #save(memberId: MemberId, record: ScrubRecord): Promise<void> {
    const { metaStore, leadership } = this.#options;
    this.#records.set(memberId, record);
    const puts = [{ key: scrubKey(memberId), value: encodeScrub(record) }];
    const { committed } = await metaStore.transact({ compares: [leadership.proof], puts });
    if (!committed) throw new StoreError('ServiceUnavailable', 'This stream manager does not lead any more.');
  }

  /** Resolves when no walk is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }
}

function isUnderWay({ startedAtMs, finishedAtMs }: ScrubRecord): boolean {
  return startedAtMs !== undefined && finishedAtMs === undefined;
}
