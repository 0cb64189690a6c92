import type { PosixAttributes } from '@stampede/client';
import { DirtyExtents } from './dirty-extents.js';
import { RangeSet } from './range-set.js';
import type { UploadSession } from './upload-session.js';
import type { WriteMemory } from './write-memory.js';

/**
 * What changed in a file since the version it lies on, and becomes one new version when it is committed. Read top down:
 * bytes of `extents`, then bytes of `uploaded` (which only the store has), then zeros from `cutAt` on, then below.
 */
export class Layer {
  readonly extents: DirtyExtents;
  /** Sent to the upload already and gone from memory; readable once the upload is complete. */
  readonly uploaded = new RangeSet();
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
    return this.extents.count > 0 || this.upload !== undefined || this.hasSize;
  }

  get hasAttributes(): boolean {
    for (const _ in this.attributes) return true;
    return this.removedXattrs.size > 0;
  }

  get isEmpty(): boolean {
    return !this.hasBytes && !this.hasAttributes;
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

  /** Whether nothing of the version below is seen through it, for a file of this size. */
  hidesBelow(size: number): boolean {
    if (this.cutAt === 0) return true;
    let position = 0;
    for (const piece of this.extents.pieces(0, size)) {
      if (!piece.extent && !this.uploaded.covers(piece.start, piece.end)) return false;
      position = piece.end;
    }
    return position >= size;
  }
}
