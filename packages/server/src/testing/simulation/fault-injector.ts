import { flipByte, seededRandom } from '../../platform/index.js';
import { STREAM_MANAGER_ELECTION } from '../../stream/index.js';
import type { EndOfProcess, Fault, FaultTarget } from './fault.js';
import type { Invariants } from './invariants.js';
import type { NetworkWeather } from './links.js';
import { DISK_BYTES, type Machine } from './machine.js';
import type { MetaCore } from './meta-core.js';
import type { MetaService } from './meta-service.js';
import type { SeenCall, SimulatedNetwork } from './network.js';
import type { Operator } from './operator.js';
import {
  decodeRow,
  extentPath,
  findExtentRow,
  listedExtents,
  RANGE_ROWS,
  type RangeRow
} from './stream-rows.js';
import { type Strike, Strikes } from './strikes.js';
import type { World } from './world.js';

export interface FaultInjectorOptions {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly core: MetaCore;
  readonly service: MetaService;
  readonly machines: readonly Machine[];
  readonly invariants: Invariants;
  readonly operator: Operator;
}

export const CLIENTS = ['client0', 'client1'] as const;
export const ETCD = 'etcd';
const HEADER_BYTES = 4096;
/** Of the replicas that could rot. */
const WELL_PART = 0.3;
const ROTTEN_BYTES = 3;
/** Machines that are left when one leaves: each extent has three replicas. */
const STAYING_MIN = 3;

interface ProcessEnd {
  readonly how: EndOfProcess;
  readonly downMs: number;
  readonly losesIndex?: boolean;
}

/** Makes planned faults happen, and takes all of them back. */
export class FaultInjector {
  readonly #options: FaultInjectorOptions;
  /** What ends the faults that are under way. */
  readonly #endings = new Set<() => void>();
  readonly #strikes = new Strikes();
  /** Machines that are being moved off, or taken out of the stamp. */
  readonly #leaving = new Set<Machine>();

  constructor(options: FaultInjectorOptions) {
    this.#options = options;
    options.network.observers.push(this.#strikes);
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
    this.#strikes.disarmAll();
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
        this.#end(this.#find(fault.machine), fault);
        return undefined;
      case 'blackout':
        for (const machine of machines) this.#end(machine, { how: 'power', downMs: fault.downMs });
        return undefined;
      case 'pause':
        return this.#pause(this.#find(fault.machine));
      case 'cut':
        return this.#cut(fault);
      case 'slowDisk':
      case 'fullDisk':
      case 'failingDisk':
        return this.#disturb(this.#find(fault.machine), fault);
      case 'strike':
        this.#strikes.arm(fault, (call) => this.#strike(fault, call));
        return undefined;
      case 'drain':
        return this.#drain(this.#find(fault.machine), fault.removes);
      case 'join':
        this.#join(machines[fault.machine % machines.length]!);
        return undefined;
      case 'machineLoss':
        void this.#lose(this.#find(fault.machine));
        return undefined;
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

  #end(machine: Machine, { how, downMs, losesIndex }: ProcessEnd): void {
    if (!machine.life) return;
    if (how === 'stop') machine.stop();
    else void machine.end(how);
    const start = (): void => {
      if (losesIndex) machine.removeIndex();
      machine.start();
    };
    this.#options.world.schedule({ afterMs: downMs, label: '', run: start });
  }

  #strike(strike: Strike, call: SeenCall): void {
    const { world, service, machines } = this.#options;
    const { step, phase, whom, afterMs, durationMs } = strike;
    world.note(() => `${whom} of ${step}, which ${phase}, is struck: ${strike.how}`);
    // Before the call is looked at, so that it is the one that finds no leader.
    if (whom === 'etcd') {
      service.loseLeader(durationMs);
      return;
    }
    const life = whom === 'caller' ? call.caller : call.answerer;
    const machine = machines.find((one) => one.life === life);
    if (!machine) return;
    const run = (): void => {
      if (machine.life === life) this.#hit(machine, strike);
    };
    world.schedule({ afterMs, label: `strike ${machine.name}`, run });
  }

  #hit(machine: Machine, { how, durationMs }: Strike): void {
    if (how !== 'pause' && how !== 'cut') {
      this.#end(machine, { how, downMs: durationMs });
      return;
    }
    const end = how === 'pause' ? this.#pause(machine) : this.#cutOff(machine);
    if (end) this.#during(durationMs, `end of ${how}`, end);
  }

  /** @returns What takes it back, unless the machine has left by then. */
  #drain(machine: Machine, removes: boolean): (() => void) | undefined {
    const { operator, world } = this.#options;
    if (!this.#canLeave(machine)) return undefined;
    this.#leaving.add(machine);
    let isOver = false;
    const leave = async (): Promise<void> => {
      const isDrained = await operator.drain(machine, () => isOver);
      if (!isDrained || !removes) return;
      world.note(`${machine.name} leaves`);
      machine.isAbsent = true;
      machine.stop();
      await operator.remove(machine);
    };
    const left = leave();
    return () => {
      isOver = true;
      void left
        .then(() => (machine.isAbsent ? undefined : operator.cancelDrain(machine)))
        .then(() => this.#leaving.delete(machine));
    };
  }

  #canLeave(machine: Machine): boolean {
    const staying = this.#options.machines.filter((one) => !one.isAbsent && !this.#leaving.has(one));
    return staying.includes(machine) && staying.length > STAYING_MIN;
  }

  #join(machine: Machine): void {
    if (!machine.isAbsent || machine.life || this.#leaving.has(machine)) return;
    machine.isAbsent = false;
    machine.start();
  }

  /** Only where nothing is lost with it. */
  async #lose(machine: Machine): Promise<void> {
    const { world, invariants, operator } = this.#options;
    if (!this.#canLeave(machine) || !invariants.isDispensable(machine.name)) return;
    // It never comes back.
    this.#leaving.add(machine);
    machine.isAbsent = true;
    invariants.noteLoss(machine.name);
    world.note(`${machine.name} is lost with its disk`);
    await machine.end('power');
    await operator.remove(machine);
  }

  /** From everyone. */
  #cutOff(machine: Machine): () => void {
    const { links } = this.#options.network;
    const others = this.#everyone().filter((name) => name !== machine.name);
    for (const name of others) {
      links.cut(machine.name, name);
      links.cut(name, machine.name);
    }
    return () => {
      for (const name of others) {
        links.heal(machine.name, name);
        links.heal(name, machine.name);
      }
    };
  }

  #everyone(): readonly string[] {
    return [...this.#options.machines.map(({ name }) => name), ETCD, ...CLIENTS];
  }

  #cut({ machine, other, ways }: Fault & { readonly type: 'cut' }): () => void {
    const { network, machines } = this.#options;
    const { links } = network;
    const { name } = this.#find(machine);
    const names = machines.map((one) => one.name);
    const inside: readonly string[] = other === 'island' ? [name, CLIENTS[0]] : [name];
    const everyone = this.#everyone();
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
