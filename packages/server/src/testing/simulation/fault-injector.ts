import { flipByte, seededRandom } from '../../platform/index.js';
import { STREAM_MANAGER_ELECTION } from '../../stream/index.js';
import type { Fault, FaultTarget } from './fault.js';
import type { Invariants } from './invariants.js';
import type { NetworkWeather } from './links.js';
import { DISK_BYTES, type Machine } from './machine.js';
import type { MetaCore } from './meta-core.js';
import type { MetaService } from './meta-service.js';
import type { SimulatedNetwork } from './network.js';
import {
  decodeRow,
  extentPath,
  findExtentRow,
  listedExtents,
  RANGE_ROWS,
  type RangeRow
} from './stream-rows.js';
import type { World } from './world.js';

export interface FaultInjectorOptions {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly core: MetaCore;
  readonly service: MetaService;
  readonly machines: readonly Machine[];
  readonly invariants: Invariants;
}

export const CLIENTS = ['client0', 'client1'] as const;
export const ETCD = 'etcd';
const HEADER_BYTES = 4096;
/** Of the replicas that could rot. */
const WELL_PART = 0.3;
const ROTTEN_BYTES = 3;

/** Makes planned faults happen, and takes all of them back. */
export class FaultInjector {
  readonly #options: FaultInjectorOptions;
  /** What ends the faults that are under way. */
  readonly #endings = new Set<() => void>();

  constructor(options: FaultInjectorOptions) {
    this.#options = options;
  }

  plan(faults: readonly Fault[]): void {
    for (const fault of faults)
      this.#options.world.schedule({
        afterMs: fault.atMs - this.#options.world.nowMs,
        label: `fault ${JSON.stringify(fault)}`,
        run: () => this.#cause(fault)
      });
  }

  /** Everything works again, as far as nothing was lost for good. */
  healAll(): void {
    const { network, machines, service } = this.#options;
    for (const end of [...this.#endings]) end();
    network.links.healAll();
    service.haveLeader();
    for (const machine of machines) machine.start();
  }

  #cause(fault: Fault): void {
    const end = this.#begin(fault);
    if (end && 'durationMs' in fault) this.#during(fault.durationMs, `end of ${fault.type}`, end);
  }

  /** @returns What ends it, of one that lasts. */
  #begin(fault: Fault): (() => void) | undefined {
    const { machines, service, core } = this.#options;
    switch (fault.type) {
      case 'end':
        void this.#end(this.#find(fault.machine), fault.how, fault.downMs);
        return undefined;
      case 'blackout':
        for (const machine of machines) void this.#end(machine, 'power', fault.downMs);
        return undefined;
      case 'pause':
        return this.#pause(this.#find(fault.machine));
      case 'cut':
        return this.#cut(fault);
      case 'slowDisk':
      case 'fullDisk':
      case 'failingDisk':
        return this.#disturb(this.#find(fault.machine), fault);
      case 'rot':
        void this.#rot(this.#find(fault.machine), fault.draw);
        return undefined;
      case 'clockJump':
        this.#find(fault.machine).clock.wallOffsetMs += fault.byMs;
        return undefined;
      case 'noLeader':
        service.loseLeader(fault.durationMs);
        return undefined;
      case 'watchCut':
        if (fault.isCompacted) core.compact();
        service.cutWatches();
        return undefined;
      case 'loss':
        return this.#change('lossChance', fault.chance);
      case 'duplicates':
        return this.#change('duplicateChance', fault.chance);
      case 'delay':
        return this.#change('extraMs', fault.extraMs);
    }
  }

  #change(name: keyof NetworkWeather, value: number): () => void {
    const { weather } = this.#options.network.links;
    weather[name] = value;
    return () => {
      weather[name] = 0;
    };
  }

  #pause(machine: Machine): (() => void) | undefined {
    const { life } = machine;
    if (!life || life.isPaused) return undefined;
    machine.pause();
    return () => {
      if (machine.life === life) machine.resume();
    };
  }

  #disturb(
    { pace, memory, disk }: Machine,
    fault: Fault & { readonly type: 'slowDisk' | 'fullDisk' | 'failingDisk' }
  ): () => void {
    switch (fault.type) {
      case 'slowDisk':
        pace.factor = fault.factor;
        return () => {
          pace.factor = 1;
        };
      case 'fullDisk':
        memory.setCapacity(memory.usedBytes + fault.freeBytes);
        return () => memory.setCapacity(DISK_BYTES);
      case 'failingDisk': {
        const rule = disk.rules.add({ on: fault.on, path: '/data/**', fail: 'EIO', chance: fault.chance });
        return () => rule[Symbol.dispose]();
      }
    }
  }

  async #end(machine: Machine, how: 'kill' | 'power', downMs: number): Promise<void> {
    if (!machine.life) return;
    await machine.end(how);
    this.#options.world.schedule({ afterMs: downMs, label: '', run: () => machine.start() });
  }

  #cut({ machine, other, ways }: Fault & { readonly type: 'cut' }): () => void {
    const { network, machines } = this.#options;
    const { links } = network;
    const { name } = this.#find(machine);
    const names = machines.map((one) => one.name);
    const inside: readonly string[] = other === 'island' ? [name, CLIENTS[0]] : [name];
    const everyone = [...names, ETCD, ...CLIENTS];
    const others =
      other === 'all' || other === 'island' ? everyone : [typeof other === 'number' ? names[other]! : other];
    const cuts = others
      .filter((one) => !inside.includes(one))
      .flatMap((one) => inside.map((own) => [own, one] as const))
      .flatMap(([own, one]) => [
        ...(ways === 'to' ? [] : [[own, one] as const]),
        ...(ways === 'from' ? [] : [[one, own] as const])
      ]);
    for (const [from, to] of cuts) links.cut(from, to);
    return () => {
      for (const [from, to] of cuts) links.heal(from, to);
    };
  }

  /** Some bytes of many replicas of a machine, of extents whose other replicas are all well. */
  async #rot(machine: Machine, draw: number): Promise<void> {
    const { core, world, invariants } = this.#options;
    const random = seededRandom(Math.floor(draw * 2 ** 30));
    for (const extentId of listedExtents(core)) {
      const { replicas = [] } = findExtentRow(core, extentId) ?? {};
      const others = replicas.filter((member) => member !== machine.name);
      const isAble = others.length > 0 && others.length < replicas.length;
      if (!isAble || others.some((member) => invariants.isRotten(member, extentId))) continue;
      const path = extentPath(extentId);
      const bytes = machine.memory.findDurableBytes(path);
      if (!bytes || bytes.byteLength <= HEADER_BYTES || random.fraction() < WELL_PART) continue;
      for (let count = 0; count < ROTTEN_BYTES; count++) {
        const offset = HEADER_BYTES + Math.floor(random.fraction() * (bytes.byteLength - HEADER_BYTES));
        world.note(`${machine.name} extent ${extentId} rots at ${offset}`);
        invariants.noteRot(machine.name, extentId, offset);
        await flipByte(machine.memory, path, offset);
      }
    }
  }

  #during(durationMs: number, label: string, end: () => void): void {
    const timer = this.#options.world.schedule({ afterMs: durationMs, label, run: () => finish() });
    const finish = (): void => {
      if (!this.#endings.delete(finish)) return;
      timer[Symbol.dispose]();
      end();
    };
    this.#endings.add(finish);
  }

  #find(target: FaultTarget): Machine {
    const { machines } = this.#options;
    const name = typeof target === 'number' ? undefined : this.#nameOf(target);
    const number = typeof target === 'number' ? target : 0;
    return machines.find((machine) => machine.name === name) ?? machines[number % machines.length]!;
  }

  #nameOf(role: 'owner' | 'streamManager'): string | undefined {
    const { core } = this.#options;
    if (role === 'owner') return decodeRow<RangeRow>(core.range(RANGE_ROWS).entries[0])?.owner;
    const { entries } = core.range(`elections/${STREAM_MANAGER_ELECTION}/`);
    const [first] = [...entries].sort((a, b) => a.createRevision - b.createRevision);
    return first && Buffer.from(first.value).toString().split(':')[0];
  }
}
