import type { MemberId } from '../api/index.js';
import type { Leadership, MemberDirectory, MetaStore } from '../coordination/index.js';
import { WatchedRange } from '../coordination/index.js';
import type { Clock } from '../platform/index.js';
import type { OnPartitionEvent } from './partition-event.js';
import {
  decodeRange,
  encodeRange,
  type OwnedRange,
  PARTITION_MAP_PREFIX,
  WHOLE_RANGE
} from './partition-map.js';

export interface PartitionManagerOptions {
  readonly meta: MetaStore;
  readonly clock: Clock;
  readonly members: MemberDirectory;
  /** The process that campaigns, for those who look who leads. */
  readonly candidate: string;
  readonly onEvent: OnPartitionEvent;
}

export const PARTITION_MANAGER_ELECTION = 'partition-manager';
const LEASE_MS = 5000;
const RETRY_MS = 500;
/** Assignments are looked at again even when nothing was heard. */
const CHECK_MS = 1000;

/**
 * Gives each range of the partition map to a partition server that is there. Campaigns, acts while it leads, and campaigns
 * again. It decides only who should load a range: that no two serve it is the work of epochs and leases.
 */
export class PartitionManager {
  readonly #options: PartitionManagerOptions;
  readonly #closing = new AbortController();
  #running: Promise<void>;
  #epoch: number | undefined;

  constructor(options: PartitionManagerOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Of its leadership; absent while another one leads. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, onEvent } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#lead();
      } catch (cause) {
        if (signal.aborted) return;
        onEvent({ type: 'assignment-failed', cause });
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  /** One term. */
  async #lead(): Promise<void> {
    const { meta, clock, candidate, members } = this.#options;
    const { signal } = this.#closing;
    const lease = await meta.grantLease(LEASE_MS, { signal });
    try {
      const leadership = await meta.campaign(PARTITION_MANAGER_ELECTION, candidate, { lease, signal });
      const ended = AbortSignal.any([leadership.lost, signal]);
      this.#begin(leadership.epoch);
      const map = await WatchedRange.open({ meta, clock, prefix: PARTITION_MAP_PREFIX });
      try {
        while (!ended.aborted) {
          await this.#assign(map, leadership);
          const woken = new AbortController();
          const either = AbortSignal.any([ended, woken.signal]);
          await Promise.race([map.changed(CHECK_MS, either), members.changed(CHECK_MS, either)]);
          woken.abort();
        }
      } finally {
        await map.close();
      }
    } finally {
      this.#end();
      if (!lease.lost.aborted) await lease.revoke().catch(() => undefined);
    }
  }

  #begin(epoch: number): void {
    this.#epoch = epoch;
    this.#options.onEvent({ type: 'partition-manager-leads', epoch });
  }

  #end(): void {
    const epoch = this.#epoch;
    this.#epoch = undefined;
    if (epoch !== undefined) this.#options.onEvent({ type: 'partition-manager-ended', epoch });
  }

  async #assign(map: WatchedRange, leadership: Leadership): Promise<void> {
    const servers = this.#options.members.all('partitionServer').map(({ memberId }) => memberId);
    if (servers.length === 0) return;
    const entries = [...map.entries()];
    const ranges = entries.map((entry) => ({ range: decodeRange(entry), revision: entry.revision }));
    const counts = new Map<MemberId, number>(servers.map((id) => [id, 0]));
    for (const { range } of ranges) counts.set(range.owner, (counts.get(range.owner) ?? 0) + 1);
    const orphans = ranges.filter(({ range }) => !servers.includes(range.owner));
    if (ranges.length === 0) {
      const range: OwnedRange = { ...WHOLE_RANGE, epoch: 0, owner: leastLoaded(servers, counts) };
      await this.#give(range, 0, leadership);
    }
    for (const { range, revision } of orphans) {
      const owner = leastLoaded(servers, counts);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
      await this.#give({ ...range, owner }, revision, leadership);
    }
  }

  async #give(range: OwnedRange, revision: number, leadership: Leadership): Promise<void> {
    const key = PARTITION_MAP_PREFIX + range.partitionId;
    const { committed } = await this.#options.meta.transact(
      { compares: [{ key, revision }, leadership.proof], puts: [{ key, value: encodeRange(range) }] },
      { signal: this.#closing.signal }
    );
    const { partitionId, owner } = range;
    // Else the copy of the map is behind: its next change comes with another look.
    if (committed) this.#options.onEvent({ type: 'partition-assigned', partitionId, owner });
  }
}

/** The one with the fewest ranges, the first by id among equals. */
function leastLoaded(servers: readonly MemberId[], counts: ReadonlyMap<MemberId, number>): MemberId {
  const count = (id: MemberId): number => counts.get(id) ?? 0;
  const sorted = [...servers].sort((a, b) => count(a) - count(b) || (a < b ? -1 : 1));
  return sorted[0]!;
}
