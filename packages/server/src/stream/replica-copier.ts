import { type ExtentId, type FaultDomain, isStoreError, type MemberId } from '../api/index.js';
import type { Random } from '../platform/index.js';
import type { SealedRecord } from './extent-repair.js';
import { NodeDirectory } from './node-directory.js';
import type { NodeRegistry } from './node-registry.js';
import { choosePlacement } from './placement.js';
import { conditionOf } from './repair-plan.js';
import type { OnStreamEvent } from './stream-event.js';

export interface ReplicaCopierOptions {
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
  readonly random: Random;
  readonly onEvent: OnStreamEvent;
  readonly signal: AbortSignal;
  readonly managerEpoch: number;
  /** Of one copy. */
  readonly bytesPerSecond: number;
}

/** `disk-failed`: the node's disk is full or broken, so the replica has to go elsewhere. */
export type CopyOutcome = 'whole' | 'failed' | 'disk-failed';

/** Has nodes confirm, rebuild, make and delete replicas of sealed extents. Decides nothing about the lists. */
export class ReplicaCopier {
  readonly #options: ReplicaCopierOptions;
  /** Replicas that no list has yet, but may soon. */
  readonly #copying = new Set<string>();
  /** Deletes on their way, which must not meet a new replica. */
  readonly #deleting = new Map<string, number>();

  constructor(options: ReplicaCopierOptions) {
    this.#options = options;
  }

  isCopying(extentId: ExtentId, memberId: MemberId): boolean {
    return this.#copying.has(`${extentId} ${memberId}`);
  }

  /** Has a node seal its replica at the decided length, or write it anew when it cannot. */
  async confirm(extentId: ExtentId, record: SealedRecord, memberId: MemberId): Promise<CopyOutcome> {
    const place = { extentId, record, memberId };
    try {
      if (await this.#seal(place, { acceptsDamage: false })) return 'whole';
    } catch (error) {
      // Without a file the node needs a whole rebuild; any other failure waits for the next sweep.
      if (!isStoreError(error, 'ExtentNotFound')) return 'failed';
    }
    const outcome = await this.rebuild(extentId, record, memberId);
    if (outcome !== 'failed' || !record.isDamaged) return outcome;
    // No replica has better bytes: what is there must at least not change any more.
    const isSealed = await this.#seal(place, { acceptsDamage: true }).catch(() => false);
    return isSealed ? 'whole' : 'failed';
  }

  async #seal(
    { extentId, record, memberId }: ReplicaPlace,
    { acceptsDamage }: { readonly acceptsDamage: boolean }
  ): Promise<boolean> {
    const { length, ownerEpoch: epoch, replicas } = record;
    const call = { memberId, replicaCount: replicas.length, what: `Sealing extent ${extentId}` };
    const answer = await this.#options.nodes.call(call, (node) =>
      node.seal({ extentId, epoch, length, acceptsDamage })
    );
    return answer.isComplete;
  }

  /** Writes a replica anew where it is, from its own intact blocks and those of the others. */
  async rebuild(extentId: ExtentId, record: SealedRecord, memberId: MemberId): Promise<CopyOutcome> {
    if (!this.#options.nodes.find(memberId)) return 'failed';
    if (record.replicas.length === 1) return await this.#verify({ extentId, record, memberId });
    const outcome = await this.#write({ extentId, record, memberId });
    if (outcome === 'whole')
      this.#options.onEvent({ type: 'replica-rebuilt', extentId, memberId, bytes: record.length });
    return outcome;
  }

  /** Nothing can make a single replica whole, but what gave bad bytes once may be well. */
  async #verify({ extentId, record, memberId }: ReplicaPlace): Promise<CopyOutcome> {
    const { nodes, signal, bytesPerSecond } = this.#options;
    const { length } = record;
    const what = `Verifying extent ${extentId}`;
    const call = { memberId, replicaCount: 1, what, timeoutMs: this.#timeoutMs(length) };
    const message = { extentId, length, bytesPerSecond };
    const verifying = nodes.call(call, (node) => node.verify(message, { signal }));
    return (await verifying.catch(() => undefined))?.isIntact ? 'whole' : 'failed';
  }

  #timeoutMs(length: number): number {
    return NodeDirectory.timeoutMsFor(length) + (length * 1000) / this.#options.bytesPerSecond;
  }

  /** A node that can take a replica, in none of these fault domains. */
  chooseTarget(
    extentId: ExtentId,
    { replicas, length }: SealedRecord,
    taken: readonly FaultDomain[]
  ): MemberId | undefined {
    const { nodes, registry, random } = this.#options;
    const candidates = nodes
      .candidates(registry.placeable())
      .filter(
        ({ memberId, faultDomain, freeBytes }) =>
          freeBytes > length &&
          !taken.includes(faultDomain) &&
          !replicas.includes(memberId) &&
          !this.#deleting.has(`${extentId} ${memberId}`)
      );
    return choosePlacement({ candidates, replicaCount: 1, fraction: () => random.fraction() })[0];
  }

  /** Makes a replica on a node that is not in the list; `enlist` runs while nobody takes it for a left-over. */
  async copy(
    { extentId, record, target }: Omit<ReplicaPlace, 'memberId'> & { readonly target: MemberId },
    enlist: () => Promise<void>
  ): Promise<CopyOutcome> {
    const key = `${extentId} ${target}`;
    this.#copying.add(key);
    try {
      const outcome = await this.#write({ extentId, record, memberId: target });
      if (outcome === 'whole') await enlist();
      return outcome;
    } finally {
      this.#copying.delete(key);
    }
  }

  async #write({ extentId, record, memberId }: ReplicaPlace): Promise<CopyOutcome> {
    const { onEvent, nodes, managerEpoch, bytesPerSecond, signal } = this.#options;
    const { length, ownerEpoch: epoch, replicas } = record;
    const sources = this.#sourcesOf(record).filter((source) => source !== memberId);
    // Its own bytes alone cannot make a damaged replica whole.
    if (sources.length === 0) return 'failed';
    try {
      const what = `Rebuilding extent ${extentId}`;
      const timeoutMs = this.#timeoutMs(length);
      const call = { memberId, replicaCount: replicas.length, what, timeoutMs };
      const message = { extentId, epoch, length, sources, managerEpoch, bytesPerSecond };
      await nodes.call(call, (node) => node.rebuild(message, { signal }));
      return 'whole';
    } catch (cause) {
      if (signal.aborted) return 'failed';
      onEvent({ type: 'replica-rebuild-failed', extentId, memberId, cause });
      const isOfDisk = isStoreError(cause, 'DiskFailed', 'NoSpace');
      if (isOfDisk) nodes.exclude(memberId);
      return isOfDisk ? 'disk-failed' : 'failed';
    }
  }

  /** Those that most likely have good bytes and answer first. */
  #sourcesOf(record: SealedRecord): readonly MemberId[] {
    const { registry } = this.#options;
    const findMember = (memberId: MemberId) => registry.find(memberId);
    const rankOf = (memberId: MemberId): number => {
      const condition = conditionOf({ record, findMember }, memberId);
      const isSlow = registry.livenessOf(memberId) === 'up' ? 0 : 1;
      return { good: 0, draining: 0, unconfirmed: 2, damaged: 3, dead: 4 }[condition] + isSlow;
    };
    return [...record.replicas].sort((a, b) => rankOf(a) - rankOf(b));
  }

  /** What a node keeps is a left-over now, and a sweep finds it. */
  async delete(extentId: ExtentId, memberId: MemberId): Promise<void> {
    const { nodes, managerEpoch } = this.#options;
    const key = `${extentId} ${memberId}`;
    this.#deleting.set(key, (this.#deleting.get(key) ?? 0) + 1);
    const call = { memberId, replicaCount: 1, what: `Deleting a replica of extent ${extentId}` };
    const message = { extentIds: [extentId], managerEpoch };
    await nodes.call(call, (node) => node.deleteExtents(message)).catch(() => undefined);
    const count = this.#deleting.get(key)! - 1;
    if (count === 0) this.#deleting.delete(key);
    else this.#deleting.set(key, count);
  }
}

interface ReplicaPlace {
  readonly extentId: ExtentId;
  readonly record: SealedRecord;
  readonly memberId: MemberId;
}
