import type { ExtentId, MemberId } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { KeyedLock } from './keyed-lock.js';
import { MissingReplicas } from './missing-replicas.js';
import type { NodeRegistry } from './node-registry.js';
import { conditionOf, goodCount, planRepair, type RepairQuery, type RepairStep } from './repair-plan.js';
import { RepairQueue } from './repair-queue.js';
import type { ReplicaCopier } from './replica-copier.js';
import type { OnStreamEvent } from './stream-event.js';
import type { CopyReason, RepairMeasure } from './stream-measure.js';
import type { ExtentRecord, StreamTables } from './stream-tables.js';

/** Of one extent before others get their turn: more than any list of replicas needs. */
const STEPS_MAX = 20;
/** After every repair. */
const MOVE_RANK = 9;
/** What could not be repaired is tried again after such a time, each time twice as long. */
const RETRY_MS_MIN = 60_000;
const RETRY_MS_MAX = 60 * 60_000;

export interface ExtentRepairOptions {
  readonly tables: StreamTables;
  readonly registry: NodeRegistry;
  readonly copier: ReplicaCopier;
  readonly wantedCount: number;
  /** So many extents are worked on at the same time. */
  readonly concurrencyMax: number;
  readonly clock: Clock;
  readonly onEvent: OnStreamEvent;
  readonly signal: AbortSignal;
  /** An extent that was worked on is in no list any more. */
  readonly onUnlisted: () => void;
}

export type SealedRecord = ExtentRecord & { readonly state: 'sealed' };

export interface ReplicaMove {
  readonly extentId: ExtentId;
  readonly from: MemberId;
  readonly to: MemberId;
}

/**
 * Brings the replicas of sealed extents to what they should be, in the background, those with the fewest good ones
 * first. Only it changes the record of a sealed extent that a stream lists, and one piece of work at a time. What to do
 * is decided anew from the tables before each step, so a crash between two of them loses nothing but time.
 */
export class ExtentRepair {
  readonly #options: ExtentRepairOptions;
  readonly #queue = new RepairQueue();
  readonly #active = new Set<ExtentId>();
  readonly #moves = new Map<ExtentId, ReplicaMove>();
  /** By extent: its record is read, changed and committed as one. */
  readonly #locks = new KeyedLock();
  /** Called when the work on an extent ends. */
  readonly #waiters = new Map<ExtentId, (() => void)[]>();
  readonly #runners = new Set<Promise<void>>();
  /** Extents that could not be repaired. */
  readonly #failures = new Map<ExtentId, { readonly count: number; readonly untilMs: number }>();
  readonly missing = new MissingReplicas();

  constructor(options: ExtentRepairOptions) {
    this.#options = options;
  }

  get queueLength(): number {
    return this.#queue.size + this.#active.size;
  }

  measure(): RepairMeasure {
    let moveBytes = 0;
    for (const extentId of this.#moves.keys()) moveBytes += this.#findSealed(extentId)?.length ?? 0;
    return {
      queuedCount: this.#queue.size,
      activeCount: this.#active.size,
      failedCount: this.#failures.size,
      moveBytes
    };
  }

  isActive(extentId: ExtentId): boolean {
    return this.#active.has(extentId);
  }

  /** Has the replicas of a sealed extent looked at. */
  add(extentId: ExtentId): void {
    const record = this.#findSealed(extentId);
    if (record) this.#enqueue(extentId, goodCount(this.#queryOf(record)));
  }

  #enqueue(extentId: ExtentId, rank: number): void {
    if (this.#options.signal.aborted) return;
    this.#queue.add(extentId, rank);
    if (this.#runners.size >= this.#options.concurrencyMax) return;
    const runner: Promise<void> = this.#run().finally(() => {
      this.#runners.delete(runner);
    });
    this.#runners.add(runner);
  }

  /** Looks for all that can be done now; what failed a moment ago only when told so. */
  addAll({ includesFailed }: { readonly includesFailed: boolean }): void {
    const { tables, registry, clock } = this.#options;
    if (includesFailed) this.#failures.clear();
    for (const extentId of this.missing.extentIds)
      if (!this.#findSealed(extentId)?.damaged) this.missing.delete(extentId);
    const nowMs = clock.monotonicMs();
    const domains = registry.placeable().map((status) => status.faultDomain);
    for (const [extentId, record] of tables.extents()) {
      if (record.state !== 'sealed' || nowMs < (this.#failures.get(extentId)?.untilMs ?? 0)) continue;
      const isPossible = planRepair(this.#queryOf(record)).some(
        (step) => step.type !== 'copy' || domains.some((domain) => !step.taken.includes(domain))
      );
      if (isPossible) this.add(extentId);
    }
  }

  /** Has a replica moved when nothing more urgent waits. */
  addMove(move: ReplicaMove): void {
    this.#moves.set(move.extentId, move);
    this.#enqueue(move.extentId, MOVE_RANK);
  }

  /** A replica gave bad bytes or is missing: recorded durably, then rebuilt in the background. */
  async noteDamage(extentId: ExtentId, memberId: MemberId): Promise<void> {
    let isNew = false;
    await this.#change(extentId, (record) => {
      const { replicas, unconfirmed, damaged = [] } = record;
      if (!replicas.includes(memberId) || damaged.includes(memberId)) return undefined;
      // Not taken for good yet: it is looked at anyway.
      if (unconfirmed.includes(memberId)) return undefined;
      isNew = true;
      return { ...record, damaged: [...damaged, memberId] };
    });
    if (isNew) this.#options.onEvent({ type: 'replica-damaged', extentId, memberId });
    this.add(extentId);
  }

  /** As `noteDamage`; resolves when the extent was worked on: is the replica whole again, here or elsewhere? */
  async fix(extentId: ExtentId, memberId: MemberId): Promise<boolean> {
    await this.noteDamage(extentId, memberId);
    if (this.#queue.has(extentId) || this.#active.has(extentId)) {
      await new Promise<void>((resolve) => {
        this.#waiters.set(extentId, [...(this.#waiters.get(extentId) ?? []), resolve]);
      });
    }
    return !this.#findSealed(extentId)?.damaged?.includes(memberId);
  }

  /** Every byte of a replica was found to be well. */
  async noteWhole(extentId: ExtentId, memberId: MemberId): Promise<void> {
    await this.#change(extentId, (record) => without(record, memberId, record.replicas));
  }

  /** Takes a replica that was found on a node into the list, unconfirmed, if the extent lacks one. */
  async adopt(extentId: ExtentId, memberId: MemberId): Promise<void> {
    await this.#change(extentId, ({ replicas, unconfirmed, ...record }) =>
      replicas.includes(memberId)
        ? undefined
        : { ...record, replicas: [...replicas, memberId], unconfirmed: [...unconfirmed, memberId] }
    );
    this.add(extentId);
  }

  /** Resolves when nothing is queued. */
  async idle(): Promise<void> {
    while (this.#runners.size > 0) await Promise.all(this.#runners);
  }

  async #run(): Promise<void> {
    // Lets a burst of seals and reports gather, and keeps the caller's step free of this work.
    await Promise.resolve();
    const { signal, onEvent } = this.#options;
    for (;;) {
      if (signal.aborted) this.#giveUp();
      const extentId = this.#queue.take(this.#active);
      if (extentId === undefined) return;
      this.#active.add(extentId);
      try {
        await this.#repair(extentId);
        await this.#move(extentId);
      } catch (cause) {
        if (!signal.aborted) onEvent({ type: 'sweep-failed', cause });
      }
      this.#active.delete(extentId);
      this.#finish(extentId);
    }
  }

  #giveUp(): void {
    this.#queue.clear();
    this.#moves.clear();
    for (const extentId of [...this.#waiters.keys()]) this.#finish(extentId);
  }

  #finish(extentId: ExtentId): void {
    const { tables, onUnlisted } = this.#options;
    if (tables.findExtent(extentId) && !tables.isListed(extentId)) onUnlisted();
    for (const resolve of this.#waiters.get(extentId) ?? []) resolve();
    this.#waiters.delete(extentId);
  }

  async #repair(extentId: ExtentId): Promise<void> {
    /** Steps that did not help, and nodes that could not take a replica back. */
    const tried = new Set<string>();
    const failed = new Set<MemberId>();
    for (let count = 0; count < STEPS_MAX && !this.#options.signal.aborted; count++) {
      const record = this.#findSealed(extentId);
      if (!record) {
        this.#failures.delete(extentId);
        return;
      }
      const step = planRepair(this.#queryOf(record, failed)).find((step) => !tried.has(keyOf(step)));
      if (!step) {
        this.#noteOutcome(extentId, tried.size === 0);
        return;
      }
      if (!(await this.#perform(extentId, record, step, failed))) tried.add(keyOf(step));
    }
  }

  #noteOutcome(extentId: ExtentId, isDone: boolean): void {
    if (isDone) {
      this.#failures.delete(extentId);
      return;
    }
    const count = (this.#failures.get(extentId)?.count ?? 0) + 1;
    const waitMs = Math.min(RETRY_MS_MIN * 2 ** (count - 1), RETRY_MS_MAX);
    this.#failures.set(extentId, { count, untilMs: this.#options.clock.monotonicMs() + waitMs });
  }

  async #perform(
    extentId: ExtentId,
    record: SealedRecord,
    step: RepairStep,
    failed: Set<MemberId>
  ): Promise<boolean> {
    const { copier } = this.#options;
    if (step.type === 'copy') return await this.#copy(extentId, record, step);
    if (step.type === 'drop') return await this.#drop(extentId, record, step.memberId);
    const { memberId } = step;
    const outcome =
      step.type === 'rebuild'
        ? await copier.rebuild(extentId, record, memberId)
        : await copier.confirm(extentId, record, memberId);
    if (outcome === 'whole') await this.noteWhole(extentId, memberId);
    if (outcome === 'disk-failed') failed.add(memberId);
    return outcome === 'whole';
  }

  async #copy(
    extentId: ExtentId,
    record: SealedRecord,
    { leaving, taken }: RepairStep & { readonly type: 'copy' }
  ): Promise<boolean> {
    const target = this.#options.copier.chooseTarget(extentId, record, taken);
    const isDrained = leaving !== undefined && conditionOf(this.#queryOf(record), leaving) === 'draining';
    const reason = isDrained ? 'drain' : 'repair';
    return target !== undefined && (await this.#copyTo({ extentId, record, leaving, target, reason }));
  }

  /** Copies first, then one step changes the list, then the replica that left is deleted. */
  async #copyTo(copy: {
    readonly extentId: ExtentId;
    readonly record: SealedRecord;
    readonly leaving: MemberId | undefined;
    readonly target: MemberId;
    readonly reason: CopyReason;
  }): Promise<boolean> {
    const { extentId, record, leaving, target, reason } = copy;
    const { copier } = this.#options;
    let isListed = false;
    const outcome = await copier.copy({ extentId, record, target }, async () => {
      isListed = await this.#change(extentId, (latest) => {
        const { replicas } = latest;
        const hasLeft = leaving !== undefined && !replicas.includes(leaving);
        if (hasLeft || replicas.includes(target)) return undefined;
        const staying = replicas.filter((memberId) => memberId !== leaving);
        return leaving === undefined
          ? { ...latest, replicas: [...staying, target] }
          : without(latest, leaving, [...staying, target]);
      });
      // The extent was deleted or changed meanwhile.
      if (!isListed && !this.#findSealed(extentId)?.replicas.includes(target)) {
        await copier.delete(extentId, target);
      }
    });
    if (outcome !== 'whole' || !isListed) return false;
    this.#options.onEvent({
      type: 'replica-copied',
      extentId,
      memberId: target,
      replacedMemberId: leaving,
      reason,
      bytes: record.length
    });
    if (leaving !== undefined) await this.#deleteLeft(extentId, leaving);
    return true;
  }

  async #drop(extentId: ExtentId, { replicas }: SealedRecord, memberId: MemberId): Promise<boolean> {
    const isDropped = await this.#change(extentId, (latest) => {
      if (latest.replicas.length !== replicas.length) return undefined;
      const staying = latest.replicas.filter((other) => other !== memberId);
      return without(latest, memberId, staying);
    });
    if (isDropped) await this.#deleteLeft(extentId, memberId);
    return isDropped;
  }

  /** What a dead node keeps is found when it comes back. */
  async #deleteLeft(extentId: ExtentId, memberId: MemberId): Promise<void> {
    const { registry, copier } = this.#options;
    if (registry.livenessOf(memberId) !== 'dead') await copier.delete(extentId, memberId);
  }

  async #move(extentId: ExtentId): Promise<void> {
    const move = this.#moves.get(extentId);
    this.#moves.delete(extentId);
    const record = this.#findSealed(extentId);
    if (!move || !record || this.#options.signal.aborted) return;
    const { from, to } = move;
    if (!record.replicas.includes(from) || record.replicas.includes(to)) return;
    if (goodCount(this.#queryOf(record)) < record.replicas.length) return;
    await this.#copyTo({ extentId, record, leaving: from, target: to, reason: 'rebalance' });
  }

  /** Changes the record of a sealed extent; false when `change` gives none, or it is not sealed and listed. */
  async #change(
    extentId: ExtentId,
    change: (record: SealedRecord) => ExtentRecord | undefined
  ): Promise<boolean> {
    return await this.#locks.run(String(extentId), async () => {
      const record = this.#findSealed(extentId);
      const changed = record && change(record);
      if (!changed) return false;
      await this.#options.tables.commit({ extents: new Map([[extentId, changed]]) });
      return true;
    });
  }

  #findSealed(extentId: ExtentId): SealedRecord | undefined {
    const { tables } = this.#options;
    const record = tables.findExtent(extentId);
    return record?.state === 'sealed' && tables.isListed(extentId) ? record : undefined;
  }

  #queryOf(record: ExtentRecord, failed: ReadonlySet<MemberId> = new Set()): RepairQuery {
    const { wantedCount, registry } = this.#options;
    return { record, wantedCount, failed, findMember: (memberId) => registry.find(memberId) };
  }
}

function keyOf(step: RepairStep): string {
  return step.type === 'copy' ? `copy ${step.leaving}` : `${step.type} ${step.memberId}`;
}

/** The record with these replicas, of which a member is neither unconfirmed nor damaged any more. */
function without(record: SealedRecord, memberId: MemberId, replicas: readonly MemberId[]): ExtentRecord {
  const { damaged = [], unconfirmed, ...rest } = record;
  const isOther = (other: MemberId) => other !== memberId;
  const left = damaged.filter(isOther);
  return {
    ...rest,
    replicas,
    unconfirmed: unconfirmed.filter(isOther),
    ...(left.length > 0 && { damaged: left })
  };
}
