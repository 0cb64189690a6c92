import { LIMITS, type ObjectHead } from '@stampede/client';
import { FileSystemError } from './errno.js';
import type { FileMirror } from './file-mirror.js';
import type { LayerStack } from './layer-stack.js';
import type { LocalBytes } from './local-bytes.js';
import type { Scratch } from './scratch.js';
import { BLOCK_BYTES, type WriteMemory } from './write-memory.js';

/** The file that is written to. */
export interface WrittenFile {
  size: number;
  readonly base: ObjectHead | undefined;
  readonly layers: LayerStack;
  readonly local: LocalBytes;
  readonly mirror: FileMirror | undefined;
  /** Resolves, never rejects, when [start, end) may be written; undefined when it may at once. */
  findBusyEnd(start: number, end: number): Promise<void> | undefined;
  commit(): Promise<void>;
  /** Sends what is ready. */
  pump(partial: boolean): void;
  /** Its bytes were set anew. */
  modified(): void;
  /** As `modified`, and they reach at least to `end`. */
  changed(end: number): void;
}

/** Takes what programs write: into the write memory, or into the local copy of a removed file. */
export class FileWrites {
  readonly #file: WrittenFile;
  readonly #memory: WriteMemory;

  constructor(file: WrittenFile, memory: WriteMemory) {
    this.#file = file;
    this.#memory = memory;
  }

  /** Waits for write memory when it is full. `offset` undefined appends. */
  async write(offset: number | undefined, bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    assertSize((offset ?? file.size) + bytes.byteLength);
    for (let position = 0; position < bytes.byteLength; position += BLOCK_BYTES) {
      const at = offset === undefined ? undefined : offset + position;
      await this.#writePiece(at, bytes.subarray(position, position + BLOCK_BYTES));
    }
    if (file.mirror) await file.mirror.settled();
  }

  async truncate(size: number): Promise<void> {
    assertSize(size);
    const file = this.#file;
    const { local, layers } = file;
    if (local.arrival) await local.arrival;
    // Blocks that the upload already has cannot be cut in memory; the version they make is cut instead.
    while (!local.isTaken && layers.active.upload) await file.commit();
    if (local.arrival) return this.truncate(size);
    file.mirror?.cut(size);
    if (local.copy) await local.copy.truncate(size);
    else layers.active.truncate(size);
    file.size = size;
    file.modified();
    if (file.mirror) await file.mirror.settled();
  }

  /** A piece of at most a block: larger ones might wait for more memory than there is. */
  async #writePiece(offset: number | undefined, bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    const { local } = file;
    if (local.arrival) await local.arrival;
    if (local.copy) return this.#writeLocal(local.copy, offset, bytes);
    // A write may begin one block and let another grow.
    const reserved = bytes.byteLength + BLOCK_BYTES;
    if (!this.#memory.tryReserve(reserved)) await this.#memory.reserve(reserved);
    try {
      await this.#untilFree(() => [offset ?? file.size, (offset ?? file.size) + bytes.byteLength]);
      if (!local.isTaken) return this.#writeActive(offset, bytes);
    } finally {
      this.#memory.unreserve(reserved);
    }
    return this.#writePiece(offset, bytes);
  }

  #writeActive(offset: number | undefined, bytes: Uint8Array): void {
    const file = this.#file;
    const { active: layer, frozen } = file.layers;
    const at = offset ?? file.size;
    const isAtEnd = at === Math.max(layer.writtenEnd, frozen?.size ?? file.base?.size ?? 0);
    if (offset !== undefined || !isAtEnd || at > file.size) layer.isAppendOnly = false;
    layer.extents.write(at, bytes);
    file.mirror?.wrote(at, bytes);
    if (layer.upload || layer.extents.bytes > LIMITS.bodyBytesMax) file.pump(false);
    file.changed(at + bytes.byteLength);
  }

  async #writeLocal(copy: Scratch, offset: number | undefined, bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    const at = offset ?? file.size;
    file.size = Math.max(file.size, at + bytes.byteLength);
    file.mirror?.wrote(at, bytes);
    await copy.write(at, bytes);
    file.modified();
  }

  /** Waits until no byte of the range is being uploaded or laid. */
  async #untilFree(range: () => readonly [number, number]): Promise<void> {
    for (;;) {
      const busy = this.#file.findBusyEnd(...range());
      if (!busy) return;
      await busy;
    }
  }
}

function assertSize(bytes: number): void {
  if (bytes > LIMITS.objectBytesMax)
    throw new FileSystemError('EFBIG', `a file has at most ${LIMITS.objectBytesMax} bytes`);
}
