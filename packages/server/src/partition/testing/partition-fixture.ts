import { faultDomain, memberId } from '../../api/index.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from '../../coordination/index.js';
import {
  type CrashOptions,
  FaultyDisk,
  type ManualClock,
  MemoryDisk,
  type MemoryOrderedStores,
  manualClock,
  memoryOrderedStores,
  type OrderedStore,
  type Random,
  seededRandom
} from '../../platform/index.js';
import { type EmbeddedStreamLayer, openEmbeddedStreamLayer, type StreamEvent } from '../../stream/index.js';
import { type EmbeddedPartitionLayer, openEmbeddedPartitionLayer } from '../embedded-partition-layer.js';
import type { PartitionEvent } from '../partition-event.js';

export interface PartitionFixtureOptions {
  readonly seed?: number;
  readonly folderCount?: number;
  readonly extentBytesMax?: number;
  readonly capacityBytes?: number;
  readonly checkpointRecordBytesMin?: number;
}

const META_DIRECTORY = '/meta';
const INDEX_DIRECTORY = '/index';
const OWNER = memberId('embedded');

/** A partition layer over a stream layer, all in memory, which can crash, fail by rules and be opened again. */
export class PartitionFixture implements AsyncDisposable {
  readonly options: PartitionFixtureOptions;
  readonly clock: ManualClock = manualClock();
  readonly random: Random;
  readonly memoryDisk: MemoryDisk;
  readonly disk: FaultyDisk;
  readonly stores: MemoryOrderedStores = memoryOrderedStores();
  readonly events: (PartitionEvent | StreamEvent)[] = [];
  /** Between the partition and the rows of its index. */
  wrapIndex: (store: OrderedStore) => OrderedStore = (store) => store;
  #metaRows: OrderedStore | undefined;
  #meta: EmbeddedMetaStore | undefined;
  #streams: EmbeddedStreamLayer | undefined;
  #layer: EmbeddedPartitionLayer | undefined;

  private constructor(options: PartitionFixtureOptions) {
    this.options = options;
    this.random = seededRandom(options.seed ?? 1);
    const { capacityBytes } = options;
    this.memoryDisk = new MemoryDisk(capacityBytes === undefined ? {} : { capacityBytes });
    this.disk = new FaultyDisk(this.memoryDisk, { random: this.random });
  }

  static async start(options: PartitionFixtureOptions = {}): Promise<PartitionFixture> {
    const fixture = new PartitionFixture(options);
    await fixture.open();
    return fixture;
  }

  get layer(): EmbeddedPartitionLayer {
    if (!this.#layer) throw new Error('the fixture is open');
    return this.#layer;
  }

  get streams(): EmbeddedStreamLayer {
    if (!this.#streams) throw new Error('the fixture is open');
    return this.#streams;
  }

  async open(): Promise<EmbeddedPartitionLayer> {
    const { clock, random, options } = this;
    const { folderCount = 1, extentBytesMax, checkpointRecordBytesMin } = options;
    this.#metaRows = await this.stores.open(META_DIRECTORY);
    this.#meta = await openEmbeddedMetaStore({ store: this.#metaRows, clock, random });
    const onEvent = (event: PartitionEvent | StreamEvent) => this.events.push(event);
    this.#streams = await openEmbeddedStreamLayer({
      folders: Array.from({ length: folderCount }, (_, index) => ({
        directory: `/n${index}`,
        memberId: memberId(`node-${index}`),
        faultDomain: faultDomain(`rack-${index}`)
      })),
      disk: this.disk,
      clock,
      random,
      metaStore: this.#meta,
      ...(extentBytesMax === undefined ? {} : { extentBytesMax }),
      onEvent
    });
    this.#layer = await openEmbeddedPartitionLayer({
      layer: this.#streams,
      meta: this.#meta,
      clock,
      random,
      openOrderedStore: async (directory) => this.wrapIndex(await this.stores.open(directory)),
      removeOrderedStore: async (directory) => this.stores.remove(directory),
      indexDirectory: INDEX_DIRECTORY,
      durability: 'sync',
      owner: OWNER,
      checkpointRecordBytesMin,
      onEvent
    });
    return this.#layer;
  }

  /** As a shutdown and a start do. */
  async restart(): Promise<EmbeddedPartitionLayer> {
    await this.close();
    return await this.open();
  }

  /** As a power cut and a start do; with `random` some of what was not synced survives. */
  async crash(options: CrashOptions = {}): Promise<EmbeddedPartitionLayer> {
    this.memoryDisk.crash(options);
    await this.stores.crash(options);
    await this.close().catch(() => undefined);
    return await this.open();
  }

  /** As deleting the folder of the index while the store is stopped. */
  removeIndex(): void {
    this.stores.remove(`${INDEX_DIRECTORY}/partition-1`);
  }

  async close(): Promise<void> {
    await this.#layer?.close();
    await this.#streams?.close();
    await this.#meta?.close();
    await this.#metaRows?.close();
    this.#layer = undefined;
  }

  /** Paths of all extent files of a node. */
  async extentPaths(index = 0): Promise<readonly string[]> {
    const directory = `/n${index}/extents`;
    const names = await this.memoryDisk.list(directory);
    return names.filter((name) => name.endsWith('.extent')).map((name) => `${directory}/${name}`);
  }

  /** Lets time pass until a promise is settled. */
  async until<Result>(promise: Promise<Result>): Promise<Result> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    settled.catch(() => undefined);
    for (let turn = 0; !isSettled; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isSettled && turn >= 20) await this.clock.advance(50);
      if (turn > 100_000) throw new Error('it ends in bounded time');
    }
    return await settled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disk.rules.clear();
    await this.until(this.close());
  }
}
