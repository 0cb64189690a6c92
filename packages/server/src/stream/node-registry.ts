import { type FaultDomain, type MemberId, StoreError } from '../api/index.js';
import type { Leadership, MetaEntry, MetaStore } from '../coordination/index.js';
import type { Clock } from '../platform/index.js';
import type { ExtentNodeStatus } from './extent-node-api.js';
import { livenessOf } from './member-liveness.js';
import {
  decodeMember,
  encodeMember,
  MEMBER_PREFIX,
  type MemberRecord,
  memberIdOf,
  memberKey
} from './member-record.js';
import type { MemberDuty, MemberLiveness } from './membership-api.js';
import type { OnStreamEvent } from './stream-event.js';

export interface NodeRegistryOptions {
  readonly metaStore: MetaStore;
  /** Its proof is part of every transaction. */
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** A member that is silent for so long is dead. */
  readonly deadAfterMs: number;
  readonly onEvent: OnStreamEvent;
}

/** A member as the stream manager sees it now. */
export interface MemberState {
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  readonly liveness: MemberLiveness;
  readonly duty: MemberDuty;
  readonly silentMs: number;
  /** As of the last heartbeat; absent before the first. */
  readonly status: ExtentNodeStatus | undefined;
}

interface Entry {
  record: MemberRecord;
  revision: number;
  status: ExtentNodeStatus | undefined;
  heardAtMs: number;
  /** As it was told last. */
  liveness: MemberLiveness;
}

/**
 * The map of the extent nodes of a stamp: who they are and what an operator wants of them is durable, whether they live
 * is known by their heartbeats. A new stream manager gives everyone the whole grace time again.
 */
export class NodeRegistry {
  readonly #options: NodeRegistryOptions;
  readonly #startedAtMs: number;
  readonly #entries = new Map<MemberId, Entry>();

  private constructor(options: NodeRegistryOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.monotonicMs();
  }

  static async load(options: NodeRegistryOptions): Promise<NodeRegistry> {
    const registry = new NodeRegistry(options);
    const { entries } = await options.metaStore.range(MEMBER_PREFIX);
    for (const entry of entries) registry.#remember(memberIdOf(entry.key), entry);
    return registry;
  }

  /** A node said that it is alive. One that is new, or in another fault domain than before, is recorded first. */
  async hear(status: ExtentNodeStatus): Promise<void> {
    const { memberId, faultDomain } = status;
    const known = this.#entries.get(memberId);
    if (known?.record.faultDomain !== faultDomain) await this.#register(memberId, faultDomain);
    const entry = this.#entries.get(memberId);
    if (!entry) return;
    entry.status = status;
    entry.heardAtMs = this.#options.clock.monotonicMs();
    this.#tell(memberId, entry);
  }

  async #register(memberId: MemberId, faultDomain: FaultDomain): Promise<void> {
    const found = await this.#options.metaStore.find(memberKey(memberId));
    const record = found && decodeMember(found);
    if (found && record?.faultDomain === faultDomain) this.#remember(memberId, found);
    else await this.#put(memberId, { ...record, faultDomain }, found?.revision ?? 0);
  }

  async #put(memberId: MemberId, record: MemberRecord, revision: number): Promise<void> {
    const key = memberKey(memberId);
    const value = encodeMember(record);
    const result = await this.#options.metaStore.transact({
      compares: [this.#options.leadership.proof, { key, revision }],
      puts: [{ key, value }]
    });
    if (!result.committed) throw await this.#conflict(memberId);
    this.#remember(memberId, { value, revision: result.revision });
  }

  #remember(memberId: MemberId, entry: Pick<MetaEntry, 'value' | 'revision'>): void {
    const record = decodeMember(entry);
    const { revision } = entry;
    const known = this.#entries.get(memberId);
    if (known) {
      known.record = record;
      known.revision = revision;
      return;
    }
    const heardAtMs = this.#options.clock.monotonicMs();
    this.#entries.set(memberId, { record, revision, status: undefined, heardAtMs, liveness: 'up' });
  }

  async #conflict(memberId: MemberId): Promise<StoreError> {
    const found = await this.#options.metaStore.find(memberKey(memberId));
    if (found) this.#remember(memberId, found);
    return new StoreError('ServiceUnavailable', `The record of member ${memberId} changed. Try again.`);
  }

  find(memberId: MemberId): MemberState | undefined {
    const entry = this.#entries.get(memberId);
    if (!entry) return undefined;
    const silentMs = this.#options.clock.monotonicMs() - entry.heardAtMs;
    const { record, status } = entry;
    return {
      memberId,
      faultDomain: record.faultDomain,
      liveness: this.#liveness(silentMs),
      duty: record.duty ?? 'active',
      silentMs,
      status
    };
  }

  states(): readonly MemberState[] {
    return [...this.#entries.keys()].map((memberId) => this.find(memberId)!);
  }

  /** Of any member, also of one that nobody has heard of. */
  livenessOf(memberId: MemberId): MemberLiveness {
    const heardAtMs = this.#entries.get(memberId)?.heardAtMs ?? this.#startedAtMs;
    return this.#liveness(this.#options.clock.monotonicMs() - heardAtMs);
  }

  #liveness(silentMs: number): MemberLiveness {
    const { heartbeatMs, deadAfterMs } = this.#options;
    return livenessOf({ silentMs, heartbeatMs, deadAfterMs });
  }

  /** What nodes that may get new extents said last. */
  placeable(): readonly ExtentNodeStatus[] {
    return this.states().flatMap(({ liveness, duty, status }) =>
      liveness === 'up' && duty === 'active' && status ? [status] : []
    );
  }

  /** Tells whose liveness changed with the time; true when somebody's did. */
  check(): boolean {
    let hasChanged = false;
    for (const [memberId, entry] of this.#entries) {
      if (this.#tell(memberId, entry)) hasChanged = true;
    }
    return hasChanged;
  }

  #tell(memberId: MemberId, entry: Entry): boolean {
    const liveness = this.livenessOf(memberId);
    if (liveness === entry.liveness) return false;
    entry.liveness = liveness;
    this.#announce(memberId);
    return true;
  }

  #announce(memberId: MemberId): void {
    const { faultDomain, liveness, duty } = this.find(memberId)!;
    this.#options.onEvent({ type: 'member-changed', memberId, faultDomain, liveness, duty });
  }

  /** Durable on return. @throws StoreError `InvalidArgument` for an unknown member. */
  async setDuty(memberId: MemberId, duty: MemberDuty): Promise<void> {
    const { record, revision } = this.#get(memberId);
    if ((record.duty ?? 'active') === duty) return;
    const { faultDomain } = record;
    await this.#put(memberId, duty === 'active' ? { faultDomain } : { faultDomain, duty }, revision);
    this.#announce(memberId);
  }

  /** Durable on return. @throws StoreError `InvalidArgument` for an unknown member. */
  async remove(memberId: MemberId): Promise<void> {
    const { revision } = this.#get(memberId);
    const key = memberKey(memberId);
    const { committed } = await this.#options.metaStore.transact({
      compares: [this.#options.leadership.proof, { key, revision }],
      deletes: [key]
    });
    if (!committed) throw await this.#conflict(memberId);
    this.#entries.delete(memberId);
  }

  #get(memberId: MemberId): Entry {
    const entry = this.#entries.get(memberId);
    if (entry) return entry;
    throw new StoreError('InvalidArgument', `There is no member ${memberId}. List the members.`);
  }
}
