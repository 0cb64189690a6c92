import { faultDomain, isStoreError, memberId } from '../../api/index.js';
import type { MetaStore } from '../../coordination/index.js';
import {
  type Disk,
  FaultyDisk,
  MemoryDisk,
  type MemoryOrderedStores,
  memoryOrderedStores,
  type OpenOrderedStore,
  type Random
} from '../../platform/index.js';
import { type RolesOptions, type RunningRoles, startRoles } from '../../roles/start-roles.js';
import type { RoleNetwork } from '../../rpc/index.js';
import { type ClockSetting, Life } from './life.js';
import { type DiskPace, lifeDisk } from './life-disk.js';
import { lifeStores } from './life-stores.js';
import { MetaSession } from './meta-session.js';
import type { SimulatedNetwork } from './network.js';
import type { World } from './world.js';

/** Everything outside that a life of a machine touches. */
export interface Outside {
  readonly disk: Disk;
  readonly openOrderedStore: OpenOrderedStore;
  readonly network: RoleNetwork;
  readonly meta: MetaStore;
}

export interface MachineOptions {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly name: string;
  readonly clock: ClockSetting;
  readonly roles: Pick<RolesOptions, 'replicaCount' | 'extentBytesMax' | 'checkpointRecordBytesMin'>;
  readonly onEvent: (machine: string, event: { readonly type: string; readonly cause?: unknown }) => void;
  /** A deliberate bug may stand between the roles and the outside. */
  readonly wrap: (outside: Outside, machine: Machine, life: Life) => Outside;
  readonly onFileRemoved: (machine: Machine, path: string) => void;
}

export const EXTENT_BYTES_MAX = 96 * 1024;
export const META_ADDRESS = 'etcd:2379';
export const EXTENT_DIRECTORY = '/data/extents';
const NODE_DIRECTORY = '/data';
const INDEX_DIRECTORY = '/index';
const PORT = 7000;
export const DISK_BYTES = 1024 * 1024 * 1024;
/** What supervises the process starts it again. */
const RESTART_MS = 1000;

/** What an orderly end may take before it becomes a kill. */
const STOP_MS_MAX = 5000;

export type EndOfLife = 'kill' | 'power';

/** A machine with its disk, which outlives the lives of the process that runs all roles on it. */
export class Machine {
  readonly name: string;
  readonly memory = new MemoryDisk({ capacityBytes: DISK_BYTES });
  readonly disk: FaultyDisk;
  readonly stores: MemoryOrderedStores = memoryOrderedStores();
  readonly pace: DiskPace = { factor: 1 };
  readonly clock: ClockSetting;
  readonly #options: MachineOptions;
  readonly #random: Random;
  /** It is no part of the stamp: not yet, or not any more. */
  isAbsent = false;
  #life: Life | undefined;
  #roles: RunningRoles | undefined;
  #lifeCount = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.clock = options.clock;
    this.#random = options.world.random(`machine ${options.name}`);
    this.disk = new FaultyDisk(this.memory, { random: this.#random });
  }

  get life(): Life | undefined {
    return this.#life;
  }

  get isRunning(): boolean {
    return this.#roles !== undefined;
  }

  start(): void {
    if (this.#life || this.isAbsent) return;
    const { world, network } = this.#options;
    this.#lifeCount += 1;
    const life = new Life({ world, name: this.name, number: this.#lifeCount, clock: this.clock });
    this.#life = life;
    network.lit(this.name);
    world.note(`${life.id} starts`);
    void this.#run(life);
  }

  async end(how: EndOfLife): Promise<void> {
    const life = this.#life;
    if (!life) return;
    const { world, network } = this.#options;
    world.note(`${life.id} ends by ${how}`);
    life.end();
    this.#life = undefined;
    this.#roles = undefined;
    network.ended(life, how === 'power');
    if (how === 'power') this.memory.crash({ random: this.#random });
    await this.stores.crash({ random: how === 'power' ? this.#random : KEEP_ALL });
  }

  /** Ends the process in order, as far as that goes on. */
  stop(): void {
    const life = this.#life;
    if (!life) return;
    const { world } = this.#options;
    world.note(`${life.id} is told to stop`);
    const end = (): void => {
      if (this.#life === life) void this.end('kill');
    };
    const timer = world.schedule({ afterMs: STOP_MS_MAX, label: '', run: end });
    const closing = this.#roles?.close() ?? Promise.resolve();
    void closing
      .catch(() => undefined)
      .then(() => {
        timer[Symbol.dispose]();
        end();
      });
  }

  /** The folder of the index is removed while nobody uses it. */
  removeIndex(): void {
    if (!this.#life) this.stores.remove(`${INDEX_DIRECTORY}/partition-1`);
  }

  pause(): void {
    this.#options.world.note(`${this.name} is paused`);
    this.#life?.pause();
  }

  resume(): void {
    this.#options.world.note(`${this.name} goes on`);
    if (this.#life?.isPaused) this.#life.resume(this.#random.fraction() < 0.5);
  }

  async #run(life: Life): Promise<void> {
    const { world, onEvent, roles } = this.#options;
    try {
      await life.wait(50, '');
      const { disk, openOrderedStore, network, meta } = this.#outside(life);
      await disk.createDirectory(NODE_DIRECTORY);
      const started = await startRoles({
        ...roles,
        memberId: memberId(this.name),
        faultDomain: faultDomain(`rack-${this.name}`),
        roles: {
          streamManager: true,
          extentNode: { directory: NODE_DIRECTORY },
          partitionServer: { indexDirectory: INDEX_DIRECTORY }
        },
        meta,
        network,
        listen: { host: this.name, port: PORT },
        platform: { disk, clock: life.clock, random: life.random, openOrderedStore },
        onEvent: (event) => onEvent(this.name, event)
      });
      this.#roles = started;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      world.note(`${life.id} cannot start: ${error.message}`);
      await this.end('kill');
      world.schedule({ afterMs: RESTART_MS, label: '', run: () => this.start() });
    }
  }

  #outside(life: Life): Outside {
    const { network, wrap, onFileRemoved } = this.#options;
    const { disk, pace, stores } = this;
    const connection = network.of(life).connect(META_ADDRESS);
    const outside: Outside = {
      disk: lifeDisk({
        life,
        disk,
        pace,
        onDirectoryRemoved: (path) => stores.remove(path),
        onFileRemoved: (path) => onFileRemoved(this, path)
      }),
      openOrderedStore: lifeStores(life, stores, pace),
      network: network.of(life),
      meta: new MetaSession({ connection, clock: life.clock, random: life.random })
    };
    return wrap(outside, this, life);
  }
}

/** A killed process loses nothing that it had handed to the system. */
const KEEP_ALL = { fraction: () => 1 - 2 ** -53 } as Random;
