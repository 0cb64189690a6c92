import type { PartitionMeasure } from '../partition/index.js';
import type { MetricRegistry } from '../platform/index.js';
import type { ExtentNodeStatus, StreamMeasure } from '../stream/index.js';
import { VERSION } from '../version.js';
import { type GaugeDefinitions, GaugeTable } from './gauge-table.js';
import { PartitionMetrics } from './partition-metrics.js';
import { StreamMetrics } from './stream-metrics.js';

export type RoleName = 'stream-manager' | 'extent-node' | 'partition-server' | 'front-end';

/** Whether a role does its work. */
export interface RoleState {
  readonly role: RoleName;
  readonly isReady: boolean;
  /** For people: `leading, epoch 7`, `standby`, or what is missing. */
  readonly description: string;
}

export interface Leader {
  readonly role: 'stream-manager' | 'partition-manager';
  /** Absent while another one leads. */
  readonly epoch: number | undefined;
}

/** What can be seen of the roles of a process, without asking any other one. */
export interface MonitoredRoles {
  states(): readonly RoleState[];
  /** Of the elections in which this process is a candidate. */
  leaders(): readonly Leader[];
  /** Absent unless the stream manager of this process leads. */
  measureStreams(): Promise<StreamMeasure | undefined>;
  measurePartitions(): readonly PartitionMeasure[];
  nodeStatuses(): readonly ExtentNodeStatus[];
}

type Name =
  | 'build'
  | 'role_ready'
  | 'leader'
  | 'leader_epoch'
  | 'disk_free_bytes'
  | 'disk_total_bytes'
  | 'disk_full'
  | 'node_extents';

const DEFINITIONS: GaugeDefinitions<Name> = {
  build: ['1; the label says which version runs.', 'version'],
  role_ready: ['Whether a role of this process does its work.', 'role'],
  leader: ['Whether this process leads, of the elections in which it is a candidate.', 'role'],
  leader_epoch: ['Grows with each leader; absent while another process leads.', 'role'],
  disk_free_bytes: ['Free on the disk of an extent node of this process.', 'member'],
  disk_total_bytes: ['Size of the disk of an extent node of this process.', 'member'],
  disk_full: [
    'Whether an extent node of this process takes no new extents, as its disk is too full.',
    'member'
  ],
  node_extents: ['Files of extents that an extent node of this process has.', 'member']
};

/** Has the metrics of a process show its roles, each time they are read. */
export function showRoles(registry: MetricRegistry, roles: MonitoredRoles): void {
  const gauges = new GaugeTable(registry, DEFINITIONS);
  const streams = new StreamMetrics(registry);
  const partitions = new PartitionMetrics(registry);
  registry.beforeText(async () => {
    gauges.clear();
    gauges.set('build', 1, { version: VERSION });
    for (const { role, isReady } of roles.states()) gauges.set('role_ready', Number(isReady), { role });
    for (const { role, epoch } of roles.leaders()) {
      gauges.set('leader', Number(epoch !== undefined), { role });
      if (epoch !== undefined) gauges.set('leader_epoch', epoch, { role });
    }
    for (const { memberId: member, freeBytes, totalBytes, room, extentCount } of roles.nodeStatuses()) {
      gauges.set('disk_free_bytes', freeBytes, { member });
      gauges.set('disk_total_bytes', totalBytes, { member });
      gauges.set('disk_full', Number(room !== 'bytes'), { member });
      gauges.set('node_extents', extentCount, { member });
    }
    partitions.show(roles.measurePartitions());
    streams.show(await roles.measureStreams().catch(() => undefined));
  });
}
