import type { Random } from './random.js';

type Change =
  | { readonly type: 'write'; readonly offset: number; readonly bytes: Uint8Array; readonly undo: Undo }
  | { readonly type: 'truncate'; readonly lengthBytes: number; readonly undo: Undo };

/** What a change replaced: the bytes from `offset` on, and the length before. */
interface Undo {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly lengthBytes: number;
}

/** Whether undoing a change could show before `end`. */
function isChanged({ undo }: Change, end: number): boolean {
  return Math.min(undo.offset, undo.lengthBytes) < end;
}

/** The bytes of one file in memory, and which of its changes a crash may still lose. */
export class MemoryFileContent {
  #bytes = new Uint8Array(0);
  #lengthBytes = 0;
  /** Changes since the last sync, oldest first. */
  #unsynced: Change[] = [];

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  read(into: Uint8Array, offset: number): number {
    const end = Math.min(this.#lengthBytes, offset + into.byteLength);
    if (end <= offset) return 0;
    into.set(this.#bytes.subarray(offset, end));
    return end - offset;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.byteLength;
    const kept = new Uint8Array(bytes);
    this.#unsynced.push({ type: 'write', offset, bytes: kept, undo: this.#undoFrom(offset, end) });
    this.#applyWrite(kept, offset);
  }

  truncate(lengthBytes: number): void {
    this.#unsynced.push({
      type: 'truncate',
      lengthBytes,
      undo: this.#undoFrom(lengthBytes, this.#lengthBytes)
    });
    this.#applyTruncate(lengthBytes);
  }

  sync(): void {
    this.#unsynced = [];
  }

  /** A view of what a crash would leave if it kept no unsynced change, where the content ends at the latest. */
  durableBytes(start: number, end: number): Uint8Array {
    const left = this.#unsynced.some((change) => isChanged(change, end)) ? this.afterCrash() : this;
    const lengthBytes = left.#lengthBytes;
    return left.#bytes.subarray(Math.min(start, lengthBytes), Math.min(end, lengthBytes));
  }

  /**
   * The content that a crash leaves: what was synced, and, with `random`, each later change kept, lost, or (a write)
   * kept only up to a random byte. Without `random` all of them are lost.
   */
  afterCrash(random?: Random): MemoryFileContent {
    const left = new MemoryFileContent();
    left.#bytes = this.#bytes.slice(0, this.#lengthBytes);
    left.#lengthBytes = this.#lengthBytes;
    for (const { undo } of this.#unsynced.toReversed()) left.#revert(undo);
    if (random) for (const change of this.#unsynced) left.#applyPart(change, random);
    return left;
  }

  #applyPart(change: Change, random: Random): void {
    const fate = random.fraction();
    if (fate < 1 / 3) return;
    if (change.type === 'truncate') {
      this.#applyTruncate(change.lengthBytes);
      return;
    }
    const isTorn = fate < 2 / 3;
    const length = isTorn ? Math.floor(random.fraction() * change.bytes.byteLength) : change.bytes.byteLength;
    if (length > 0) this.#applyWrite(change.bytes.subarray(0, length), change.offset);
  }

  #undoFrom(start: number, end: number): Undo {
    const replaced = this.#bytes.slice(Math.min(start, this.#lengthBytes), Math.min(end, this.#lengthBytes));
    return { offset: start, bytes: replaced, lengthBytes: this.#lengthBytes };
  }

  #revert(undo: Undo): void {
    this.#applyTruncate(undo.lengthBytes);
    // Where nothing was replaced, `offset` may lie past the end.
    if (undo.bytes.byteLength > 0) this.#bytes.set(undo.bytes, undo.offset);
  }

  #applyWrite(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.byteLength;
    this.#reserve(end);
    this.#bytes.set(bytes, offset);
    this.#lengthBytes = Math.max(this.#lengthBytes, end);
  }

  #applyTruncate(lengthBytes: number): void {
    this.#reserve(lengthBytes);
    // Bytes past the end are zero at all times, so that growing shows zeros as a real file does.
    if (lengthBytes < this.#lengthBytes) this.#bytes.fill(0, lengthBytes, this.#lengthBytes);
    this.#lengthBytes = lengthBytes;
  }

  #reserve(lengthBytes: number): void {
    if (lengthBytes <= this.#bytes.byteLength) return;
    const grown = new Uint8Array(Math.max(lengthBytes, this.#bytes.byteLength * 2, 4096));
    grown.set(this.#bytes.subarray(0, this.#lengthBytes));
    this.#bytes = grown;
  }
}
