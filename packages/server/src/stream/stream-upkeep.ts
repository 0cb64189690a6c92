import { type MemberId, StoreError } from '../api/index.js';
import { reportExtents } from './extent-report.js';
import type {
  DrainMessage,
  ExtentsAnswer,
  ExtentsMessage,
  HeartbeatAnswer,
  HeartbeatMessage,
  MembersAnswer,
  MembershipApi,
  MemberView,
  RemoveMemberMessage,
  ScrubMessage
} from './membership-api.js';
import type { MemberState, NodeRegistry } from './node-registry.js';
import { OpenExtentPlan } from './open-extent-plan.js';
import { type BalanceExtent, planRebalance } from './rebalance-plan.js';
import { goodCount } from './repair-plan.js';
import { measureExtents, type StreamMeasure } from './stream-measure.js';
import type { ExtentRecord } from './stream-tables.js';
import { openUpkeepParts, type UpkeepParts, type UpkeepPartsOptions } from './upkeep-parts.js';

/** Moves that wait for their turn at most: the next round finds more. */
const MOVES_MAX = 20;
/** After the last moves: by then heartbeats have told what they changed. */
const SETTLE_MS = 10_000;

export interface StreamUpkeepOptions extends Omit<UpkeepPartsOptions, 'signal'> {
  /** Seals those of the open extents; their writers go on in new ones. */
  readonly sealOpen: (isLeaving: (record: ExtentRecord) => boolean) => Promise<void>;
}

/**
 * Keeps the replicas of a stamp as they should be while this stream manager leads: watches the nodes, makes up for those
 * that died or shall go, verifies, balances, and deletes what is left over. All of it is decided from the tables and the
 * heartbeats, so the next leader goes on wherever this one ends.
 */
export class StreamUpkeep implements MembershipApi {
  readonly #options: StreamUpkeepOptions;
  readonly #parts: UpkeepParts;
  readonly #closed: AbortController;
  readonly #openExtents: OpenExtentPlan;
  #timer: Disposable | undefined;
  /** Monotonic: when the balance was last looked at, or replicas were last being moved for it. */
  #balancedAtMs: number;
  #isBalancing = false;
  #sealing: Promise<void> | undefined;

  private constructor(options: StreamUpkeepOptions, parts: UpkeepParts, closed: AbortController) {
    this.#options = options;
    this.#parts = parts;
    this.#closed = closed;
    this.#openExtents = new OpenExtentPlan({ ...options });
    this.#balancedAtMs = options.clock.monotonicMs();
  }

  /** Asks all nodes first, so that extents can be placed from the start. */
  static async open(options: StreamUpkeepOptions): Promise<StreamUpkeep> {
    const closed = new AbortController();
    const parts = await openUpkeepParts({ ...options, signal: closed.signal });
    const upkeep = new StreamUpkeep(options, parts, closed);
    await upkeep.poll();
    // What the leader before had begun goes on at once; who is dead is known only after some silence.
    parts.repair.addAll({ includesFailed: false });
    upkeep.#schedule();
    return upkeep;
  }

  get repair(): UpkeepParts['repair'] {
    return this.#parts.repair;
  }

  get #registry(): NodeRegistry {
    return this.#parts.registry;
  }

  /** Asks all nodes how they are. One that does not answer counts as silent. */
  async poll(): Promise<void> {
    const { nodes } = this.#options;
    await Promise.all(
      this.#registry.states().map(async ({ memberId }) => {
        // The deadline of one of several: nobody may be waited for long here.
        const call = { memberId, replicaCount: 2, what: 'Asking for the status' };
        const status = await nodes.call(call, (node) => node.status()).catch(() => undefined);
        if (status) await this.#registry.hear(status);
      })
    );
  }

  async heartbeat(message: HeartbeatMessage): Promise<HeartbeatAnswer> {
    await this.#registry.hear(message);
    return { intervalMs: this.#options.settings.heartbeatMs };
  }

  #schedule(): void {
    if (this.#closed.signal.aborted) return;
    const { clock, settings } = this.#options;
    this.#timer = clock.setTimer(settings.heartbeatMs, () => {
      this.#check();
      this.#schedule();
    });
  }

  /** What the time alone may have changed. */
  #check(): void {
    const { onEvent } = this.#options;
    if (this.#registry.check()) this.#parts.repair.addAll({ includesFailed: true });
    this.#parts.scrubber.check();
    this.#balanceWhenSettled();
    this.#settleMembers().catch((cause: unknown) => {
      if (!this.#closed.signal.aborted) onEvent({ type: 'sweep-failed', cause });
    });
  }

  /** Seals the open extents that cannot stay as they are; then what is drained is said. */
  async #settleMembers(): Promise<void> {
    const isLeaving = this.#openExtents.findLeaving(this.#unsealed());
    if (isLeaving) {
      this.#sealing ??= this.#options.sealOpen(isLeaving).finally(() => {
        this.#sealing = undefined;
      });
    }
    await this.#sealing;
    for (const { memberId, duty } of this.#registry.states()) {
      if (duty !== 'draining' || this.#hasReplicas(memberId)) continue;
      await this.#registry.setDuty(memberId, 'drained');
    }
  }

  *#unsealed(): Iterable<ExtentRecord> {
    for (const [, record] of this.#options.tables.extents()) if (record.state !== 'sealed') yield record;
  }

  #hasReplicas(memberId: MemberId): boolean {
    // Its place may be in a list at any moment.
    if (this.#options.allocating.size > 0) return true;
    for (const [, { replicas }] of this.#options.tables.extents()) {
      if (replicas.includes(memberId)) return true;
    }
    return false;
  }

  /** Finds what crashes and failures left. Repairs go on in the background; `idle` waits for them. */
  async sweep({ includesFailed }: { readonly includesFailed: boolean }): Promise<void> {
    const { collector, orphans, repair } = this.#parts;
    await this.poll();
    await collector.collect();
    await orphans.run();
    repair.addAll({ includesFailed });
    await this.#settleMembers();
  }

  /** What is missing comes first. Each round waits for the moves of the one before and what heartbeats say of them. */
  #balanceWhenSettled(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const isIdle = this.#parts.repair.queueLength === 0;
    if (this.#isBalancing) {
      this.#balancedAtMs = nowMs;
      this.#isBalancing = !isIdle;
    }
    if (!isIdle || nowMs - this.#balancedAtMs < SETTLE_MS) return;
    this.#balancedAtMs = nowMs;
    this.#isBalancing = this.#rebalance();
  }

  /** Whether there is something to move. */
  #rebalance(): boolean {
    const moves = planRebalance({
      nodes: this.#registry.placeable(),
      extents: this.#movable(),
      movesMax: MOVES_MAX
    });
    for (const move of moves) this.#parts.repair.addMove(move);
    return moves.length > 0;
  }

  *#movable(): Iterable<BalanceExtent> {
    const findMember = (memberId: MemberId) => this.#registry.find(memberId);
    for (const [extentId, record] of this.#options.tables.extents()) {
      if (record.state !== 'sealed' || goodCount({ record, findMember }) < record.replicas.length) continue;
      yield { extentId, replicas: record.replicas, length: record.length };
    }
  }

  async members(): Promise<MembersAnswer> {
    const placed = new Map<MemberId, { replicaCount: number; replicaBytes: number }>();
    for (const [, record] of this.#options.tables.extents()) {
      for (const memberId of record.replicas) {
        const known = placed.get(memberId) ?? { replicaCount: 0, replicaBytes: 0 };
        const bytes = record.state === 'sealed' ? record.length : 0;
        placed.set(memberId, {
          replicaCount: known.replicaCount + 1,
          replicaBytes: known.replicaBytes + bytes
        });
      }
    }
    const none = { replicaCount: 0, replicaBytes: 0 };
    const states = [...this.#registry.states()].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
    const members = states.map((state) => ({
      ...this.#viewOf(state),
      ...(placed.get(state.memberId) ?? none)
    }));
    return { members };
  }

  #viewOf({ status, ...state }: MemberState): Omit<MemberView, 'replicaCount' | 'replicaBytes'> {
    const { totalBytes = 0, freeBytes = 0, room = 'bytes' } = status ?? {};
    const isFull = room !== 'bytes';
    return { ...state, totalBytes, freeBytes, isFull, scrub: this.#parts.scrubber.view(state.memberId) };
  }

  /** For metrics. */
  async measure(): Promise<Omit<StreamMeasure, 'unknownLengthCount'>> {
    const { tables, nodes, clock } = this.#options;
    const { repair, orphans, scrubber } = this.#parts;
    const extents = await measureExtents({
      extents: tables.extents(),
      wantedCount: nodes.replicaCount,
      findMember: (memberId) => this.#registry.find(memberId),
      isMissing: (extentId, memberId) => repair.missing.has(extentId, memberId),
      scrubbedTo: scrubber.positions(),
      clock
    });
    const { members } = await this.members();
    return { ...extents, repair: repair.measure(), orphans: orphans.measure(), members };
  }

  async extents(message: ExtentsMessage): Promise<ExtentsAnswer> {
    const { tables, nodes } = this.#options;
    const findMember = (memberId: MemberId) => this.#registry.find(memberId);
    return reportExtents({ extents: tables.extents(), wantedCount: nodes.replicaCount, findMember }, message);
  }

  async drain({ memberId, isCancelled }: DrainMessage): Promise<void> {
    if (isCancelled) {
      await this.#registry.setDuty(memberId, 'active');
      return;
    }
    const member = this.#registry.find(memberId);
    if (!member) throw unknownMember(memberId);
    if (member.duty === 'drained') return;
    this.#requireRoomWithout(memberId);
    await this.#registry.setDuty(memberId, 'draining');
    this.#parts.repair.addAll({ includesFailed: true });
    this.#check();
  }

  /** Every extent needs another place. */
  #requireRoomWithout(memberId: MemberId): void {
    const { replicaCount } = this.#options.nodes;
    const others = this.#registry.placeable().filter((status) => status.memberId !== memberId);
    const domainCount = new Set(others.map((status) => status.faultDomain)).size;
    if (domainCount >= replicaCount) return;
    const counts = `nodes that are up in ${domainCount} fault domains, and extents need ${replicaCount}`;
    throw wrong(`Without ${memberId} there are ${counts}. Add a node, or bring one back, first.`);
  }

  async removeMember({ memberId }: RemoveMemberMessage): Promise<void> {
    const member = this.#registry.find(memberId);
    if (!member) throw unknownMember(memberId);
    if (this.#hasReplicas(memberId)) {
      throw wrong(`Member ${memberId} has replicas. Drain it, or wait until they are made anew elsewhere.`);
    }
    if (member.liveness === 'up') {
      const seconds = Math.round(member.silentMs / 1000);
      const advice = 'Stop it if it runs, and try again when it is silent for some seconds.';
      throw wrong(`Member ${memberId} was heard ${seconds} s ago. ${advice}`);
    }
    await this.#registry.remove(memberId);
    await this.#parts.scrubber.remove(memberId);
  }

  async scrub({ memberIds }: ScrubMessage): Promise<void> {
    const known = this.#registry.states().map((state) => state.memberId);
    const unknown = memberIds?.find((memberId) => !known.includes(memberId));
    if (unknown !== undefined) throw unknownMember(unknown);
    await this.#parts.scrubber.start(memberIds ?? known);
  }

  /** Deletes what no stream lists any more, soon. */
  collectSoon(): void {
    const { onEvent } = this.#options;
    this.#parts.collector.collect().catch((cause: unknown) => onEvent({ type: 'sweep-failed', cause }));
  }

  /** Resolves when no repair or move is left to do now. */
  async idle(): Promise<void> {
    await this.#parts.repair.idle();
  }

  /** Stops at the next step and waits for it. */
  async close(): Promise<void> {
    this.#closed.abort();
    this.#timer?.[Symbol.dispose]();
    const { repair, scrubber, collector } = this.#parts;
    await Promise.all([repair.idle(), scrubber.idle()]);
    await this.#sealing?.catch(() => undefined);
    // A collection that failed is the next leader's.
    await collector.idle();
  }
}

function unknownMember(memberId: MemberId): StoreError {
  return wrong(`There is no member ${memberId}. List the members.`);
}

function wrong(message: string): StoreError {
  return new StoreError('InvalidArgument', message);
}
