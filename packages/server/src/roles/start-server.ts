import { type Logger, pino } from 'pino';
import { faultDomain, memberId, type StampStatus } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import { type Credentials, type FrontEnd, openFrontEnd } from '../frontend/index.js';
import {
  EventMetrics,
  findStreamProblems,
  type MonitoringServer,
  openMonitoring,
  showRoles
} from '../monitoring/index.js';
import type { RemotePartitionLayer } from '../partition/index.js';
import {
  MetricRegistry,
  openClassicLevelStore,
  type ServerTls,
  type SocketTls,
  systemClock,
  systemDisk,
  systemNetwork,
  systemRandom,
  systemSocketNetwork
} from '../platform/index.js';
import { splitAddress, tcpRoleNetwork } from '../rpc/index.js';
import { logEvent } from '../stamp-events.js';
import { leadingStreamManager, NodeStatuses, type StreamManagerApi } from '../stream/index.js';
import { VERSION } from '../version.js';
import { type ChosenRoles, type RunningRoles, startRoles } from './start-roles.js';

export interface ServerOptions {
  /** Of a process without an extent node; the folder of an extent node says who it is. Default: a random one. */
  readonly member?: string | undefined;
  /** The fault domain of this process. */
  readonly rack: string;
  /** Opens the tables of the stamp; closed with the server. */
  readonly openMeta: () => Promise<MetaStore>;
  readonly cluster: {
    /** `host:port` where the other members reach this one. */
    readonly listen: string;
    readonly secret: string;
    readonly tls?: SocketTls | undefined;
  };
  readonly roles: ChosenRoles & { readonly frontEnd?: FrontEndRole | undefined };
  readonly replicaCount: number;
  /** Default `LIMITS.extentBytesMax`. */
  readonly extentBytesMax?: number | undefined;
  /** `host:port` where `/metrics` and `/health/…` are served, whatever the roles; absent = only by a front end. */
  readonly monitoring?: string | undefined;
  readonly logger?: Logger | undefined;
}

export interface FrontEndRole {
  /** `host:port` where clients connect. */
  readonly listen: string;
  /** The key that may do everything; the same at all front ends of a stamp. */
  readonly credentials: Credentials;
  readonly tls?: ServerTls | undefined;
}

/** A running process of a stamp. */
export interface Server extends AsyncDisposable {
  readonly memberId: string;
  /** `host:port` of the internal listener. */
  readonly address: string;
  /** Where clients connect; absent without a front end. */
  readonly endpoint?: string | undefined;
  /** Of `/metrics` and `/health/…`, as `http://127.0.0.1:7072`; absent when it was not asked for. */
  readonly monitoring?: string | undefined;
  /** Lets calls in flight end for a while, then leaves the stamp. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 5000;
/** A standby has taken over by then, and nobody stares at a command for longer. */
const OPERATOR_PATIENCE_MS = 6000;
const INDEX_CACHE_BYTES = 32 * 1024 * 1024;
const INDEX_WRITE_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * Runs the given roles of a stamp on this machine.
 *
 * @throws StoreError what keeps it from starting, such as tables that cannot be reached, a folder that cannot be used or an
 *         address that is taken.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const server = new RoleProcess(options);
  try {
    await server.open();
    return server;
  } catch (error) {
    await server.close().catch(() => undefined);
    throw error;
  }
}

class RoleProcess implements Server {
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #clock = systemClock();
  readonly #random = systemRandom();
  readonly #startedAtMs = this.#clock.nowMs();
  /** In the order of their opening. */
  readonly #open: (() => Promise<void>)[] = [];
  readonly #metrics = new MetricRegistry();
  #roles: RunningRoles | undefined;
  #monitoring: MonitoringServer | undefined;
  #frontEnd: FrontEnd | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#logger = options.logger ?? pino({ level: 'silent' });
  }

  get memberId(): string {
    return this.#roles!.memberId;
  }

  get address(): string {
    return this.#roles!.address;
  }

  get endpoint(): string | undefined {
    return this.#frontEnd?.endpoint;
  }

  get monitoring(): string | undefined {
    return this.#monitoring?.url;
  }

  async open(): Promise<void> {
    const { openMeta, cluster, rack, roles, member, replicaCount, extentBytesMax } = this.#options;
    const events = new EventMetrics(this.#metrics);
    await this.#openMonitoring();
    const clock = this.#clock;
    const random = this.#random;
    const meta = await openMeta();
    this.#open.push(() => meta.close());
    const { secret, tls } = cluster;
    const network = tcpRoleNetwork({ sockets: systemSocketNetwork(), clock, random, secret, tls });
    const running = await startRoles({
      memberId: member === undefined ? undefined : memberId(member),
      faultDomain: faultDomain(rack),
      roles,
      meta,
      network,
      listen: splitAddress(cluster.listen),
      platform: {
        disk: systemDisk(),
        clock,
        random,
        openOrderedStore: (directory) =>
          openClassicLevelStore(directory, {
            cacheBytes: INDEX_CACHE_BYTES,
            writeBufferBytes: INDEX_WRITE_BUFFER_BYTES
          })
      },
      replicaCount,
      extentBytesMax,
      onEvent: (event) => {
        events.count(event);
        logEvent(this.#logger, event);
      }
    });
    this.#open.push(() => running.close());
    if (roles.frontEnd) await this.#openFrontEnd(meta, running, roles.frontEnd);
    showRoles(this.#metrics, running.watch);
    this.#roles = running;
  }

  /** First, so that it can be seen from outside that the process starts. */
  async #openMonitoring(): Promise<void> {
    const { monitoring } = this.#options;
    if (monitoring === undefined) return;
    const server = await openMonitoring({
      network: systemNetwork(),
      listen: splitAddress(monitoring),
      metrics: this.#metrics,
      states: () => this.#roles?.watch.states()
    });
    this.#monitoring = server;
    this.#open.push(() => server.close());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #openFrontEnd(meta: MetaStore, { view, watch }: RunningRoles, role: FrontEndRole): Promise<void> {
    const clock = this.#clock;
    const layer = await view.openPartitionLayer();
    watch.frontEnd = layer;
    this.#open.push(() => layer.close());
    const { members, connections } = view;
    const { connect } = connections;
    const manager = leadingStreamManager({ meta, clock, connect, patienceMs: OPERATOR_PATIENCE_MS });
    const statuses = await NodeStatuses.start({ members, find: connections.findNode, clock });
    this.#open.push(() => statuses.close());
    const frontEnd = await openFrontEnd({
      layer,
      meta,
      network: systemNetwork(),
      clock,
      random: this.#random,
      logger: this.#logger,
      root: role.credentials,
      status: () => this.#status(statuses, layer, manager),
      membership: manager,
      isReady: () => layer.isServing,
      metrics: this.#metrics,
      listen: { ...splitAddress(role.listen), tls: role.tls }
    });
    this.#frontEnd = frontEnd;
    this.#open.push(() => frontEnd.close({ graceMs: CLOSE_GRACE_MS }));
  }

  /** Closes everything, the last opened first, also after one of them failed. */
  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#open.pop(); close; close = this.#open.pop())
      await close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  async #status(
    statuses: NodeStatuses,
    layer: RemotePartitionLayer,
    manager: StreamManagerApi
  ): Promise<StampStatus> {
    const { replicaCount, roles } = this.#options;
    const [survey, streamProblems] = await Promise.all([layer.survey(), findStreamProblems(manager)]);
    const nodes = statuses.reachable();
    const sum = (name: 'totalBytes' | 'freeBytes'): number =>
      Math.floor(nodes.reduce((total, node) => total + node[name], 0) / replicaCount);
    const domains = new Set(nodes.filter(({ room }) => room === 'bytes').map((node) => node.faultDomain));
    const isFull = nodes.length > 0 && domains.size === 0;
    return {
      version: VERSION,
      startedAtMs: this.#startedAtMs,
      durability: roles.partitionServer?.durability ?? 'sync',
      state: survey.problems.length > 0 ? 'unavailable' : isFull ? 'full' : 'ready',
      problems: [...survey.problems, ...streamProblems],
      // Each byte is stored as often as there are replicas.
      space: { totalBytes: sum('totalBytes'), freeBytes: sum('freeBytes') },
      extentNodes: nodes.map(({ room: _, ...summary }) => summary),
      partitions: survey.partitions
    };
  }
}
