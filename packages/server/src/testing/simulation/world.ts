import { type Random, seededRandom } from '../../platform/index.js';
import { EventQueue, type SimulatedEvent } from './event-queue.js';
import { Trace, type TraceText } from './trace.js';
import { Violation } from './violation.js';

/** Whose events may be held back or dropped: one life of a machine. */
export interface EventOwner {
  readonly isEnded: boolean;
  readonly isPaused: boolean;
  /** Takes an event that is due while it is paused. */
  hold(event: WorldEvent): void;
}

export interface WorldEvent extends SimulatedEvent {
  readonly owner: EventOwner | undefined;
  /** Timers of a machine that was paused come before what arrived meanwhile, or after it. */
  readonly kind: 'timer' | 'arrival';
  readonly label: TraceText;
}

export interface Scheduled {
  readonly afterMs: number;
  readonly owner?: EventOwner | undefined;
  readonly kind?: WorldEvent['kind'];
  /** Of the trace; empty = leaves no line. */
  readonly label: TraceText;
  readonly run: () => void;
}

const TURNS_AT_ONCE = 64;

/**
 * Virtual time and everything that is going to happen in it. Events happen one after the other; between two of them, all
 * promises that can go on do. Nothing real is waited for, so the same seed gives the same trace.
 */
export class World {
  readonly seed: number;
  readonly trace: Trace;
  readonly #queue = new EventQueue<WorldEvent>();
  #nowMs = 0;
  #order = 0;
  #violation: Violation | undefined;

  constructor(seed: number, options: { readonly keepsTrace?: boolean | undefined } = {}) {
    this.seed = seed;
    this.trace = new Trace(options.keepsTrace ?? false);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** A generator of its own for each name: what one part draws does not change what another one does. */
  random(name: string): Random {
    let hash = 0x811c9dc5;
    for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
    return seededRandom(this.seed * 4_294_967_296 + (hash >>> 0));
  }

  schedule({ afterMs, owner, kind = 'arrival', label, run }: Scheduled): Disposable {
    const atMs = Math.round((this.#nowMs + Math.max(0, afterMs)) * 1000) / 1000;
    const event: WorldEvent = { atMs, order: this.#order++, owner, kind, label, run, isCancelled: false };
    this.#queue.push(event);
    return {
      [Symbol.dispose]: () => {
        event.isCancelled = true;
      }
    };
  }

  /** Puts an event that was held back into the queue again, for now. */
  release(event: WorldEvent): void {
    this.schedule({ ...event, afterMs: 0, run: () => !event.isCancelled && event.run() });
  }

  note(text: TraceText): void {
    this.trace.add(this.#nowMs, text);
  }

  /** Ends the run; the first one counts. */
  fail(violation: Violation): void {
    if (this.#violation) return;
    this.#violation = violation;
    this.note(`VIOLATION ${violation.message}`);
  }

  /** Lets time pass. Ends early at a violation. */
  async run(untilMs: number): Promise<void> {
    const refuse = (reason: unknown): void => {
      const cause = reason instanceof Violation ? reason : undefined;
      this.fail(
        cause ??
          new Violation('unhandled', `nobody handles a rejection: ${String(reason)}`, { cause: reason })
      );
    };
    process.on('unhandledRejection', refuse);
    try {
      await this.#turns(() => this.#step(untilMs));
      if (!this.#violation) this.#nowMs = Math.max(this.#nowMs, untilMs);
    } finally {
      process.off('unhandledRejection', refuse);
    }
  }

  /**
   * Takes a step in each turn of the event loop until one says that it was the last. Many turns are asked for at once, as
   * going around the loop costs more than a step; all promise reactions run between two turns all the same.
   */
  #turns(step: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      let leftCount = 0;
      let isOver = false;
      const turn = (): void => {
        leftCount -= 1;
        isOver ||= !step();
        if (leftCount > 0) return;
        if (isOver) resolve();
        else ask();
      };
      const ask = (): void => {
        for (; leftCount < TURNS_AT_ONCE; leftCount++) setImmediate(turn);
      };
      // What was started before gets its promise reactions first.
      setImmediate(ask);
    });
  }

  /** The next event happens. @returns False when there is none until then. */
  #step(untilMs: number): boolean {
    while (!this.#violation) {
      const event = this.#queue.peek();
      if (!event || event.atMs > untilMs) return false;
      this.#queue.pop();
      if (!this.#happens(event)) continue;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      this.trace.happened(event.atMs, event.order);
      if (event.label !== '') this.trace.add(this.#nowMs, event.label);
      this.#run(event);
      return true;
    }
    return false;
  }

  #happens(event: WorldEvent): boolean {
    const { owner } = event;
    if (event.isCancelled || owner?.isEnded) return false;
    if (!owner?.isPaused) return true;
    owner.hold(event);
    return false;
  }

  #run(event: WorldEvent): void {
    try {
      event.run();
    } catch (error) {
      this.fail(
        error instanceof Violation ? error : new Violation('thrown', String(error), { cause: error })
      );
    }
  }
}
