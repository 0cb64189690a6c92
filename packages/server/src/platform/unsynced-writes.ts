import type { DiskFile } from './disk.js';
import type { Random } from './random.js';

interface Replaced {
  readonly offset: number;
  readonly length: number;
  /** Shorter than `length` where the write made the file longer. */
  readonly bytes: Uint8Array;
}

/** What was written to a file since its last sync, so that a failed sync can lose it. */
export class UnsyncedWrites {
  #replaced: Replaced[] = [];

  /** Before a write: keeps what it is going to replace. */
  async note(file: DiskFile, parts: readonly Uint8Array[], offset: number): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
    const bytes = new Uint8Array(length);
    this.#replaced.push({ offset, length, bytes: bytes.subarray(0, await file.read(bytes, offset)) });
  }

  /** Syncs the file; what was noted before is safe then. */
  async sync(file: DiskFile): Promise<void> {
    const count = this.#replaced.length;
    await file.sync();
    this.#replaced.splice(0, count);
  }

  /** Undoes about half of the writes; the file keeps its length, as its zeros show. */
  async loseSome(file: DiskFile, random: Random): Promise<void> {
    for (const { offset, length, bytes } of this.#replaced.splice(0).reverse()) {
      if (random.fraction() < 0.5) continue;
      const end = Math.min(offset + length, await file.size());
      if (end <= offset) continue;
      const restored = new Uint8Array(length);
      restored.set(bytes);
      await file.write([restored.subarray(0, end - offset)], offset);
    }
  }
}
