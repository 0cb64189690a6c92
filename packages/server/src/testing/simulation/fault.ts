import type { Random } from '../../platform/index.js';
import { drawFault } from './draw-fault.js';
import type { StepName } from './protocol-steps.js';

/** A machine by its number, or the one that has a role when the fault comes. */
export type FaultTarget = number | 'owner' | 'streamManager';

/** Something that goes wrong at a moment, as plain values: a failing run is replayed with some of its faults. */
export type Fault = { readonly atMs: number } & (
  | {
      readonly type: 'end';
      readonly machine: FaultTarget;
      readonly how: EndOfProcess;
      readonly downMs: number;
      /** The index, which is only a cache, is gone afterwards. */
      readonly losesIndex: boolean;
    }
  /** Ends, pauses or cuts who takes part in a step of a protocol, the `countdown`-th time that the step comes. */
  | {
      readonly type: 'strike';
      readonly step: StepName;
      readonly phase: StepPhase;
      readonly countdown: number;
      readonly afterMs: number;
      readonly whom: 'caller' | 'answerer' | 'etcd';
      readonly how: EndOfProcess | 'pause' | 'cut';
      readonly durationMs: number;
    }
  /** Everything is moved off a machine; then it is removed for good, or taken back when the time is over. */
  | {
      readonly type: 'drain';
      readonly machine: FaultTarget;
      readonly removes: boolean;
      readonly durationMs: number;
    }
  /** A machine that was never there, or was removed, comes. */
  | { readonly type: 'join'; readonly machine: number }
  /** A machine is gone for good, with its disk; the operator removes it. */
  | { readonly type: 'machineLoss'; readonly machine: FaultTarget }
  | { readonly type: 'blackout'; readonly downMs: number }
  | { readonly type: 'pause'; readonly machine: FaultTarget; readonly durationMs: number }
  /** `from` and `to` of the machine: which ways are cut. */
  | {
      readonly type: 'cut';
      readonly machine: FaultTarget;
      /** `island`: the machine and a front end are cut from everyone else. */
      readonly other: number | 'etcd' | 'client0' | 'all' | 'island';
      readonly ways: 'both' | 'from' | 'to';
      readonly durationMs: number;
    }
  | {
      readonly type: 'slowDisk';
      readonly machine: FaultTarget;
      readonly factor: number;
      readonly durationMs: number;
    }
  | {
      readonly type: 'fullDisk';
      readonly machine: FaultTarget;
      readonly freeBytes: number;
      readonly durationMs: number;
    }
  | {
      readonly type: 'failingDisk';
      readonly machine: FaultTarget;
      readonly on: 'write' | 'sync' | 'read' | 'any';
      readonly chance: number;
      readonly durationMs: number;
    }
  | { readonly type: 'rot'; readonly machine: FaultTarget; readonly draw: number }
  | { readonly type: 'clockJump'; readonly machine: FaultTarget; readonly byMs: number }
  | { readonly type: 'noLeader'; readonly durationMs: number }
  | { readonly type: 'watchCut'; readonly isCompacted: boolean }
  | { readonly type: 'loss'; readonly chance: number; readonly durationMs: number }
  | { readonly type: 'duplicates'; readonly chance: number; readonly durationMs: number }
  | { readonly type: 'delay'; readonly extraMs: number; readonly durationMs: number }
);

export type FaultType = Fault['type'];

/** `stop`: it ends in order. */
export type EndOfProcess = 'kill' | 'power' | 'stop';

/** When what was asked arrives, or when its answer leaves. */
export type StepPhase = 'arrives' | 'answered';

/** How often each fault comes, relative to the others, and how long it is quiet between two on average. */
export interface Scenario {
  readonly weights: Partial<Record<FaultType, number>>;
  readonly intervalMs: number;
  /** Absent: each run has another load. */
  readonly load?: Load | undefined;
  /** Whether there is time enough between faults for the space to stay within its bound. */
  readonly boundsSpace?: boolean | undefined;
}

/** What callers do. */
export interface Load {
  readonly groupCount: number;
  readonly keysPerGroup: number;
  readonly callersPerGroup: number;
  /** Between two calls of a caller, on average. */
  readonly thinkMs: number;
  /** `rewrites`: most calls write whole objects of some kilobytes again. */
  readonly mix: 'all' | 'rewrites';
}

const scenario = (intervalMs: number, weights: Scenario['weights']): Scenario => ({ intervalMs, weights });

export const SCENARIOS = {
  calm: scenario(Number.POSITIVE_INFINITY, {}),
  steps: scenario(3000, { strike: 1 }),
  members: scenario(8000, { drain: 3, join: 2, machineLoss: 1, end: 2, strike: 1 }),
  crashes: scenario(6000, { end: 1 }),
  blackouts: scenario(15_000, { blackout: 2, end: 1 }),
  partitions: scenario(6000, { cut: 3, loss: 1, delay: 1 }),
  disks: scenario(5000, { slowDisk: 2, fullDisk: 1, failingDisk: 3, end: 1 }),
  rot: scenario(4000, { rot: 3, end: 1 }),
  pauses: scenario(5000, { pause: 3, clockJump: 1 }),
  coordination: scenario(6000, { noLeader: 2, watchCut: 2, cut: 1, end: 1 }),
  /** For hours of virtual time. */
  rewrites: {
    ...scenario(600_000, { end: 3, pause: 1, cut: 1, noLeader: 1, drain: 0.5 }),
    load: { groupCount: 2, keysPerGroup: 100, callersPerGroup: 2, thinkMs: 2000, mix: 'rewrites' },
    boundsSpace: true
  },
  repeats: scenario(6000, { duplicates: 2, loss: 2, end: 1, pause: 1 }),
  everything: scenario(3000, {
    end: 3,
    strike: 4,
    drain: 0.7,
    join: 0.7,
    machineLoss: 0.3,
    blackout: 0.5,
    pause: 2,
    cut: 3,
    slowDisk: 1,
    fullDisk: 0.5,
    failingDisk: 1,
    rot: 1,
    clockJump: 0.5,
    noLeader: 1,
    watchCut: 1,
    loss: 1,
    duplicates: 1,
    delay: 0.5
  })
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export interface PlanOptions {
  readonly scenario: Scenario;
  readonly machineCount: number;
  readonly durationMs: number;
  readonly random: Random;
}

/** The first faults come when the stamp has settled. */
const QUIET_MS = 5000;

/** Draws all faults of a run beforehand, so that a run with fewer of them is otherwise the same. */
export function planFaults({ scenario, machineCount, durationMs, random }: PlanOptions): readonly Fault[] {
  const faults: Fault[] = [];
  const entries = Object.entries(scenario.weights) as [FaultType, number][];
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  if (total === 0) return faults;
  for (let atMs = QUIET_MS; ; ) {
    atMs += -scenario.intervalMs * Math.log(1 - random.fraction());
    if (atMs >= durationMs) return faults;
    let rest = random.fraction() * total;
    const isNext = ([, weight]: [FaultType, number]): boolean => {
      rest -= weight;
      return rest < 0;
    };
    const [type] = entries.find(isNext) ?? entries.at(-1)!;
    faults.push({ ...drawFault(type, machineCount, random), atMs: Math.round(atMs) } as Fault);
  }
}
