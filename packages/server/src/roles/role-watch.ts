import type { Membership } from '../coordination/index.js';
import type { Leader, MonitoredRoles, RoleName, RoleState } from '../monitoring/index.js';
import type { PartitionManager, PartitionMeasure, PartitionServer } from '../partition/index.js';
import type { EmbeddedNodes, ExtentNodeStatus, StreamManagerLeader, StreamMeasure } from '../stream/index.js';

/** The roles of a process as they are opened, for those who look from outside. */
export class RoleWatch implements MonitoredRoles {
  membership: Membership | undefined;
  nodes: EmbeddedNodes | undefined;
  streamManager: StreamManagerLeader | undefined;
  partitionServer: PartitionServer | undefined;
  partitionManager: PartitionManager | undefined;
  /** Whether the ranges can be reached. */
  frontEnd: { readonly isServing: boolean } | undefined;

  states(): readonly RoleState[] {
    const states: RoleState[] = [];
    if (this.streamManager) states.push(this.#memberState('stream-manager', this.#managerText()));
    if (this.nodes) states.push(this.#memberState('extent-node', this.#nodeText()));
    if (this.partitionServer) states.push(this.#memberState('partition-server', this.#rangesText()));
    if (this.frontEnd) {
      const isReady = this.frontEnd.isServing;
      const description = isReady ? 'serving' : 'no partition server can be reached now';
      states.push({ role: 'front-end', isReady, description });
    }
    return states;
  }

  #memberState(role: RoleName, description: string): RoleState {
    if (this.membership?.isAlive) return { role, isReady: true, description };
    return { role, isReady: false, description: 'no member now, as etcd cannot be reached; it tries again' };
  }

  #managerText(): string {
    return this.streamManager?.isLeading ? 'leading' : 'standby';
  }

  #nodeText(): string {
    return this.nodeStatuses().some(({ room }) => room !== 'bytes') ? 'full: it takes no bytes' : 'serving';
  }

  #rangesText(): string {
    const measures = this.measurePartitions();
    const count = measures.filter(({ isServing }) => isServing).length;
    return measures.length === 0 ? 'standby' : `serving ${count} of ${measures.length} ranges`;
  }

  leaders(): readonly Leader[] {
    const leaders: Leader[] = [];
    if (this.streamManager) leaders.push({ role: 'stream-manager', epoch: this.streamManager.epoch });
    if (this.partitionManager)
      leaders.push({ role: 'partition-manager', epoch: this.partitionManager.epoch });
    return leaders;
  }

  async measureStreams(): Promise<StreamMeasure | undefined> {
    return await this.streamManager?.measure();
  }

  measurePartitions(): readonly PartitionMeasure[] {
    return this.partitionServer?.measure() ?? [];
  }

  nodeStatuses(): readonly ExtentNodeStatus[] {
    return this.nodes?.reachable() ?? [];
  }
}
