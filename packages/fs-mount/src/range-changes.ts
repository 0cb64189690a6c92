import { isStoreError, LIMITS, type ObjectHead } from '@stampede/client';
import { FileSystemError } from './errno.js';
import type { LayerStack } from './layer-stack.js';
import type { CopySource, UploadSession } from './upload-session.js';
import { BLOCK_BYTES, type WriteMemory } from './write-memory.js';

/** Shorter ones are written as zeros: they would cost more to remember than they take. */
const HOLE_BYTES_MIN = 4096;

/** The file whose ranges are changed. */
export interface RangedFile {
  readonly size: number;
  readonly base: ObjectHead | undefined;
  readonly layers: LayerStack;
  /** Its bytes are, or are about to be, in a local copy as well, which cannot take others than those of a write. */
  readonly takesBytesOnly: boolean;
  commit(): Promise<void>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  newUpload(): UploadSession;
  /** Its bytes changed, and reach at least to `end`. */
  changed(end: number): void;
}

/** Changes ranges of a file by what the store knows of them, without their bytes. */
export class RangeChanges {
  readonly #file: RangedFile;
  readonly #memory: WriteMemory;
  /** A range into which stored bytes are being laid; who writes there waits. */
  #cloning: { readonly start: number; readonly end: number; readonly ended: Promise<void> } | undefined;

  constructor(file: RangedFile, memory: WriteMemory) {
    this.#file = file;
    this.#memory = memory;
  }

  /** Resolves, never rejects, when [start, end) may be written; undefined when it may at once. */
  findEnd(start: number, end: number): Promise<void> | undefined {
    const cloning = this.#cloning;
    return cloning && cloning.start < end && start < cloning.end ? cloning.ended : undefined;
  }

  /** Makes a hole of [start, end) as far as it lies in the file. */
  async punch(start: number, end: number): Promise<void> {
    const stop = Math.min(end, this.#file.size);
    if (stop - start < HOLE_BYTES_MIN || !(await this.#makeHole(start, stop)))
      await this.#writeZeros(start, stop);
  }

  /**
   * Lays bytes of a stored version at `offset`; none of them move. They are this file's with its next commit.
   *
   * @returns False when that cannot be done and the bytes must be written instead.
   */
  async clone(offset: number, source: CopySource): Promise<boolean> {
    const file = this.#file;
    const end = offset + source.length;
    if (end > LIMITS.objectBytesMax)
      throw new FileSystemError('EFBIG', `a file has at most ${LIMITS.objectBytesMax} bytes`);
    // An upload begins on what is stored, and its layer has no byte of the range.
    const mustCommit = () => file.layers.frozen || file.layers.active.extents.hasBytesIn(offset, end);
    while (!file.takesBytesOnly && mustCommit()) await file.commit();
    if (file.takesBytesOnly || this.#cloning) return false;
    const { active } = file.layers;
    active.isAppendOnly = false;
    active.upload ??= file.newUpload();
    const copying = active.upload.copyRange(offset, source);
    this.#cloning = { start: offset, end, ended: copying.catch(() => undefined) };
    try {
      await copying;
    } catch (error) {
      if (isStoreError(error, 'PreconditionFailed', 'NoSuchKey', 'NoSuchUpload')) return false;
      throw error;
    } finally {
      this.#cloning = undefined;
    }
    file.changed(end);
    return true;
  }

  /** False when the file comes to take bytes only. */
  async #makeHole(start: number, end: number): Promise<boolean> {
    const file = this.#file;
    // What is left of a block at both ends is copied.
    await this.#memory.reserve(2 * BLOCK_BYTES);
    try {
      // What an upload has is not punched in memory; the version it makes is punched instead.
      while (file.layers.active.upload && !file.takesBytesOnly) await file.commit();
      if (file.takesBytesOnly) return false;
      file.layers.punch(start, Math.min(end, Math.max(start, file.size)), file.base);
      file.changed(0);
      return true;
    } finally {
      this.#memory.unreserve(2 * BLOCK_BYTES);
    }
  }

  async #writeZeros(start: number, end: number): Promise<void> {
    const zeros = new Uint8Array(Math.max(0, Math.min(BLOCK_BYTES, end - start)));
    for (let at = start; at < end; at += zeros.byteLength)
      await this.#file.write(at, zeros.subarray(0, end - at));
  }
}
