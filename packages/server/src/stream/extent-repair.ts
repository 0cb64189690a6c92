import { type ExtentId, isStoreError, type MemberId } from '../api/index.js';
import { NodeDirectory } from './node-directory.js';
import type { OnStreamEvent } from './stream-event.js';
import type { ExtentRecord, StreamTables } from './stream-tables.js';

/** Reports beyond it are dropped: the next bad read reports again. */
const QUEUE_MAX = 10_000;

export interface ExtentRepairOptions {
  readonly nodes: NodeDirectory;
  readonly tables: StreamTables;
  readonly onEvent: OnStreamEvent;
  readonly signal: AbortSignal;
  readonly managerEpoch: number;
  /** Of one rebuild. */
  readonly bytesPerSecond: number;
}

type SealedRecord = ExtentRecord & { readonly state: 'sealed' };

/**
 * Brings replicas of sealed extents to what was decided, one after the other in the background: cuts longer ones,
 * fills shorter and damaged ones from the others.
 */
export class ExtentRepair {
  readonly #options: ExtentRepairOptions;
  /** Extents to look at, and which of their replicas to rebuild even though they were confirmed. */
  readonly #queue = new Map<ExtentId, Set<MemberId>>();
  #running: Promise<void> | undefined;

  constructor(options: ExtentRepairOptions) {
    this.#options = options;
  }

  /** Has the replicas of a sealed extent confirmed, and `damaged` rebuilt. */
  add(extentId: ExtentId, damaged?: MemberId): void {
    const members = this.#queue.get(extentId) ?? new Set();
    if (damaged) members.add(damaged);
    if (this.#queue.size < QUEUE_MAX) this.#queue.set(extentId, members);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Resolves when nothing is queued. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // Lets a burst of seals and reports gather, and keeps the caller's step free of this work.
    await Promise.resolve();
    for (const [extentId, damaged] of this.#queue) {
      if (this.#options.signal.aborted) return this.#queue.clear();
      this.#queue.delete(extentId);
      try {
        await this.#repair(extentId, damaged);
      } catch (cause) {
        this.#options.onEvent({ type: 'sweep-failed', cause });
      }
    }
  }

  async #repair(extentId: ExtentId, damaged: ReadonlySet<MemberId>): Promise<void> {
    const record = this.#options.tables.findExtent(extentId);
    if (record?.state !== 'sealed') return;
    for (const memberId of damaged) {
      if (!record.unconfirmed.includes(memberId)) await this.#rebuild(extentId, record, memberId);
    }
    const confirmed: MemberId[] = [];
    for (const memberId of record.unconfirmed) {
      if (await this.#confirm(extentId, record, memberId)) confirmed.push(memberId);
    }
    const latest = this.#options.tables.findExtent(extentId);
    if (confirmed.length === 0 || !latest) return;
    const unconfirmed = latest.unconfirmed.filter((memberId) => !confirmed.includes(memberId));
    await this.#options.tables.commit({ extents: new Map([[extentId, { ...latest, unconfirmed }]]) });
  }

  async #confirm(extentId: ExtentId, record: SealedRecord, memberId: MemberId): Promise<boolean> {
    try {
      if (await this.#seal(extentId, record, { memberId, acceptsDamage: false })) return true;
    } catch (error) {
      // Without a file the node needs a whole rebuild; any other failure waits for the next sweep.
      if (!isStoreError(error, 'ExtentNotFound')) return false;
    }
    if (await this.#rebuild(extentId, record, memberId)) return true;
    if (!record.isDamaged) return false;
    // No replica has better bytes: what is there must at least not change any more.
    return await this.#seal(extentId, record, { memberId, acceptsDamage: true }).catch(() => false);
  }

  async #seal(
    extentId: ExtentId,
    record: SealedRecord,
    { memberId, acceptsDamage }: { readonly memberId: MemberId; readonly acceptsDamage: boolean }
  ): Promise<boolean> {
    const { length, ownerEpoch: epoch, replicas } = record;
    const call = { memberId, replicaCount: replicas.length, what: `Sealing extent ${extentId}` };
    const answer = await this.#options.nodes.call(call, (node) =>
      node.seal({ extentId, epoch, length, acceptsDamage })
    );
    return answer.isComplete;
  }

  async #rebuild(extentId: ExtentId, record: SealedRecord, memberId: MemberId): Promise<boolean> {
    const { onEvent, nodes, managerEpoch, bytesPerSecond, signal } = this.#options;
    const sources = record.replicas.filter((other) => other !== memberId);
    if (sources.length === 0 || !nodes.find(memberId)) return false;
    try {
      const { length, ownerEpoch: epoch, replicas } = record;
      const timeoutMs = NodeDirectory.timeoutMsFor(length) + (length * 1000) / bytesPerSecond;
      const what = `Rebuilding extent ${extentId}`;
      const call = { memberId, replicaCount: replicas.length, what, timeoutMs };
      const message = { extentId, epoch, length, sources, managerEpoch, bytesPerSecond };
      await nodes.call(call, (node) => node.rebuild(message, { signal }));
      onEvent({ type: 'replica-rebuilt', extentId, memberId });
      return true;
    } catch (cause) {
      onEvent({ type: 'replica-rebuild-failed', extentId, memberId, cause });
      return false;
    }
  }
}
