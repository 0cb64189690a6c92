import type { MetricRegistry } from '../platform/index.js';
import type { StreamMeasure } from '../stream/index.js';
import { type GaugeDefinitions, GaugeTable } from './gauge-table.js';

/** More series of single members would only burden who scrapes. */
const MEMBERS_MAX = 1000;
const LIVENESS = ['up', 'suspect', 'dead'] as const;
const DUTIES = ['active', 'draining', 'drained'] as const;

type Name =
  | 'extents'
  | 'extents_under_replicated'
  | 'extents_unavailable'
  | 'extents_unknown_length'
  | 'extents_possible_loss'
  | 'replicas'
  | 'sealed_bytes'
  | 'replica_bytes'
  | 'copy_pending_bytes'
  | 'repair_extents'
  | 'orphan_files'
  | 'members'
  | 'member_silent_seconds'
  | 'member_free_bytes'
  | 'member_total_bytes'
  | 'member_replicas'
  | 'member_replica_bytes'
  | 'scrub_pending_bytes'
  | 'scrub_started_timestamp_seconds'
  | 'scrub_finished_timestamp_seconds';

const DEFINITIONS: GaugeDefinitions<Name> = {
  extents: ['Extents of the stamp by state.', 'state'],
  extents_under_replicated: ['Extents that lack so many good replicas.', 'missing'],
  extents_unavailable: ['Extents that have no good replica on a node that is not dead.'],
  extents_unknown_length: ['Extents whose length cannot be decided, as too few replicas answer.'],
  extents_possible_loss: ['Extents that were sealed although no replica was whole.'],
  replicas: ['Replicas that extents should have, by how they fare.', 'condition'],
  sealed_bytes: ['Bytes of sealed extents, each counted once.'],
  replica_bytes: ['Bytes of all replicas of sealed extents.'],
  copy_pending_bytes: ['Bytes of replicas that are to be written, by why.', 'reason'],
  repair_extents: ['Extents before the repair: queued, active, or failed and tried again later.', 'state'],
  orphan_files: [
    'Files on nodes that no list names: unknown ones are kept, others wait to be deleted.',
    'state'
  ],
  members: ['Extent nodes by liveness and by duty.', 'liveness', 'duty'],
  member_silent_seconds: ['Since an extent node was heard last.', 'member'],
  member_free_bytes: ['Free on the disk of an extent node, as it said last.', 'member'],
  member_total_bytes: ['Size of the disk of an extent node, as it said last.', 'member'],
  member_replicas: ['Replicas that an extent node should have.', 'member'],
  member_replica_bytes: ['Bytes of the sealed replicas that an extent node should have.', 'member'],
  scrub_pending_bytes: ['What the scrub under way has not verified yet.', 'member'],
  scrub_started_timestamp_seconds: ['When the last scrub began.', 'member'],
  scrub_finished_timestamp_seconds: ['When the last scrub ended; absent while one is under way.', 'member']
};

/** What the stream manager that leads knows; a standby says nothing of it, so that nothing is counted twice. */
export class StreamMetrics {
  readonly #gauges: GaugeTable<Name>;

  constructor(registry: MetricRegistry) {
    this.#gauges = new GaugeTable(registry, DEFINITIONS);
  }

  show(measure: StreamMeasure | undefined): void {
    this.#gauges.clear();
    if (!measure) return;
    this.#showExtents(measure);
    this.#showWork(measure);
    this.#showMembers(measure);
  }

  #showExtents(measure: StreamMeasure): void {
    const gauges = this.#gauges;
    for (const [state, count] of Object.entries(measure.extentCounts))
      gauges.set('extents', count, { state });
    for (const [missing, count] of measure.missingCounts.entries())
      if (missing > 0) gauges.set('extents_under_replicated', count, { missing });
    gauges.set('extents_unavailable', measure.unavailableCount);
    gauges.set('extents_unknown_length', measure.unknownLengthCount);
    gauges.set('extents_possible_loss', measure.possibleLossCount);
    for (const [condition, count] of Object.entries(measure.replicaCounts))
      gauges.set('replicas', count, { condition });
    gauges.set('sealed_bytes', measure.sealedBytes);
    gauges.set('replica_bytes', measure.replicaBytes);
  }

  #showWork({ repairBytes, drainBytes, repair, orphans }: StreamMeasure): void {
    const gauges = this.#gauges;
    gauges.set('copy_pending_bytes', repairBytes, { reason: 'repair' });
    gauges.set('copy_pending_bytes', drainBytes, { reason: 'drain' });
    gauges.set('copy_pending_bytes', repair.moveBytes, { reason: 'rebalance' });
    gauges.set('repair_extents', repair.queuedCount, { state: 'queued' });
    gauges.set('repair_extents', repair.activeCount, { state: 'active' });
    gauges.set('repair_extents', repair.failedCount, { state: 'failed' });
    gauges.set('orphan_files', orphans.unknownCount, { state: 'unknown' });
    gauges.set('orphan_files', orphans.waitingCount, { state: 'waiting' });
  }

  #showMembers({ members, scrubBytes }: StreamMeasure): void {
    const gauges = this.#gauges;
    for (const liveness of LIVENESS)
      for (const duty of DUTIES) {
        const count = members.filter((each) => each.liveness === liveness && each.duty === duty).length;
        gauges.set('members', count, { liveness, duty });
      }
    for (const each of members.slice(0, MEMBERS_MAX)) {
      const member = { member: each.memberId };
      gauges.set('member_silent_seconds', each.silentMs / 1000, member);
      gauges.set('member_free_bytes', each.freeBytes, member);
      gauges.set('member_total_bytes', each.totalBytes, member);
      gauges.set('member_replicas', each.replicaCount, member);
      gauges.set('member_replica_bytes', each.replicaBytes, member);
      gauges.set('scrub_pending_bytes', scrubBytes.get(each.memberId) ?? 0, member);
      const { startedAtMs, finishedAtMs } = each.scrub;
      if (startedAtMs !== undefined)
        gauges.set('scrub_started_timestamp_seconds', startedAtMs / 1000, member);
      if (finishedAtMs !== undefined)
        gauges.set('scrub_finished_timestamp_seconds', finishedAtMs / 1000, member);
    }
  }
}
