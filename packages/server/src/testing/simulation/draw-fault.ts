import type { Random } from '../../platform/index.js';
import type { Fault, FaultTarget, FaultType } from './fault.js';
import { STEP_NAMES } from './protocol-steps.js';

export type Drawn<Kind> = Kind extends unknown ? Omit<Kind, 'atMs'> : never;

/** Draws what a fault of a type does, but not when. */
export function drawFault(type: FaultType, machineCount: number, random: Random): Drawn<Fault> {
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
        how: pick(['kill', 'kill', 'power', 'power', 'stop'] as const),
        downMs: chance(0.3) ? between(1, 300) : between(300, 15_000),
        losesIndex: chance(0.2)
      };
    case 'blackout':
      return { type, downMs: between(100, 10_000) };
    case 'pause':
      return { type, machine, durationMs };
    case 'strike':
      return {
        type,
        step: pick(STEP_NAMES),
        phase: pick(['arrives', 'answered'] as const),
        countdown: chance(0.5) ? 1 : between(2, 6),
        afterMs: chance(0.5) ? 0 : random.fraction() * 5,
        whom: pick(['caller', 'answerer', 'answerer', 'etcd'] as const),
        how: pick(['kill', 'power', 'pause', 'cut'] as const),
        durationMs
      };
    case 'drain':
      return { type, machine, removes: chance(0.5), durationMs: between(1000, 120_000) };
    case 'join':
      return { type, machine: between(0, machineCount - 1) };
    case 'machineLoss':
      return { type, machine };
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
