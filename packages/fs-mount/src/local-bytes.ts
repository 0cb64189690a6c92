import { makeLocalCopy } from './local-copy.js';
import type { OpenScratch, Scratch } from './scratch.js';

/** The bytes of a removed file for those who still have it open: none yet, on their way into a local copy, or there. */
export class LocalBytes {
  #copy: Scratch | undefined;
  #arrival: Promise<void> | undefined;

  get copy(): Scratch | undefined {
    return this.#copy;
  }

  /** Resolves when what is on its way is here; rejects when it cannot be. */
  get arrival(): Promise<void> | undefined {
    return this.#arrival;
  }

  /** Whether it has the bytes, or soon will: from then on changes are for it. */
  get isTaken(): boolean {
    return this.#copy !== undefined || this.#arrival !== undefined;
  }

  /** Copies `size` bytes, which `read` gets. */
  async take(
    openScratch: OpenScratch,
    size: number,
    read: (offset: number, into: Uint8Array) => Promise<void>
  ): Promise<void> {
    this.#arrival = makeLocalCopy(openScratch, size, read).then((copy) => {
      this.#copy = copy;
    });
    try {
      await this.#arrival;
    } finally {
      this.#arrival = undefined;
    }
  }

  async close(): Promise<void> {
    const copy = this.#copy;
    this.#copy = undefined;
    await copy?.close();
  }
}
