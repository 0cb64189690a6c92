import type { PosixAttributes } from '@stampede/client';
import { DirtyExtents } from './dirty-extents.js';
import { RangeSet } from './range-set.js';
import type { UploadSession } from './upload-session.js';
import type { WriteMemory } from './write-memory.js';

/**
 * What changed in a file since the version it lies on, and becomes one new version when it is committed. Read top down:
 * bytes of `extents`, then bytes of `uploaded` (which only the store has), then zeros of `holes` and from `cutAt` on, then
 * below.
 */
export class Layer {
  readonly extents: DirtyExtents;
  /** Sent to the upload already and gone from memory; readable once the upload is complete. */
  readonly uploaded = new RangeSet();
  /** Made holes; grows only while nothing is being uploaded, as it comes before the bytes there. */
  readonly holes = new RangeSet();
  upload: UploadSession | undefined;
  /** The shortest the file was cut to: bytes of the version below from here on are gone. */
  cutAt: number | undefined;
  /** The size was set by a truncation, so it holds even where no byte was written. */
  hasSize = false;
  /** All bytes came by appending to the end of the version below: the store may choose the offset. */
  isAppendOnly = true;
  attributes: PosixAttributes = {};
  readonly removedXattrs = new Set<string>();

  constructor(memory: WriteMemory) {
    this.extents = new DirtyExtents(memory);
  }

  get hasBytes(): boolean {
    return this.extents.count > 0 || !this.holes.isEmpty || this.upload !== undefined || this.hasSize;
  }

  get hasAttributes(): boolean {
    for (const _ in this.attributes) return true;
    return this.removedXattrs.size > 0;
  }

  get isEmpty(): boolean {
    return !this.hasBytes && !this.hasAttributes;
  }

  /** How many steps an edit of the store takes for it. */
  get stepCount(): number {
    return this.extents.count + this.holes.count + 2;
  }

  /** The end of the bytes that were written. */
  get writtenEnd(): number {
    return Math.max(this.extents.end, this.uploaded.end);
  }

  truncate(size: number): void {
    this.extents.cut(size);
    this.cutAt = Math.min(this.cutAt ?? size, size);
    this.hasSize = true;
    this.isAppendOnly = false;
  }

  /** Zeros from `start` to `end`, which lie within the file; `sizeBelow` is that of the version below. */
  punch(start: number, end: number, sizeBelow: number): void {
    const { writtenEnd } = this;
    this.extents.punch(start, end);
    // The bytes that made the file longer are gone, its length is not.
    if (writtenEnd > sizeBelow && this.writtenEnd < writtenEnd) this.hasSize = true;
    this.holes.add(start, end);
    this.isAppendOnly = false;
  }

  /** Whether nothing of the version below is seen through it, for a file of this size. */
  hidesBelow(size: number): boolean {
    if (this.cutAt === 0) return true;
    for (const piece of this.extents.pieces(0, size)) {
      if (piece.extent) continue;
      for (const part of this.holes.parts(piece.start, piece.end))
        if (!part.isIn && !this.uploaded.covers(part.start, part.end)) return false;
    }
    return true;
  }
}
