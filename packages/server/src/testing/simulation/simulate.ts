import { isStoreError } from '../../api/index.js';
import type { RemotePartitionLayer } from '../../partition/index.js';
import type { Random } from '../../platform/index.js';
import { ClusterView } from '../../roles/cluster-view.js';
import type { DeliberateBug } from './deliberate-bug.js';
import { type Fault, type Load, planFaults, SCENARIOS, type Scenario, type ScenarioName } from './fault.js';
import { CLIENTS, ETCD, FaultInjector } from './fault-injector.js';
import { Invariants } from './invariants.js';
import { type ClockSetting, Life } from './life.js';
import { EXTENT_BYTES_MAX, Machine, META_ADDRESS } from './machine.js';
import { MetaCore } from './meta-core.js';
import { MetaService } from './meta-service.js';
import { MetaSession } from './meta-session.js';
import { SimulatedNetwork } from './network.js';
import { Operator } from './operator.js';
import { SpaceMonitor } from './space-monitor.js';
import { Violation } from './violation.js';
import { BUCKET, Workload, type WorkloadCounts } from './workload.js';
import { World } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** Whose machines and faults there are; absent: those of `seed`. What else is drawn is always of `seed`. */
  readonly planSeed?: number | undefined;
  readonly scenario: ScenarioName;
  /** Of virtual time with faults and calls. */
  readonly durationMs: number;
  /** Absent: those that seed and scenario give. */
  readonly faults?: readonly Fault[] | undefined;
  readonly callersPerGroup?: number | undefined;
  readonly groupCount?: number | undefined;
  readonly bug?: DeliberateBug | undefined;
  /** Keeps the lines of the trace, which takes time. */
  readonly keepsTrace?: boolean | undefined;
  /** Only draws the faults. */
  readonly planOnly?: boolean | undefined;
}

export interface SimulationOutcome {
  readonly violation: Violation | undefined;
  readonly virtualMs: number;
  readonly faults: readonly Fault[];
  readonly counts: WorkloadCounts;
  /** What extents took for each byte of objects, at worst, where that is looked at. */
  readonly spaceFactorMax: number | undefined;
  readonly traceHash: string;
  /** Of all lines, where they are kept. */
  readonly traceTextHash: string;
  readonly traceLength: number;
  readonly tail: (count: number) => readonly string[];
}

const GROUP_COUNT_MAX = 3;
const KEYS_PER_GROUP = 6;
const CALLERS_PER_GROUP_MAX = 4;
/** Some runs have many calls for each fault, others many faults for each call. */
const THINK_MS = [100, 200, 500, 1000, 2000];
/** After everything was healed all calls must be answered within this time. */
const RECOVERY_MS = 120_000;
const START_MS = 60_000;
/** After everything else all replicas must be whole again within this time. */
const REPAIR_MS = 600_000;
const REPAIR_CHECK_MS = 5000;
const REPLICA_COUNT = 3;
/** More machines than these are rare, as each adds little but time. */
const MACHINE_COUNTS = [3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 9];
/** Machines beyond these may come later. */
const MEMBERS_MIN = 3;
const CHECKPOINT_BYTES_MIN = 8 * 1024;
const EVENTS_NOTED = new Set([
  'partition-loaded',
  'partition-failed',
  'partition-load-failed',
  'extent-replaced'
]);

/** Runs a whole stamp from nothing through faults to its recovery, in virtual time. The same options give the same run. */
export async function simulate(options: SimulationOptions): Promise<SimulationOutcome> {
  return await new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #network: SimulatedNetwork;
  readonly #core: MetaCore;
  readonly #service: MetaService;
  readonly #machines: readonly Machine[];
  readonly #invariants: Invariants;
  readonly #faults: readonly Fault[];
  readonly #operator: Operator;
  readonly #injector: FaultInjector;
  readonly #load: Load;
  readonly #counts: WorkloadCounts = { calls: 0, answers: 0, unknowns: 0, retries: 0 };
  readonly #scenario: Scenario;
  #workload: Workload | undefined;
  #space: SpaceMonitor | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const world = new World(options.seed, options);
    this.#scenario = SCENARIOS[options.scenario];
    this.#world = world;
    this.#network = new SimulatedNetwork(world);
    this.#core = new MetaCore(world);
    this.#service = new MetaService(world, this.#core);
    const random = new World(options.planSeed ?? options.seed).random(`scenario ${options.scenario}`);
    const machineCount = MACHINE_COUNTS[Math.floor(random.fraction() * MACHINE_COUNTS.length)]!;
    this.#machines = Array.from({ length: machineCount }, (_, index) => this.#machine(`m${index}`));
    if (this.#scenario.weights.join)
      for (const machine of this.#machines.slice(MEMBERS_MIN)) machine.isAbsent = random.fraction() < 0.5;
    const machines = new Map(this.#machines.map((machine) => [machine.name, machine]));
    this.#load = drawLoad(world.random('load'), options);
    const core = this.#core;
    this.#invariants = new Invariants({ world, core, machines });
    this.#network.observers.push(this.#invariants);
    const { durationMs } = options;
    this.#faults =
      options.faults ?? planFaults({ scenario: this.#scenario, machineCount, durationMs, random });
    const life = new Life({ world, name: 'operator', number: 1, clock: this.#clock('operator') });
    this.#operator = new Operator(life, this.#network);
    this.#injector = new FaultInjector({
      world,
      network: this.#network,
      core,
      service: this.#service,
      machines: this.#machines,
      invariants: this.#invariants,
      operator: this.#operator
    });
  }

  async run(): Promise<SimulationOutcome> {
    const world = this.#world;
    if (this.#options.planOnly) return this.#outcome();
    const etcd = new Life({ world, name: ETCD, number: 1, clock: { rate: 1, wallOffsetMs: 0 } });
    await this.#network.of(etcd).listen({ host: ETCD, port: 2379, service: this.#service });
    for (const machine of this.#machines) machine.start();
    await this.#drive(CLIENTS.map((name) => new Life({ world, name, number: 1, clock: this.#clock(name) })));
    return this.#outcome();
  }

  #outcome(): SimulationOutcome {
    const world = this.#world;
    return {
      violation: world.violation,
      virtualMs: world.nowMs,
      faults: this.#faults,
      counts: this.#workload?.counts ?? this.#counts,
      spaceFactorMax: this.#space?.factorMax,
      traceHash: world.trace.hash,
      traceTextHash: world.trace.textHash,
      traceLength: world.trace.count,
      tail: (count) => world.trace.tail(count)
    };
  }

  async #drive(clients: readonly Life[]): Promise<void> {
    const { durationMs } = this.#options;
    const world = this.#world;
    const opening = Promise.all(clients.map((life) => this.#openLayer(life)));
    const layers = await this.#until('the stamp starts', START_MS, opening);
    if (!layers) return;
    const workload = new Workload({ world, life: clients[0]!, layers, load: this.#load });
    if (this.#scenario.boundsSpace) this.#watchSpace(workload);
    this.#workload = workload;
    workload.start();
    this.#injector.plan(this.#faults);
    await world.run(durationMs);
    this.#injector.healAll();
    await this.#until('all calls are answered', RECOVERY_MS, workload.stop());
    await this.#until('everything can be changed', RECOVERY_MS, workload.writeAll());
    await this.#until('everything can be read', RECOVERY_MS, workload.readAll());
    await this.#moveWithoutIndex();
    await this.#until('everything can be read from another server', RECOVERY_MS, workload.readAll());
    await this.#until('all replicas are whole', REPAIR_MS, this.#repair());
  }

  /** What rotted is found and made anew, and so is what was lost or never confirmed. */
  async #repair(): Promise<void> {
    const world = this.#world;
    await this.#operator.scrub();
    for (;;) {
      const wounded = this.#invariants.findWounded(REPLICA_COUNT);
      if (wounded === undefined || world.violation) return;
      world.note(wounded);
      await new Promise<void>((resolve) => {
        world.schedule({ afterMs: REPAIR_CHECK_MS, label: '', run: resolve });
      });
    }
  }

  #watchSpace(workload: Workload): void {
    const machines = new Map(this.#machines.map((machine) => [machine.name, machine]));
    this.#space = new SpaceMonitor({
      world: this.#world,
      core: this.#core,
      machines,
      liveBytes: () => workload.liveBytes
    });
  }

  /** Another server makes the index anew from the log and its checkpoint: the same objects must come out (I5). */
  async #moveWithoutIndex(): Promise<void> {
    if (this.#world.violation) return;
    for (const machine of this.#machines) await machine.end('power');
    for (const machine of this.#machines) {
      machine.removeIndex();
      machine.start();
    }
  }

  async #openLayer(life: Life): Promise<RemotePartitionLayer> {
    const network = this.#network.of(life);
    const { clock, random } = life;
    const meta = new MetaSession({ connection: network.connect(META_ADDRESS), clock, random });
    const view = await ClusterView.open({ meta, network, clock, random });
    const layer = await view.openPartitionLayer();
    for (;;) {
      try {
        await layer.buckets.create({ bucket: BUCKET, requestId: 'create' }, { deadlineMs: START_MS });
        return layer;
      } catch (error) {
        if (!isStoreError(error)) throw error;
        // An earlier try, or the other front end, has made it.
        if (error.code === 'BucketAlreadyExists') return layer;
        await life.wait(500, '');
      }
    }
  }

  /** Lets time pass until it is done. */
  async #until<Result>(
    what: string,
    timeoutMs: number,
    promise: Promise<Result>
  ): Promise<Result | undefined> {
    const world = this.#world;
    const endMs = world.nowMs + timeoutMs;
    let result: Result | undefined;
    let isDone = false;
    const watched = promise.then(
      (value) => {
        result = value;
        isDone = true;
      },
      (error: unknown) => {
        isDone = true;
        world.fail(new Violation('thrown', `${what}: ${String(error)}`, { cause: error }));
      }
    );
    while (!isDone && !world.violation && world.nowMs < endMs)
      await world.run(Math.min(endMs, world.nowMs + 100));
    if (!isDone && !world.violation)
      world.fail(new Violation('liveness', `not within ${timeoutMs} ms of virtual time: ${what}`));
    if (isDone) await watched;
    return result;
  }

  #machine(name: string): Machine {
    const { bug } = this.#options;
    return new Machine({
      world: this.#world,
      network: this.#network,
      name,
      clock: this.#clock(name),
      roles: {
        replicaCount: REPLICA_COUNT,
        extentBytesMax: EXTENT_BYTES_MAX,
        checkpointRecordBytesMin: CHECKPOINT_BYTES_MIN
      },
      onEvent: (machine, event) => this.#onEvent(machine, event),
      wrap: (outside, machine, life) => bug?.wrap(outside, { machine, life, core: this.#core }) ?? outside,
      onFileRemoved: (machine, path) => this.#invariants.onFileRemoved(machine, path)
    });
  }

  #clock(name: string): ClockSetting {
    const random = this.#world.random(`clock ${name}`);
    return {
      rate: 1 + (random.fraction() - 0.5) / 50,
      wallOffsetMs: Math.floor((random.fraction() - 0.5) * 20_000)
    };
  }

  #onEvent(machine: string, event: { readonly type: string; readonly cause?: unknown }): void {
    const { type, cause } = event;
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    if (EVENTS_NOTED.has(type) || why !== '') this.#world.note(`${machine} ${type}${why}`);
    if (cause !== undefined && !isStoreError(cause) && !isCancel(cause))
      this.#world.fail(new Violation('bug', `${machine} ${type}: ${String(cause)}`, { cause }));
    if (type === 'extent-sealed-damaged')
      this.#world.fail(
        new Violation('I1', `${machine} seals an extent as damaged although a replica is well`)
      );
  }
}

function drawLoad(random: Random, { scenario, ...given }: SimulationOptions): Load {
  const upTo = (count: number): number => 1 + Math.floor(random.fraction() * count);
  const drawn: Load = SCENARIOS[scenario as 'rewrites'].load ?? {
    groupCount: upTo(GROUP_COUNT_MAX),
    keysPerGroup: KEYS_PER_GROUP,
    callersPerGroup: upTo(CALLERS_PER_GROUP_MAX),
    thinkMs: THINK_MS[upTo(THINK_MS.length) - 1]!,
    mix: 'all'
  };
  const { groupCount = drawn.groupCount, callersPerGroup = drawn.callersPerGroup } = given;
  return { ...drawn, groupCount, callersPerGroup };
}

/** What an aborted call throws may be anything. */
function isCancel(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === 'AbortError';
}
