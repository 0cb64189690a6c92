import type { Clock, Random } from '../../platform/index.js';
import type { TraceText } from './trace.js';
import type { EventOwner, World, WorldEvent } from './world.js';

/** How the clocks of a machine differ from virtual time. */
export interface ClockSetting {
  /** Milliseconds that it counts for each of virtual time. */
  readonly rate: number;
  /** Of the wall clock. */
  wallOffsetMs: number;
}

export interface LifeOptions {
  readonly world: World;
  /** Of the machine. */
  readonly name: string;
  readonly number: number;
  readonly clock: ClockSetting;
}

/** 2024-01-01T00:00:00Z */
const START_AT_MS = 1_704_067_200_000;

/**
 * One life of a machine's process, from its start to a crash. Everything that it waits for goes through here: after the
 * end nothing of it ever happens, and while it is paused everything waits.
 */
export class Life implements EventOwner {
  readonly name: string;
  readonly number: number;
  readonly random: Random;
  readonly #world: World;
  readonly #clock: ClockSetting;
  readonly #startedMs: number;
  /** Of the monotonic clock, which starts anywhere. */
  readonly #baseMs: number;
  #isEnded = false;
  #isPaused = false;
  #held: WorldEvent[] = [];
  readonly #timerLabel = (): string => `${this.id} timer`;

  constructor({ world, name, number, clock }: LifeOptions) {
    this.#world = world;
    this.name = name;
    this.number = number;
    this.#clock = clock;
    this.random = world.random(`life ${name} ${number}`);
    this.#startedMs = world.nowMs;
    this.#baseMs = Math.floor(this.random.fraction() * 1_000_000);
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get id(): string {
    return `${this.name}.${this.number}`;
  }

  hold(event: WorldEvent): void {
    this.#held.push(event);
  }

  end(): void {
    this.#isEnded = true;
    this.#held = [];
  }

  pause(): void {
    this.#isPaused = true;
  }

  /** Timers that fell due come first, as in an event loop that was stopped, or all in the order of their time. */
  resume(areTimersFirst: boolean): void {
    this.#isPaused = false;
    const held = this.#held.splice(0);
    const isTimer = (event: WorldEvent): boolean => event.kind === 'timer';
    const ordered = areTimersFirst
      ? [...held.filter(isTimer), ...held.filter((event) => !isTimer(event))]
      : held;
    for (const event of ordered) this.#world.release(event);
  }

  /** Resolves after a time, of the world and not of its clock; never after the end of this life. */
  wait(afterMs: number, label: TraceText): Promise<void> {
    return new Promise((resolve) => {
      const owned = label && (() => `${this.id} ${typeof label === 'string' ? label : label()}`);
      this.#world.schedule({ afterMs, owner: this, label: owned, run: resolve });
    });
  }

  readonly clock: Clock = {
    nowMs: () => Math.floor(START_AT_MS + this.#world.nowMs * this.#clock.rate + this.#clock.wallOffsetMs),
    monotonicMs: () => this.#elapsedMs(),
    elapsedMs: () => this.#elapsedMs(),
    setTimer: (durationMs, run) => this.#setTimer(durationMs, run),
    sleep: (durationMs, signal) => this.#sleep(durationMs, signal)
  };

  #elapsedMs(): number {
    return this.#baseMs + (this.#world.nowMs - this.#startedMs) * this.#clock.rate;
  }

  #setTimer(durationMs: number, run: () => void): Disposable {
    // Rounded up: a timer never fires before its time by its own clock.
    const afterMs = Math.max(0, durationMs) / this.#clock.rate + 0.001;
    return this.#world.schedule({ afterMs, owner: this, kind: 'timer', label: this.#timerLabel, run });
  }

  #sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const timer = this.#setTimer(durationMs, () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        timer[Symbol.dispose]();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
}
