import { faultDomain, memberId, streamId } from '../../api/index.js';
import { type EmbeddedMetaStore, type MetaStore, openEmbeddedMetaStore } from '../../coordination/index.js';
import {
  type Disk,
  FaultyDisk,
  type ManualClock,
  MemoryDisk,
  manualClock,
  memoryOrderedStore,
  type OrderedStore,
  type Random,
  seededRandom
} from '../../platform/index.js';
import { type EmbeddedStreamLayer, openEmbeddedStreamLayer } from '../embedded-stream-layer.js';
import type { StreamEvent } from '../stream-event.js';
import type { UpkeepSettings } from '../upkeep-settings.js';
import { slowDisk } from './slow-disk.js';

export const LOG = streamId('partition-1/log');

export interface StreamFixtureOptions {
  readonly seed?: number;
  readonly folderCount?: number;
  readonly extentBytesMax?: number;
  readonly capacityBytes?: number;
  /** Lets other work come between the steps of the disk. */
  readonly isSlow?: boolean;
  /** Files that no table knows are deleted at once where it does not say otherwise. */
  readonly upkeep?: Partial<UpkeepSettings>;
  /** Between the stream manager and its tables. */
  readonly wrapMetaStore?: (metaStore: MetaStore) => MetaStore;
}

/** A stream layer on a disk in memory that can crash, fail by rules and be reopened. */
export class StreamFixture implements AsyncDisposable {
  readonly options: StreamFixtureOptions;
  readonly clock: ManualClock = manualClock();
  readonly random: Random;
  readonly memoryDisk: MemoryDisk;
  readonly disk: FaultyDisk;
  readonly events: StreamEvent[] = [];
  #store: OrderedStore | undefined;
  #metaStore: EmbeddedMetaStore | undefined;
  #layer: EmbeddedStreamLayer | undefined;

  constructor(options: StreamFixtureOptions = {}) {
    this.options = options;
    this.random = seededRandom(options.seed ?? 1);
    const { capacityBytes } = options;
    this.memoryDisk = new MemoryDisk(capacityBytes === undefined ? {} : { capacityBytes });
    this.disk = new FaultyDisk(this.memoryDisk, { random: this.random });
  }

  static async start(options: StreamFixtureOptions = {}): Promise<StreamFixture> {
    const fixture = new StreamFixture(options);
    await fixture.open();
    return fixture;
  }

  get layer(): EmbeddedStreamLayer {
    if (!this.#layer) throw new Error('the fixture is open');
    return this.#layer;
  }

  folder(index: number): string {
    return `/n${index}`;
  }

  async open(): Promise<EmbeddedStreamLayer> {
    this.#store ??= await memoryOrderedStore();
    const { clock, random } = this;
    this.#metaStore = await openEmbeddedMetaStore({ store: this.#store, clock, random });
    const { folderCount = 1, extentBytesMax, isSlow = false } = this.options;
    const disk: Disk = isSlow ? slowDisk(this.disk, random) : this.disk;
    this.#layer = await this.until(
      openEmbeddedStreamLayer({
        folders: Array.from({ length: folderCount }, (_, index) => ({
          directory: this.folder(index),
          memberId: memberId(`node-${index}`),
          faultDomain: faultDomain(`rack-${index}`)
        })),
        disk,
        clock,
        random,
        metaStore: this.options.wrapMetaStore?.(this.#metaStore) ?? this.#metaStore,
        ...(extentBytesMax === undefined ? {} : { extentBytesMax }),
        upkeep: { orphanGraceMs: 0, ...this.options.upkeep },
        onEvent: (event) => this.events.push(event)
      })
    );
    return this.#layer;
  }

  /** As a shutdown and a start do. */
  async restart(): Promise<EmbeddedStreamLayer> {
    await this.close();
    return await this.open();
  }

  /** As a power cut and a start do. */
  async crash(): Promise<EmbeddedStreamLayer> {
    await this.cutPower();
    return await this.open();
  }

  /** `random` decides what unsynced bytes survive. */
  async cutPower(): Promise<void> {
    this.memoryDisk.crash({ random: this.random });
    await this.#metaStore?.close();
    await this.until(this.layer.close().catch(() => undefined));
  }

  async close(): Promise<void> {
    await this.until(this.layer.close());
    await this.#metaStore?.close();
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

  /** Paths of all extent files of a node. */
  async extentPaths(index: number): Promise<readonly string[]> {
    const directory = `${this.folder(index)}/extents`;
    const names = (await this.memoryDisk.list(directory)).filter((name) => name.endsWith('.extent'));
    return names.map((name) => `${directory}/${name}`);
  }

  eventsOf<Type extends StreamEvent['type']>(type: Type): readonly (StreamEvent & { type: Type })[] {
    return this.events.filter((event): event is StreamEvent & { type: Type } => event.type === type);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disk.rules.clear();
    await this.close();
  }
}
