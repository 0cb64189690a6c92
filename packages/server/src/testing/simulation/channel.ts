import { StoreError } from '../../api/index.js';
import type { Random } from '../../platform/index.js';
import type { Life } from './life.js';
import type { Links } from './links.js';
import type { World } from './world.js';

export type Side = 'caller' | 'answerer';

export interface ChannelOptions {
  readonly world: World;
  readonly links: Links;
  readonly random: Random;
  readonly caller: Life;
  readonly answerer: Life;
}

/** After so long without a word the other side counts as gone. */
export const SILENCE_MS_MAX = 30_000;
const BREAK_MS_MAX = 100;
/** A message that was on its way when its connection broke may still have arrived before. */
const STRAY_CHANCE = 0.5;

interface Held {
  readonly label: string;
  readonly run: () => void;
}

/**
 * One connection: messages of a direction arrive in order. While the way is cut they wait, as packets that are sent again
 * and again do. It ends for each side at another time, and what is on its way then arrives or does not.
 */
export class Channel {
  readonly caller: Life;
  readonly answerer: Life;
  readonly #options: ChannelOptions;
  readonly #lastAtMs: Record<Side, number> = { caller: 0, answerer: 0 };
  readonly #held: Record<Side, Held[]> = { caller: [], answerer: [] };
  readonly #ended: Record<Side, StoreError | undefined> = { caller: undefined, answerer: undefined };
  readonly #onEnd: Record<Side, (reason: StoreError) => void> = { caller: NOTHING, answerer: NOTHING };

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.caller = options.caller;
    this.answerer = options.answerer;
  }

  /** Why it has ended for a side. */
  findEnd(side: Side): StoreError | undefined {
    return this.#ended[side];
  }

  get isOver(): boolean {
    return this.#ended.caller !== undefined && this.#ended.answerer !== undefined;
  }

  onEnd(side: Side, run: (reason: StoreError) => void): void {
    this.#onEnd[side] = run;
  }

  /** Sends to a side; `run` is its arrival. */
  send(to: Side, label: string, run: () => void): void {
    if (this.#ended[other(to)]) return;
    const { random, links } = this.#options;
    const { lossChance } = links.weather;
    if (lossChance > 0 && this.caller.name !== this.answerer.name && random.fraction() < lossChance) {
      const isStray = random.fraction() < STRAY_CHANCE;
      if (isStray) this.#deliver(to, { label, run });
      this.breakBoth('it was reset');
      return;
    }
    this.#deliver(to, { label, run });
  }

  #deliver(to: Side, message: Held): void {
    const { world, links } = this.#options;
    const [from, target] = this.#names(to);
    if (links.isCut(from, target)) {
      this.#hold(to, message);
      return;
    }
    const atMs = Math.max(world.nowMs + links.delayMs(from, target), this.#lastAtMs[to] + 0.001);
    this.#lastAtMs[to] = atMs;
    world.schedule({
      afterMs: atMs - world.nowMs,
      owner: this.#lifeOf(to),
      label: () => `${from}>${target} ${message.label}`,
      run: () => {
        // Cut while it was on its way: it has to be sent again, and so does all behind it.
        if (links.isCut(from, target) || this.#held[to].length > 0) this.#hold(to, message);
        else if (!this.#ended[to]) message.run();
      }
    });
  }

  #hold(to: Side, message: Held): void {
    const { world } = this.#options;
    if (this.#held[to].length === 0)
      world.schedule({
        afterMs: SILENCE_MS_MAX,
        label: '',
        run: () => {
          if (this.#held[to][0] === message) this.breakBoth('the other side is silent');
        }
      });
    this.#held[to].push(message);
  }

  /** Ways were healed: sends what waited. */
  flush(): void {
    for (const to of ['caller', 'answerer'] as const) {
      if (this.#held[to].length === 0) continue;
      const [from, target] = this.#names(to);
      if (this.#options.links.isCut(from, target)) continue;
      for (const message of this.#held[to].splice(0)) this.#deliver(to, message);
    }
  }

  /** Each side hears of it by itself, a little later. */
  breakBoth(why: string): void {
    for (const side of ['caller', 'answerer'] as const) this.breakLater(side, why, BREAK_MS_MAX);
  }

  breakLater(side: Side, why: string, withinMs: number, afterMs = 0): void {
    const { world, random } = this.#options;
    world.schedule({
      afterMs: afterMs + random.fraction() * withinMs,
      owner: this.#lifeOf(side),
      label: '',
      run: () =>
        this.end(side, new StoreError('ServiceUnavailable', `The connection was lost: ${why}. Try again.`))
    });
  }

  /** At once, for one side. */
  end(side: Side, reason: StoreError): void {
    if (this.#ended[side]) return;
    this.#ended[side] = reason;
    this.#onEnd[side](reason);
  }

  #lifeOf(side: Side): Life {
    return side === 'caller' ? this.caller : this.answerer;
  }

  #names(to: Side): readonly [from: string, to: string] {
    return to === 'caller' ? [this.answerer.name, this.caller.name] : [this.caller.name, this.answerer.name];
  }
}

function other(side: Side): Side {
  return side === 'caller' ? 'answerer' : 'caller';
}

const NOTHING = (): void => undefined;
