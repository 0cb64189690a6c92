import type { Fault } from './fault.js';
import { type SimulationOptions, type SimulationOutcome, simulate } from './simulate.js';

export interface ShrinkOptions {
  readonly failed: SimulationOutcome;
  readonly options: SimulationOptions;
  /** So many runs at most. */
  readonly runsMax: number;
}

export interface Shrunk {
  readonly outcome: SimulationOutcome;
  readonly options: SimulationOptions;
  /** Which of the seed's faults are left, by their number. */
  readonly kept: readonly number[];
}

/** Some time after the violation, for what was found only a little later than it happened. */
const MARGIN_MS = 1000;

/** Looks for a smaller run that breaks the same promise: a shorter one, with fewer faults and callers. */
export async function shrink({ failed, options, runsMax }: ShrinkOptions): Promise<Shrunk> {
  const all = failed.faults;
  let best: Shrunk = {
    outcome: failed,
    options: { ...options, faults: all },
    kept: all.map((_, index) => index)
  };
  let runCount = 0;
  const attempt = async (changes: Partial<SimulationOptions>, kept: readonly number[]): Promise<boolean> => {
    if (runCount >= runsMax) return false;
    runCount += 1;
    const faults = kept.map((index) => all[index]!) satisfies readonly Fault[];
    const smaller = { ...best.options, ...changes, faults };
    const outcome = await simulate(smaller);
    if (outcome.violation?.invariant !== failed.violation?.invariant) return false;
    best = { outcome, options: smaller, kept };
    return true;
  };

  const durationMs = Math.min(options.durationMs, Math.ceil(failed.virtualMs + MARGIN_MS));
  await attempt(
    { durationMs },
    best.kept.filter((index) => all[index]!.atMs <= failed.virtualMs)
  );
  await attempt({ callersPerGroup: 1 }, best.kept);
  for (let size = Math.ceil(best.kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < best.kept.length; ) {
      const kept = best.kept.filter((_, index) => index < start || index >= start + size);
      if (!(await attempt({}, kept))) start += size;
    }
  }
  await attempt({ durationMs: Math.ceil(best.outcome.virtualMs + MARGIN_MS) }, best.kept);
  return best;
}
