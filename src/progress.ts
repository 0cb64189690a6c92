import cliProgress from 'cli-progress';
import { formatSize } from './size.js';
import type { OutputStream } from './world.js';

const SHOWN_AFTER_MS = 1000;

/** How far a long command is. */
export interface Progress extends Disposable {
  /** More is known to be done in all. */
  expect(amount: number): void;
  advance(amount: number): void;
}

export interface ProgressOptions {
  /** What is done, as "copying". */
  readonly action: string;
  readonly unit: 'bytes' | 'objects';
  /** Called when the bar appears: for what it costs something to find out, as the total. */
  readonly onShow?: (progress: Progress) => void;
  /** Default: a second. */
  readonly shownAfterMs?: number;
}

/** A bar on a terminal for what takes more than a second; nothing in a pipe. */
export function openProgress(stream: OutputStream, options: ProgressOptions): Progress {
  if (!stream.isTTY) return { expect() {}, advance() {}, [Symbol.dispose]() {} };
  return new ProgressBar(stream, options);
}

class ProgressBar implements Progress {
  readonly #bar: cliProgress.SingleBar;
  readonly #timer: NodeJS.Timeout;
  #isShown = false;
  #done = 0;
  #expected = 0;

  constructor(
    stream: OutputStream,
    { action, unit, onShow, shownAfterMs = SHOWN_AFTER_MS }: ProgressOptions
  ) {
    const amountOf = (amount: number) => (unit === 'bytes' ? formatSize(amount) : `${amount} objects`);
    this.#bar = new cliProgress.SingleBar({
      stream,
      clearOnComplete: true,
      hideCursor: true,
      // Without a terminal's cursor the library would print line after line.
      noTTYOutput: false,
      fps: 5,
      format: (settings, parameters) => {
        const { total, value } = parameters;
        if (value === 0 && total <= 0) return `${action} …`;
        if (total <= 0 || value > total) return `${action} ${amountOf(value)}`;
        const share = Math.floor((value / total) * 100);
        const bar = (cliProgress.Format.BarFormat as (progress: number, options: object) => string)(
          value / total,
          settings
        );
        return `${action} ${bar} ${share}% of ${amountOf(total)}`;
      }
    });
    this.#timer = setTimeout(() => {
      this.#isShown = true;
      this.#bar.start(this.#expected, this.#done);
      onShow?.(this);
    }, shownAfterMs);
    this.#timer.unref();
  }

  expect(amount: number): void {
    this.#expected += amount;
    if (this.#isShown) this.#bar.setTotal(this.#expected);
  }

  advance(amount: number): void {
    this.#done += amount;
    if (this.#isShown) this.#bar.update(this.#done);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#isShown) this.#bar.stop();
  }
}
