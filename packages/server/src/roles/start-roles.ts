import { type FaultDomain, LIMITS, type MemberId, memberId } from '../api/index.js';
import { depose, type MemberRole, Membership, type MetaStore } from '../coordination/index.js';
import {
  type OnPartitionEvent,
  PARTITION,
  PARTITION_MANAGER_ELECTION,
  PartitionManager,
  PartitionServer,
  servePartitions
} from '../partition/index.js';
import type { Clock, Disk, OpenOrderedStore, Random } from '../platform/index.js';
import { combineServices, type RoleNetwork, type RoleService } from '../rpc/index.js';
import {
  EmbeddedNodes,
  EXTENT_NODE,
  NodeDirectory,
  NodeStatuses,
  type OnStreamEvent,
  openClusterStreams,
  STREAM_MANAGER,
  STREAM_MANAGER_ELECTION,
  type StreamLayer,
  StreamManagerLeader,
  serveExtentNode,
  serveStreamManager
} from '../stream/index.js';
import { ClusterView } from './cluster-view.js';
import { RoleWatch } from './role-watch.js';

export interface RolesOptions {
  /** Of a process without an extent node; the folder of an extent node says who it is. Default: a random one. */
  readonly memberId?: MemberId | undefined;
  /** The rack, or whatever may fail as one with this process. */
  readonly faultDomain: FaultDomain;
  readonly roles: ChosenRoles;
  /** Stays the caller's, as do the network and the platform. */
  readonly meta: MetaStore;
  readonly network: RoleNetwork;
  /** Where the other members reach this one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly platform: RolePlatform;
  /** How many replicas new extents get, each in another fault domain. Default 3. */
  readonly replicaCount?: number | undefined;
  readonly extentBytesMax?: number | undefined;
  readonly checkpointRecordBytesMin?: number | undefined;
  readonly memberTimeToLiveMs?: number | undefined;
  readonly onEvent?: (OnPartitionEvent & OnStreamEvent) | undefined;
}

export interface ChosenRoles {
  readonly streamManager?: boolean | undefined;
  readonly extentNode?: { readonly directory: string } | undefined;
  readonly partitionServer?: PartitionServerRole | undefined;
}

export interface PartitionServerRole {
  /** Of the indexes: a cache, which may be deleted while the process is stopped. */
  readonly indexDirectory: string;
  readonly durability?: 'sync' | 'os' | undefined;
}

export interface RolePlatform {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly openOrderedStore: OpenOrderedStore;
}

export interface RunningRoles {
  readonly memberId: MemberId;
  /** `host:port` of the internal listener. */
  readonly address: string;
  readonly view: ClusterView;
  /** For metrics and health. */
  readonly watch: RoleWatch;
  /** Leaves the stamp in order; what it served is taken over by others. */
  close(): Promise<void>;
}

const REPLICA_COUNT = 3;

/**
 * Runs roles of a stamp in this process, reached by the others over the network. Nothing acknowledged depends on a clean
 * end of it.
 *
 * @throws StoreError what keeps it from starting: no meta store, a folder that cannot be used, an address that is taken.
 */
export async function startRoles(options: RolesOptions): Promise<RunningRoles> {
  const starting = new StartingRoles(options);
  try {
    return await starting.start();
  } catch (error) {
    await starting.close().catch(() => undefined);
    throw error;
  }
}

class StartingRoles {
  readonly #options: RolesOptions;
  /** In the order of their opening. */
  readonly #open: (() => Promise<void>)[] = [];
  readonly #services: Record<string, RoleService> = {};
  readonly #onEvent: OnPartitionEvent & OnStreamEvent;
  readonly #watch = new RoleWatch();

  constructor(options: RolesOptions) {
    this.#options = options;
    this.#onEvent = options.onEvent ?? (() => undefined);
  }

  async start(): Promise<RunningRoles> {
    const { network, listen, meta, platform, roles, faultDomain, memberTimeToLiveMs } = this.#options;
    const { clock, random } = platform;
    const view = await ClusterView.open({ meta, network, clock, random });
    this.#open.push(() => view.close());
    const nodeId = await this.#openExtentNode(view);
    const id = nodeId ?? this.#options.memberId ?? memberId(random.uuid());
    // Services join as their roles start; until then their calls are refused.
    const listener = await network.listen({ ...listen, service: combineServices(this.#services) });
    this.#open.push(() => listener.close());
    const { address } = listener;
    // An earlier life here may still lead, and nobody else can tell that it is over.
    for (const election of [STREAM_MANAGER_ELECTION, PARTITION_MANAGER_ELECTION])
      await depose(meta, election, address);
    const membership = await Membership.start({
      meta,
      clock,
      timeToLiveMs: memberTimeToLiveMs,
      member: { memberId: id, address, faultDomain, roles: rolesOf(roles) },
      onTrouble: (cause) => this.#onEvent({ type: 'assignment-failed', cause })
    });
    this.#watch.membership = membership;
    this.#open.push(() => membership.close());
    if (roles.streamManager || roles.partitionServer) await this.#openDirected(view, membership, address);
    this.#watch.nodes?.startHeartbeats({
      clock,
      manager: view.streamManager,
      intervalMs: LIMITS.heartbeatMs
    });
    return { memberId: id, address, view, watch: this.#watch, close: () => this.close() };
  }

  /** The last opened first, each also after another one failed. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#open.pop(); close; close = this.#open.pop())
      await close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  async #openExtentNode(view: ClusterView): Promise<MemberId | undefined> {
    const { roles, faultDomain, meta, platform, memberId: named } = this.#options;
    if (!roles.extentNode) return undefined;
    const nodes = await EmbeddedNodes.open({
      ...platform,
      folders: [
        {
          directory: roles.extentNode.directory,
          faultDomain,
          ...(named !== undefined && { memberId: named })
        }
      ],
      metaStore: meta,
      openFilesMax: LIMITS.extentNodeOpenFilesMax,
      spaceHighWatermark: LIMITS.spaceHighWatermark,
      findOther: view.connections.findNode,
      onEvent: this.#onEvent
    });
    this.#open.push(() => nodes.close());
    this.#watch.nodes = nodes;
    const [node] = nodes.all();
    this.#services[EXTENT_NODE] = serveExtentNode(node!);
    return node!.lastStatus().memberId;
  }

  /** The roles that direct extent nodes. */
  async #openDirected(view: ClusterView, membership: Membership, address: string): Promise<void> {
    const { platform, meta, roles, replicaCount = REPLICA_COUNT } = this.#options;
    const { clock, random } = platform;
    const find = view.connections.findNode;
    const statuses = await NodeStatuses.start({ members: view.members, find, clock });
    this.#open.push(() => statuses.close());
    const nodes = new NodeDirectory({ clock, replicaCount, find, reachable: statuses.reachable });
    if (roles.streamManager) {
      const manager = StreamManagerLeader.standBy({
        metaStore: meta,
        clock,
        random,
        nodes,
        candidate: address,
        onEvent: this.#onEvent,
        beforeSweep: () => statuses.ask()
      });
      this.#watch.streamManager = manager;
      this.#open.push(() => manager.close());
      this.#services[STREAM_MANAGER] = serveStreamManager(manager);
    }
    if (roles.partitionServer) {
      const streams = openClusterStreams({
        manager: view.streamManager,
        nodes,
        statuses,
        clock,
        extentBytesMax: this.#options.extentBytesMax,
        onEvent: this.#onEvent
      });
      this.#open.push(() => streams.close());
      await this.#openPartitions(view, membership, { streams, address, role: roles.partitionServer });
    }
  }

  async #openPartitions(
    view: ClusterView,
    membership: Membership,
    { streams, address, role }: { streams: StreamLayer; address: string; role: PartitionServerRole }
  ): Promise<void> {
    const { meta, platform, checkpointRecordBytesMin } = this.#options;
    const { clock, disk } = platform;
    const { indexDirectory, durability = 'sync' } = role;
    await disk.createDirectory(indexDirectory);
    const server = await PartitionServer.start({
      ...platform,
      layer: streams,
      meta,
      membership,
      indexDirectory,
      durability,
      checkpointRecordBytesMin,
      removeOrderedStore: (directory) => disk.removeDirectory(directory),
      onEvent: this.#onEvent
    });
    this.#watch.partitionServer = server;
    this.#open.push(() => server.close());
    this.#services[PARTITION] = servePartitions(server);
    const manager = new PartitionManager({
      meta,
      clock,
      members: view.members,
      candidate: address,
      onEvent: this.#onEvent
    });
    this.#watch.partitionManager = manager;
    this.#open.push(() => manager.close());
  }
}

function rolesOf(roles: ChosenRoles): readonly MemberRole[] {
  const names = ['streamManager', 'extentNode', 'partitionServer'] as const;
  return names.filter((name) => roles[name]);
}
