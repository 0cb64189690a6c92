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
  readonly runCount: number;
}

/** Some time after the violation, for what was found only a little later than it happened. */
const MARGIN_MS = 1000;
/** A run with less in it goes another way, so that what was found may need other luck to come again. */
const LUCK_TRIES = 6;

/**
 * Looks for the smallest run that breaks the same promise: a shorter one, with fewer faults, callers and keys. Ends when
 * a whole round finds nothing smaller.
 */
export async function shrink(options: ShrinkOptions): Promise<Shrunk> {
  return await new Shrinking(options).run();
}

class Shrinking {
  readonly #all: readonly Fault[];
  readonly #invariant: string | undefined;
  readonly #planSeed: number;
  readonly #runsMax: number;
  #runCount = 0;
  #best: Shrunk;

  constructor({ failed, options, runsMax }: ShrinkOptions) {
    this.#all = failed.faults;
    this.#invariant = failed.violation?.invariant;
    this.#planSeed = options.planSeed ?? options.seed;
    this.#runsMax = runsMax;
    const kept = this.#all.map((_, index) => index);
    this.#best = { outcome: failed, options: { ...options, faults: this.#all }, kept, runCount: 0 };
  }

  async run(): Promise<Shrunk> {
    await this.#cutTime(1);
    for (;;) {
      const { kept, options } = this.#best;
      await this.#dropFaults();
      await this.#dropLoad();
      await this.#cutTime(LUCK_TRIES);
      const now = this.#best;
      const isSmaller = now.kept.length < kept.length || now.options.durationMs < options.durationMs;
      if (!isSmaller || this.#runCount >= this.#runsMax) break;
    }
    return { ...this.#best, runCount: this.#runCount };
  }

  /** Nothing after the violation, and no fault that had not come by then. */
  async #cutTime(tries: number): Promise<void> {
    const { outcome, options, kept } = this.#best;
    const endMs = Math.ceil(outcome.virtualMs + MARGIN_MS);
    if (endMs < options.durationMs) {
      const left = kept.filter((index) => this.#all[index]!.atMs <= outcome.virtualMs);
      await this.#attempt({ durationMs: endMs }, left, tries);
    }
    // Half of the time, with the faults that come in it.
    for (;;) {
      const durationMs = Math.ceil(this.#best.options.durationMs / 2);
      const left = this.#best.kept.filter((index) => this.#all[index]!.atMs <= durationMs);
      if (!(await this.#attempt({ durationMs }, left, tries))) return;
    }
  }

  async #dropFaults(): Promise<void> {
    for (
      let size = Math.ceil(this.#best.kept.length / 2);
      size >= 1;
      size = size === 1 ? 0 : Math.ceil(size / 2)
    )
      for (let start = 0; start < this.#best.kept.length; ) {
        const kept = this.#best.kept.filter((_, index) => index < start || index >= start + size);
        // The last faults are worth more than one try.
        if (!(await this.#attempt({}, kept, kept.length < LUCK_TRIES ? LUCK_TRIES : 1))) start += size;
      }
  }

  async #dropLoad(): Promise<void> {
    const { callersPerGroup, groupCount } = this.#best.options;
    const { kept } = this.#best;
    if (groupCount !== 1) await this.#attempt({ groupCount: 1 }, kept, LUCK_TRIES);
    if (callersPerGroup === 1) return;
    (await this.#attempt({ callersPerGroup: 1 }, kept, LUCK_TRIES)) ||
      (callersPerGroup !== 2 && (await this.#attempt({ callersPerGroup: 2 }, kept, LUCK_TRIES)));
  }

  /** @returns Whether one of some runs of the same plan breaks the promise. */
  async #attempt(
    changes: Partial<SimulationOptions>,
    kept: readonly number[],
    tries: number
  ): Promise<boolean> {
    const { options } = this.#best;
    for (let luck = 0; luck < tries && this.#runCount < this.#runsMax; luck++) {
      this.#runCount += 1;
      const faults = kept.map((index) => this.#all[index]!);
      const smaller = {
        ...options,
        ...changes,
        faults,
        planSeed: this.#planSeed,
        seed: options.seed + luck
      };
      const outcome = await simulate(smaller);
      if (outcome.violation?.invariant !== this.#invariant) continue;
      this.#best = { outcome, options: smaller, kept, runCount: this.#runCount };
      return true;
    }
    return false;
  }
}
