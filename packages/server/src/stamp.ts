import { resolve } from 'node:path';
import { type Logger, pino } from 'pino';
import { faultDomain, memberId, type StampStatus, type StoreCalls, StoreError } from './api/index.js';
import { openEmbeddedMetaStore } from './coordination/index.js';
import { type Credentials, type FrontEnd, openFrontEnd } from './frontend/index.js';
import { EventMetrics, findStreamProblems, showRoles } from './monitoring/index.js';
import { type EmbeddedPartitionLayer, openEmbeddedPartitionLayer } from './partition/index.js';
import {
  type Clock,
  type Disk,
  MetricRegistry,
  type Network,
  type OpenOrderedStore,
  openClassicLevelStore,
  type Random,
  systemClock,
  systemDisk,
  systemNetwork,
  systemRandom
} from './platform/index.js';
import { logEvent, type StampEvent } from './stamp-events.js';
import {
  indexDirectory,
  lockDirectory,
  metaDirectory,
  nodeDirectory,
  openCredentials,
  openIdentity,
  writeCredentials
} from './stamp-files.js';
import { type EmbeddedStreamLayer, openEmbeddedStreamLayer } from './stream/index.js';
import { VERSION } from './version.js';

export interface StampOptions {
  /** The data folder; created when it is not there. */
  readonly directory: string;
  /** Where it listens, 0 = any free port; absent = only calls in this process. */
  readonly port?: number | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Extent nodes, each in a folder that counts as a rack; replication is the smaller of 3 and their number. */
  readonly nodeCount?: number | undefined;
  /** `sync` (default): acknowledged = fdatasync on every replica. `os`: acknowledged = written. */
  readonly durability?: 'sync' | 'os' | undefined;
  /** Default: nothing is logged. */
  readonly logger?: Logger | undefined;
  readonly platform?: Partial<Platform> | undefined;
  /** Default `LIMITS.extentBytesMax`; smaller ones make tests of many extents small. */
  readonly extentBytesMax?: number | undefined;
  /** Default `LIMITS.checkpointRecordBytesMin`. */
  readonly checkpointRecordBytesMin?: number | undefined;
}

/** Everything outside, which tests replace. */
export interface Platform {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly openOrderedStore: OpenOrderedStore;
}

/** A running store. */
export interface Stamp extends AsyncDisposable {
  /** The store in this process, with every right. */
  readonly calls: StoreCalls;
  /** Of the local store, as its folder keeps them. */
  readonly credentials: Credentials;
  /** Absent when it does not listen. */
  readonly endpoint?: string | undefined;
  /** Lets calls in flight end for a while, then stops. Nothing acknowledged depends on it. */
  close(): Promise<void>;
}

const NODES_MAX = 64;
const CLOSE_GRACE_MS = 5000;
const INDEX_CACHE_BYTES = 32 * 1024 * 1024;
const INDEX_WRITE_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * Starts an embedded store: all roles in this process, on one folder.
 *
 * @throws StoreError `DiskFailed` when the folder cannot be used or another process has it open, `InvalidArgument` for a
 *         wrong option or a port that is taken, `ChecksumMismatch` when no replica of a part of the log is whole.
 */
export async function startStamp(options: StampOptions): Promise<Stamp> {
  const logger = options.logger ?? pino({ level: 'silent' });
  const platform: Platform = {
    disk: systemDisk(),
    clock: systemClock(),
    random: systemRandom(),
    network: systemNetwork(),
    openOrderedStore: (directory) =>
      openClassicLevelStore(directory, {
        cacheBytes: INDEX_CACHE_BYTES,
        writeBufferBytes: INDEX_WRITE_BUFFER_BYTES
      }),
    ...options.platform
  };
  const { nodeCount } = options;
  if (nodeCount !== undefined && !(Number.isInteger(nodeCount) && nodeCount >= 1 && nodeCount <= NODES_MAX))
    throw new StoreError('InvalidArgument', `A store has 1 to ${NODES_MAX} extent nodes, not ${nodeCount}.`);
  const stamp = new EmbeddedStamp({ ...options, directory: resolve(options.directory) }, platform, logger);
  try {
    await stamp.open();
    return stamp;
  } catch (error) {
    await stamp.close();
    throw error;
  }
}

class EmbeddedStamp implements Stamp {
  readonly #options: StampOptions;
  readonly #platform: Platform;
  readonly #logger: Logger;
  readonly #startedAtMs: number;
  /** In the order of their opening. */
  readonly #open: (() => Promise<void>)[] = [];
  #credentials: Credentials | undefined;
  #frontEnd: FrontEnd | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: StampOptions, platform: Platform, logger: Logger) {
    this.#options = options;
    this.#platform = platform;
    this.#logger = logger;
    this.#startedAtMs = platform.clock.nowMs();
  }

  get calls(): StoreCalls {
    return this.#frontEnd!.calls;
  }

  get credentials(): Credentials {
    return this.#credentials!;
  }

  get endpoint(): string | undefined {
    return this.#frontEnd?.endpoint;
  }

  async open(): Promise<void> {
    const { directory, port, host = '127.0.0.1', durability = 'sync', nodeCount } = this.#options;
    const { extentBytesMax, checkpointRecordBytesMin } = this.#options;
    const { disk, clock, random, network, openOrderedStore } = this.#platform;
    const metrics = new MetricRegistry();
    const events = new EventMetrics(metrics);
    const onEvent = (event: StampEvent): void => {
      events.count(event);
      logEvent(this.#logger, event);
    };
    await disk.createDirectory(directory);
    // Whoever has it open owns the folder; nothing else is touched before, and the meta store may be opened anew.
    const lock = await openOrderedStore(lockDirectory(directory));
    this.#open.push(() => lock.close());
    const rows = await openOrderedStore(metaDirectory(directory));
    this.#open.push(() => rows.close());
    const files = { disk, random, directory };
    const identity = await openIdentity(files, nodeCount);
    this.#credentials = await openCredentials(files);
    const meta = await openEmbeddedMetaStore({
      store: rows,
      reopen: () => openOrderedStore(metaDirectory(directory)),
      clock,
      random,
      onEvent
    });
    this.#open.push(() => meta.close());
    const streams = await openEmbeddedStreamLayer({
      folders: Array.from({ length: identity.nodeCount }, (_, index) => ({
        directory: nodeDirectory(directory, index + 1),
        faultDomain: faultDomain(`node-${index + 1}`)
      })),
      disk,
      clock,
      random,
      metaStore: meta,
      ...(extentBytesMax !== undefined && { extentBytesMax }),
      onEvent
    });
    this.#open.push(() => streams.close());
    const partitions = await openEmbeddedPartitionLayer({
      layer: streams,
      meta,
      clock,
      random,
      openOrderedStore,
      removeOrderedStore: (path) => disk.removeDirectory(path),
      indexDirectory: indexDirectory(directory),
      durability,
      owner: memberId(identity.stampId),
      checkpointRecordBytesMin,
      onEvent
    });
    this.#open.push(() => partitions.close());
    showRoles(metrics, {
      states: () => [{ role: 'front-end', isReady: partitions.isServing, description: '' }],
      leaders: () => [],
      measureStreams: () => streams.measure(),
      measurePartitions: () => partitions.measure(),
      nodeStatuses: () => streams.nodeStatuses()
    });
    const frontEnd = await openFrontEnd({
      metrics,
      layer: partitions,
      meta,
      network,
      clock,
      random,
      logger: this.#logger,
      root: this.#credentials,
      status: () => this.#status(streams, partitions),
      membership: streams.membership,
      isReady: () => partitions.isServing,
      listen: port === undefined ? undefined : { host, port }
    });
    this.#frontEnd = frontEnd;
    this.#open.push(() => frontEnd.close({ graceMs: CLOSE_GRACE_MS }));
    await writeCredentials(files, { ...this.#credentials, endpoint: frontEnd.endpoint });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes everything, the last opened first, also after one of them failed. */
  async #close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#open.pop(); close; close = this.#open.pop())
      await close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }

  async #status(streams: EmbeddedStreamLayer, partitions: EmbeddedPartitionLayer): Promise<StampStatus> {
    const nodes = await streams.summary();
    const most = (name: 'totalBytes' | 'freeBytes'): number =>
      nodes.reduce((total, node) => Math.max(total, node[name]), 0);
    return {
      version: VERSION,
      startedAtMs: this.#startedAtMs,
      durability: this.#options.durability ?? 'sync',
      state: streams.isFull() ? 'full' : 'ready',
      problems: await findStreamProblems(streams.membership),
      // The nodes of an embedded store share one disk, or each holds a copy: what one has is what there is.
      space: { totalBytes: most('totalBytes'), freeBytes: most('freeBytes') },
      extentNodes: nodes,
      partitions: await partitions.partitions()
    };
  }
}
