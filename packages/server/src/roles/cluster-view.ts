import { depose, type Member, MemberDirectory, type MetaStore } from '../coordination/index.js';
import {
  openRemotePartitionLayer,
  PARTITION_MANAGER_ELECTION,
  type RemotePartitionLayer
} from '../partition/index.js';
import type { Clock, Random } from '../platform/index.js';
import type { RoleNetwork } from '../rpc/index.js';
import { leadingStreamManager, STREAM_MANAGER_ELECTION, type StreamManagerApi } from '../stream/index.js';
import { MemberConnections } from './member-connections.js';

export interface ClusterViewOptions {
  readonly meta: MetaStore;
  readonly network: RoleNetwork;
  readonly clock: Clock;
  readonly random: Random;
}

const BURY_INTERVAL_MS = 1000;

/** What a process needs to reach the others: who is there, connections to them, and who leads. */
export class ClusterView {
  readonly members: MemberDirectory;
  readonly connections: MemberConnections;
  readonly streamManager: StreamManagerApi;
  readonly #options: ClusterViewOptions;
  readonly #buriedAtMs = new Map<string, number>();

  private constructor(options: ClusterViewOptions, members: MemberDirectory) {
    this.#options = options;
    this.members = members;
    this.connections = new MemberConnections({
      network: options.network,
      members,
      onGone: (member) => this.#bury(member)
    });
    this.streamManager = leadingStreamManager({ ...options, connect: this.connections.connect });
  }

  /** @throws StoreError when the meta store cannot be reached. */
  static async open(options: ClusterViewOptions): Promise<ClusterView> {
    const { meta, clock } = options;
    return new ClusterView(options, await MemberDirectory.open({ meta, clock }));
  }

  /** The partition layer of front ends: each call goes to the server that owns its keys. */
  openPartitionLayer(): Promise<RemotePartitionLayer> {
    const { members, connections } = this;
    return openRemotePartitionLayer({ ...this.#options, members, connect: connections.connect });
  }

  async close(): Promise<void> {
    this.connections.close();
    await this.members.close();
  }

  /** So that what it held is taken over now and not when its leases run out. Best effort: they will. */
  #bury(member: Member): void {
    const { meta, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const name = `${member.memberId} ${member.revision}`;
    if (nowMs - (this.#buriedAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < BURY_INTERVAL_MS) return;
    for (const [other, atMs] of this.#buriedAtMs)
      if (nowMs - atMs >= BURY_INTERVAL_MS) this.#buriedAtMs.delete(other);
    this.#buriedAtMs.set(name, nowMs);
    this.members.bury(member).catch(() => undefined);
    for (const election of [STREAM_MANAGER_ELECTION, PARTITION_MANAGER_ELECTION])
      depose(meta, election, member.address).catch(() => undefined);
  }
}
