import { LIMITS } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import type { Clock, Disk, Random } from '../platform/index.js';
import { EmbeddedNodes, type ExtentFolder } from './embedded-nodes.js';
import type { ExtentNodeStatus } from './extent-node-api.js';
import type { MembershipApi } from './membership-api.js';
import { NodeDirectory } from './node-directory.js';
import { StreamClient } from './stream-client.js';
import type { OnStreamEvent } from './stream-event.js';
import type {
  BlockRange,
  ExtentNodeSummary,
  OpenStreamOptions,
  OwnedStream,
  StreamLayer
} from './stream-layer.js';
import { StreamManagerLeader } from './stream-manager-leader.js';
import type { StreamMeasure } from './stream-measure.js';
import type { UpkeepSettings } from './upkeep-settings.js';

const REPLICAS_MAX = 3;
/** On small disks extents are smaller, so that one of which half is used can be emptied into what is kept free. */
const EXTENT_PART_OF_DISK = 1 / 32;
const EXTENT_BYTES_MIN = 2 * LIMITS.blockBytesMax;

export interface EmbeddedStreamLayerOptions {
  /** One extent node each; replication is the smaller of 3 and their number. */
  readonly folders: readonly ExtentFolder[];
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Stays the caller's: close it after the stream layer. */
  readonly metaStore: MetaStore;
  /** Absent: `LIMITS.extentBytesMax`, less on small disks. */
  readonly extentBytesMax?: number;
  readonly openFilesMax?: number;
  readonly spaceHighWatermark?: number;
  readonly onEvent?: OnStreamEvent;
  readonly upkeep?: Partial<UpkeepSettings>;
}

/** A stream layer whose extent nodes and stream manager are in this process. */
export interface EmbeddedStreamLayer extends StreamLayer {
  /** Does now what is done every minute: finds returned folders, orphans and replicas to repair; waits for the repairs. */
  sweep(): Promise<void>;
  /** The nodes and their replicas, as the stream manager sees them. */
  readonly membership: MembershipApi;
  /** For metrics. */
  measure(): Promise<StreamMeasure | undefined>;
  /** As they were measured last. */
  nodeStatuses(): readonly ExtentNodeStatus[];
}

/**
 * Opens the stream layer of a single process on its folders; deletes what crashes left behind, in the background.
 * @throws StoreError `DiskFailed` when none of the folders can be used.
 */
export async function openEmbeddedStreamLayer(
  options: EmbeddedStreamLayerOptions
): Promise<EmbeddedStreamLayer> {
  const { clock, random, metaStore, onEvent = () => undefined } = options;
  const embedded = await EmbeddedNodes.open({
    ...options,
    onEvent,
    openFilesMax: options.openFilesMax ?? LIMITS.extentNodeOpenFilesMax,
    spaceHighWatermark: options.spaceHighWatermark ?? LIMITS.spaceHighWatermark
  });
  const nodes = new NodeDirectory({
    clock,
    replicaCount: Math.min(REPLICAS_MAX, options.folders.length),
    find: embedded.find,
    reachable: embedded.reachable
  });
  const manager = await StreamManagerLeader.start({
    metaStore,
    clock,
    random,
    nodes,
    onEvent,
    candidate: 'embedded',
    settings: options.upkeep,
    beforeSweep: () => embedded.openUnavailable()
  });
  embedded.startHeartbeats({ clock, manager, intervalMs: LIMITS.heartbeatMs });
  const { extentBytesMax = extentBytesFor(embedded) } = options;
  const layer = new EmbeddedStreams({ ...options, extentBytesMax, onEvent, embedded, nodes, manager });
  // What is left over costs only space, so nobody waits for it.
  layer.sweep().catch((cause: unknown) => onEvent({ type: 'sweep-failed', cause }));
  return layer;
}

function extentBytesFor(embedded: EmbeddedNodes): number {
  const smallest = Math.min(...embedded.reachable().map(({ totalBytes }) => totalBytes));
  const bytes = Math.floor(smallest * EXTENT_PART_OF_DISK);
  return Math.min(LIMITS.extentBytesMax, Math.max(EXTENT_BYTES_MIN, bytes));
}

interface EmbeddedStreamsOptions extends EmbeddedStreamLayerOptions {
  readonly onEvent: OnStreamEvent;
  readonly embedded: EmbeddedNodes;
  readonly nodes: NodeDirectory;
  readonly manager: StreamManagerLeader;
}

class EmbeddedStreams implements EmbeddedStreamLayer {
  readonly #options: EmbeddedStreamsOptions;
  readonly #client: StreamClient;
  #sweeping: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(options: EmbeddedStreamsOptions) {
    this.#options = options;
    this.#client = new StreamClient(options);
  }

  openStream(options: OpenStreamOptions): Promise<OwnedStream> {
    return this.#client.openStream(options);
  }

  readBlock(range: BlockRange, options?: { readonly signal?: AbortSignal }): Promise<Uint8Array> {
    return this.#client.readBlock(range, options);
  }

  async summary(): Promise<readonly ExtentNodeSummary[]> {
    return await this.#options.embedded.status();
  }

  isFull(): boolean {
    return this.#options.nodes.isFull();
  }

  get membership(): MembershipApi {
    return this.#options.manager;
  }

  measure(): Promise<StreamMeasure | undefined> {
    return this.#options.manager.measure();
  }

  nodeStatuses(): readonly ExtentNodeStatus[] {
    return this.#options.embedded.reachable();
  }

  sweep(): Promise<void> {
    const { manager } = this.#options;
    const sweep = manager.sweep({ includesFailed: true }).then(() => manager.idle());
    this.#sweeping = sweep.catch(() => undefined);
    return sweep;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#client.close();
    const { manager, embedded } = this.#options;
    await manager.close();
    await this.#sweeping;
    await embedded.close();
  }
}
