import { overlaps } from './key-locks.js';
import type { RowRange } from './row-key.js';

/** Ranges as somebody holds them, and those who wait for it to end. */
interface Hold {
  readonly ranges: readonly RowRange[];
  readonly waiting: (() => void)[];
}

/**
 * Lets readers of a range see a change of many rows only before or after it. A change that takes several steps closes its
 * ranges meanwhile; readers that are within them end first.
 */
export class ReadGate {
  readonly #readers = new Set<Hold>();
  readonly #closed = new Set<Hold>();

  /** Reads within a range while no change is under way there. */
  async read<Result>(range: RowRange, run: () => Result | Promise<Result>): Promise<Result> {
    for (;;) {
      const closed = findOverlap(this.#closed, [range]);
      if (!closed) break;
      await wait(closed);
    }
    const hold: Hold = { ranges: [range], waiting: [] };
    this.#readers.add(hold);
    try {
      return await run();
    } finally {
      end(this.#readers, hold);
    }
  }

  /** Changes ranges while nobody reads there. */
  async change<Result>(ranges: readonly RowRange[], run: () => Promise<Result>): Promise<Result> {
    const hold: Hold = { ranges, waiting: [] };
    this.#closed.add(hold);
    try {
      for (;;) {
        const reader = findOverlap(this.#readers, ranges);
        if (!reader) break;
        await wait(reader);
      }
      return await run();
    } finally {
      end(this.#closed, hold);
    }
  }
}

function findOverlap(holds: ReadonlySet<Hold>, ranges: readonly RowRange[]): Hold | undefined {
  for (const hold of holds)
    for (const held of hold.ranges) for (const range of ranges) if (overlaps(held, range)) return hold;
  return undefined;
}

function wait({ waiting }: Hold): Promise<void> {
  return new Promise((resolve) => waiting.push(resolve));
}

function end(holds: Set<Hold>, hold: Hold): void {
  holds.delete(hold);
  for (const wake of hold.waiting) wake();
}
