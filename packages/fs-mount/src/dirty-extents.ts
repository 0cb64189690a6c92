import assert from 'node:assert';
import { BLOCK_BYTES, type WriteMemory } from './write-memory.js';

/** Contiguous dirty bytes [offset, offset + length) of a file; the bytes are the first `length` of `buffer`. */
export interface DirtyExtent {
  readonly offset: number;
  length: number;
  buffer: Uint8Array;
  /** While it is being uploaded its bytes must not change; resolves, never rejects, when that is over. */
  flight: Promise<void> | undefined;
}

/** A part of a range: of an extent, or of the gap between extents. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  readonly extent: DirtyExtent | undefined;
}

/** Dirty bytes of one file, sorted and disjoint, in buffers of the write memory. */
export class DirtyExtents {
  readonly #memory: WriteMemory;
  readonly #extents: DirtyExtent[] = [];
  #bytes = 0;
  /** Where a block was filled last: who goes on there is writing the file through and will fill the next one too. */
  #filledTo = -1;

  constructor(memory: WriteMemory) {
    this.#memory = memory;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#extents.length;
  }

  get end(): number {
    const last = this.#extents.at(-1);
    return last ? last.offset + last.length : 0;
  }

  all(): readonly DirtyExtent[] {
    return this.#extents;
  }

  /** When part of [start, end) is being uploaded: the end of that. */
  findFlight(start: number, end: number): Promise<void> | undefined {
    for (let index = this.#indexAt(start); index < this.#extents.length; index++) {
      const extent = this.#extents[index]!;
      if (extent.offset >= end) return undefined;
      if (extent.flight) return extent.flight;
    }
    return undefined;
  }

  /** Copies `bytes` to `offset`. No part of the range may be in flight. */
  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.byteLength;
    let position = offset;
    let index = this.#indexAt(position);
    while (position < end) {
      const next = this.#extents[index];
      if (next && next.offset <= position) {
        assert(!next.flight, 'bytes that are being uploaded do not change');
        const stop = Math.min(end, next.offset + next.length);
        next.buffer.set(bytes.subarray(position - offset, stop - offset), position - next.offset);
        position = stop;
        index++;
      } else {
        const stop = Math.min(end, next?.offset ?? end);
        index = this.#fillGap(index, position, bytes.subarray(position - offset, stop - offset));
        position = stop;
      }
    }
  }

  hasBytesIn(start: number, end: number): boolean {
    const next = this.#extents[this.#indexAt(start)];
    return next !== undefined && next.offset < end;
  }

  /** The pieces of [start, end), in order, extents and gaps. */
  *pieces(start: number, end: number): Generator<Piece> {
    let position = start;
    for (let index = this.#indexAt(start); position < end; index++) {
      const extent = this.#extents[index];
      if (!extent || extent.offset >= end) {
        yield { start: position, end, extent: undefined };
        return;
      }
      if (extent.offset > position) yield { start: position, end: extent.offset, extent: undefined };
      const stop = Math.min(end, extent.offset + extent.length);
      yield { start: Math.max(position, extent.offset), end: stop, extent };
      position = stop;
    }
  }

  /** Forgets the bytes from `size` on. None of them may be in flight. */
  cut(size: number): void {
    for (;;) {
      const last = this.#extents.at(-1);
      if (!last || last.offset + last.length <= size) return;
      assert(!last.flight, 'bytes that are being uploaded are not cut');
      if (last.offset >= size) {
        this.remove(last);
      } else {
        this.#bytes -= last.offset + last.length - size;
        last.length = size - last.offset;
      }
    }
  }

  /** Forgets the bytes of [start, end). None of them may be in flight. */
  punch(start: number, end: number): void {
    for (let index = this.#indexAt(start); index < this.#extents.length; ) {
      const extent = this.#extents[index]!;
      if (extent.offset >= end) return;
      assert(!extent.flight, 'bytes that are being uploaded are not punched');
      const extentEnd = extent.offset + extent.length;
      if (extentEnd > end)
        this.#insert(index + 1, end, extent.buffer.subarray(end - extent.offset, extent.length));
      if (extent.offset >= start) this.remove(extent);
      else {
        this.#bytes -= extentEnd - start;
        extent.length = start - extent.offset;
        index++;
      }
    }
  }

  /** Gives the extent's buffer back. */
  remove(extent: DirtyExtent): void {
    const index = this.#indexAt(extent.offset);
    assert(this.#extents[index] === extent, 'the extent is one of these');
    this.#extents.splice(index, 1);
    this.#bytes -= extent.length;
    this.#memory.free(extent.buffer);
  }

  clear(): void {
    for (const extent of this.#extents) this.#memory.free(extent.buffer);
    this.#extents.length = 0;
    this.#bytes = 0;
  }

  /** Appends to the extent before, as far as it has room, and puts the rest into new ones; returns the index after. */
  #fillGap(index: number, offset: number, bytes: Uint8Array): number {
    let at = index;
    let position = 0;
    while (position < bytes.byteLength) {
      const previous = this.#extents[at - 1];
      const isAdjacent = previous !== undefined && previous.offset + previous.length === offset + position;
      if (isAdjacent && !previous.flight && previous.length < BLOCK_BYTES) {
        const part = bytes.subarray(position, position + BLOCK_BYTES - previous.length);
        this.#grow(previous, previous.length + part.byteLength);
        previous.buffer.set(part, previous.length);
        previous.length += part.byteLength;
        position += part.byteLength;
        this.#bytes += part.byteLength;
        if (previous.length === BLOCK_BYTES) this.#filledTo = offset + position;
        continue;
      }
      const part = bytes.subarray(position, position + BLOCK_BYTES);
      this.#insert(at, offset + position, part);
      at++;
      position += part.byteLength;
    }
    return at;
  }

  #insert(index: number, offset: number, bytes: Uint8Array): void {
    const isStream = offset === this.#filledTo;
    const buffer = this.#memory.allocate(isStream ? BLOCK_BYTES : bytes.byteLength);
    buffer.set(bytes);
    this.#extents.splice(index, 0, { offset, length: bytes.byteLength, buffer, flight: undefined });
    this.#bytes += bytes.byteLength;
  }

  #grow(extent: DirtyExtent, length: number): void {
    if (length <= extent.buffer.byteLength) return;
    const larger = this.#memory.allocate(length);
    larger.set(extent.buffer.subarray(0, extent.length));
    this.#memory.free(extent.buffer);
    extent.buffer = larger;
  }

  /** The index of the first extent that ends after `position`. */
  #indexAt(position: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const extent = this.#extents[middle]!;
      if (extent.offset + extent.length <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
