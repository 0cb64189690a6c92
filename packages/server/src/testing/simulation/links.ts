import type { Random } from '../../platform/index.js';
import type { World } from './world.js';

/** What is wrong with the network at the moment, everywhere. */
export interface NetworkWeather {
  /** Chance of each message to break its connection. */
  lossChance: number;
  /** Chance of each request that may be repeated to arrive a second time. */
  duplicateChance: number;
  /** More delay for each message, at most. */
  extraMs: number;
}

const DELAY_MS_MIN = 0.2;
const DELAY_MS_MEAN = 0.5;
const SELF_DELAY_MS = 0.02;
/** Now and then a message takes long. */
const SLOW_CHANCE = 0.002;
const SLOW_MS_MAX = 300;

/** The ways between machines: how long messages take, and which ways are cut. */
export class Links {
  readonly weather: NetworkWeather = { lossChance: 0, duplicateChance: 0, extraMs: 0 };
  readonly #random: Random;
  readonly #cuts = new Map<string, number>();
  readonly #healed = new Set<() => void>();

  constructor(world: World) {
    this.#random = world.random('links');
  }

  delayMs(from: string, to: string): number {
    if (from === to) return SELF_DELAY_MS;
    const { extraMs } = this.weather;
    const base = DELAY_MS_MIN - DELAY_MS_MEAN * Math.log(1 - this.#random.fraction());
    const slow = this.#random.fraction() < SLOW_CHANCE ? this.#random.fraction() * SLOW_MS_MAX : 0;
    return base + slow + this.#random.fraction() * extraMs;
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(way(from, to));
  }

  /** Several cuts of one way may overlap. */
  cut(from: string, to: string): void {
    this.#cuts.set(way(from, to), (this.#cuts.get(way(from, to)) ?? 0) + 1);
  }

  heal(from: string, to: string): void {
    const count = (this.#cuts.get(way(from, to)) ?? 0) - 1;
    if (count > 0) this.#cuts.set(way(from, to), count);
    else this.#cuts.delete(way(from, to));
    for (const run of [...this.#healed]) run();
  }

  healAll(): void {
    this.#cuts.clear();
    for (const run of [...this.#healed]) run();
  }

  onHealed(run: () => void): void {
    this.#healed.add(run);
  }
}

function way(from: string, to: string): string {
  return `${from}>${to}`;
}
