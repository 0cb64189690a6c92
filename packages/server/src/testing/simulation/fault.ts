import type { Random } from '../../platform/index.js';

/** A machine by its number, or the one that has a role when the fault comes. */
export type FaultTarget = number | 'owner' | 'streamManager';

/** Something that goes wrong at a moment, as plain values: a failing run is replayed with some of its faults. */
export type Fault = { readonly atMs: number } & (
  | {
      readonly type: 'end';
      readonly machine: FaultTarget;
      readonly how: 'kill' | 'power';
      readonly downMs: number;
    }
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

/** How often each fault comes, relative to the others, and how long it is quiet between two on average. */
export interface Scenario {
  readonly weights: Partial<Record<FaultType, number>>;
  readonly intervalMs: number;
}

const scenario = (intervalMs: number, weights: Scenario['weights']): Scenario => ({ intervalMs, weights });

export const SCENARIOS = {
  calm: scenario(Number.POSITIVE_INFINITY, {}),
  crashes: scenario(6000, { end: 1 }),
  blackouts: scenario(15_000, { blackout: 2, end: 1 }),
  partitions: scenario(6000, { cut: 3, loss: 1, delay: 1 }),
  disks: scenario(5000, { slowDisk: 2, fullDisk: 1, failingDisk: 3, end: 1 }),
  rot: scenario(4000, { rot: 3, end: 1 }),
  pauses: scenario(5000, { pause: 3, clockJump: 1 }),
  coordination: scenario(6000, { noLeader: 2, watchCut: 2, cut: 1, end: 1 }),
  repeats: scenario(6000, { duplicates: 2, loss: 2, end: 1, pause: 1 }),
  everything: scenario(4000, {
    end: 3,
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
} as const satisfies Record<string, Scenario>;

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

type Drawn<Kind> = Kind extends unknown ? Omit<Kind, 'atMs'> : never;

function drawFault(type: FaultType, machineCount: number, random: Random): Drawn<Fault> {
  const between = (min: number, max: number): number => Math.round(min + random.fraction() * (max - min));
  const chance = (part: number): boolean => random.fraction() < part;
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.fraction() * items.length)]!;
  const machine = pick<FaultTarget>([
    ...Array.from({ length: machineCount }, (_, index) => index),
    'owner',
    'streamManager'
  ]);
  const durationMs = chance(0.3) ? between(50, 1500) : between(1000, 20_000);
  switch (type) {
    case 'end':
      return {
        type,
        machine,
        how: chance(0.5) ? 'kill' : 'power',
        downMs: chance(0.3) ? between(1, 300) : between(300, 15_000)
      };
    case 'blackout':
      return { type, downMs: between(100, 10_000) };
    case 'pause':
      return { type, machine, durationMs };
    case 'cut': {
      const other = pick<number | 'etcd' | 'client0' | 'all' | 'island'>([
        between(0, machineCount - 1),
        'etcd',
        'client0',
        'all',
        'island',
        'island'
      ]);
      return { type, machine, other, ways: pick(['both', 'both', 'from', 'to'] as const), durationMs };
    }
    case 'slowDisk':
      return { type, machine, factor: between(10, 1000), durationMs };
    case 'fullDisk':
      return { type, machine, freeBytes: between(0, 60_000), durationMs };
    case 'failingDisk': {
      const on = pick(['write', 'sync', 'read', 'any'] as const);
      return { type, machine, on, chance: pick([0.01, 0.1, 0.5, 1]), durationMs };
    }
    case 'rot':
      return { type, machine, draw: random.fraction() };
    case 'clockJump':
      return { type, machine, byMs: between(-3_600_000, 3_600_000) };
    case 'noLeader':
      return { type, durationMs };
    case 'watchCut':
      return { type, isCompacted: chance(0.5) };
    case 'loss':
      return { type, chance: pick([0.001, 0.01, 0.05]), durationMs };
    case 'duplicates':
      return { type, chance: pick([0.05, 0.3]), durationMs };
    case 'delay':
      return { type, extraMs: pick([5, 50, 500]), durationMs };
  }
}
