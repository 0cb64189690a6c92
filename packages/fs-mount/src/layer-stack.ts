import type { ObjectHead, PosixAttributes } from '@stampede/client';
import type { FileSpace } from './attributes.js';
import { spaceOf } from './file-space.js';
import { Layer } from './layer.js';
import { withChanges } from './with-changes.js';
import type { WriteMemory } from './write-memory.js';

/** A layer that is being committed, and the size of the file with it. */
export interface FrozenLayer {
  readonly layer: Layer;
  readonly size: number;
}

/** Bytes or holes from a position to `end`; `below`: what the stored version has there. */
export interface Stretch {
  readonly type: 'bytes' | 'hole' | 'below';
  readonly end: number;
}

type Gap = readonly [start: number, end: number];

/** The changes of a file that are not stored: the lower layer is being committed while the upper one takes writes. */
export class LayerStack {
  readonly #memory: WriteMemory;
  active: Layer;
  frozen: FrozenLayer | undefined;

  constructor(memory: WriteMemory) {
    this.#memory = memory;
    this.active = new Layer(memory);
  }

  get isEmpty(): boolean {
    return this.frozen === undefined && this.active.isEmpty;
  }

  get dirtyBytes(): number {
    return this.active.extents.bytes + (this.frozen?.layer.extents.bytes ?? 0);
  }

  /** Some bytes are in an upload only. */
  get hasUploaded(): boolean {
    return this.#topDown().some((layer) => !layer.uploaded.isEmpty);
  }

  /** What is written from here on belongs to the next commit. */
  freeze(size: number): FrozenLayer {
    const frozen = { layer: this.active, size };
    this.frozen = frozen;
    this.active = new Layer(this.#memory);
    return frozen;
  }

  /** The frozen layer is stored. */
  thaw(): void {
    this.frozen?.layer.extents.clear();
    this.frozen = undefined;
  }

  clear(): void {
    this.thaw();
    this.active.extents.clear();
    this.active = new Layer(this.#memory);
  }

  async abortUploads(): Promise<void> {
    await Promise.all(this.#topDown().map(({ upload }) => upload?.abort().catch(() => undefined)));
  }

  /** The size of the file over a version. */
  sizeOver(head: ObjectHead): number {
    let { size } = head;
    for (const layer of this.#topDown().reverse())
      size = Math.max(Math.min(size, layer.cutAt ?? size), layer.writtenEnd);
    return size;
  }

  /** The space of the file, which has `size` bytes. */
  spaceOver(head: ObjectHead | undefined, size: number): FileSpace {
    return spaceOf(head, this.#topDown().reverse(), size);
  }

  attributesOver(head: ObjectHead): PosixAttributes {
    return this.#topDown().reduceRight(
      (attributes, layer) => withChanges(attributes, layer.attributes, layer.removedXattrs),
      head.attributes
    );
  }

  /** Makes a hole of the upper layer's bytes and of those below. */
  punch(start: number, end: number, base: ObjectHead | undefined): void {
    this.active.punch(start, end, this.frozen?.size ?? base?.size ?? 0);
  }

  /** Whether a truncation set the size, so that it does not follow the version below. */
  get hasSize(): boolean {
    return this.#topDown().some((layer) => layer.hasSize);
  }

  /** Copies what is here to `target`, which begins at `offset`; returns the ranges that only the version below has. */
  copy(offset: number, target: Uint8Array): readonly Gap[] | 'uploaded' {
    let gaps: readonly Gap[] = [[offset, offset + target.byteLength]];
    for (const layer of this.#topDown()) {
      const below: Gap[] = [];
      for (const [start, end] of gaps) {
        if (layer.uploaded.overlaps(start, end)) return 'uploaded';
        for (const piece of layer.extents.pieces(start, end)) {
          const part = target.subarray(piece.start - offset, piece.end - offset);
          if (piece.extent) {
            const from = piece.start - piece.extent.offset;
            part.set(piece.extent.buffer.subarray(from, from + part.byteLength));
            continue;
          }
          const stop = Math.max(piece.start, Math.min(piece.end, layer.cutAt ?? piece.end));
          part.fill(0, stop - piece.start);
          for (const { start, end, isIn } of layer.holes.parts(piece.start, stop)) {
            if (isIn) part.fill(0, start - piece.start, end - piece.start);
            else below.push([start, end]);
          }
        }
      }
      gaps = below;
    }
    return gaps;
  }

  /** What is at `position`, and at most up to `end`. Nothing may be in uploads only. */
  stretchAt(position: number, end: number): Stretch {
    let stop = end;
    for (const layer of this.#topDown()) {
      const [piece] = layer.extents.pieces(position, stop);
      stop = piece?.end ?? stop;
      if (piece?.extent) return { type: 'bytes', end: stop };
      const [part] = layer.holes.parts(position, stop);
      stop = part?.end ?? stop;
      if (part?.isIn || position >= (layer.cutAt ?? end)) return { type: 'hole', end: stop };
      stop = Math.min(stop, layer.cutAt ?? stop);
    }
    return { type: 'below', end: stop };
  }

  #topDown(): Layer[] {
    return this.frozen ? [this.active, this.frozen.layer] : [this.active];
  }
}
