import {
  isStoreError,
  LIMITS,
  type ObjectHead,
  type PosixAttributes,
  type StoreCalls
} from '@stampede/client';
import { Mutex } from 'async-mutex';
import { type AttributeDefaults, type Attributes, attributesOfFile, timestampOfMs } from './attributes.js';
import type { Clock } from './clock.js';
import { commitLayer, fitsOneCall } from './commit.js';
import { FileSystemError } from './errno.js';
import type { FileMirror } from './file-mirror.js';
import { Layer } from './layer.js';
import type { ReadAhead } from './read-ahead.js';
import type { OpenScratch, Scratch } from './scratch.js';
import { UploadSession } from './upload-session.js';
import { withChanges } from './with-changes.js';
import { BLOCK_BYTES, type WriteMemory } from './write-memory.js';

const REFRESH_COUNT_MAX = 8;

export interface FileStateServices {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly memory: WriteMemory;
  readonly clock: Clock;
  readonly defaults: AttributeDefaults;
  readonly openScratch: OpenScratch;
  /** A new version is in the store. */
  readonly onCommitted: (state: FileState, head: ObjectHead) => void;
}

/**
 * One file that is open or has changes the store does not have yet: shared by all handles of the mount. It lies on a
 * committed version (`base`) and carries layers of changes, of which the lower is being committed while the upper one
 * takes writes; after a failed commit the lower one waits for the next try.
 */
export class FileState {
  readonly #services: FileStateServices;
  readonly #mutex = new Mutex();
  #active: Layer;
  #frozen: { readonly layer: Layer; readonly size: number } | undefined;
  #scratch: Scratch | undefined;
  #moving: Promise<void> | undefined;
  #attributes: PosixAttributes;
  #modifiedAtMs: number;
  /** The key in the bucket; `moved` changes it. */
  key: string;
  base: ObjectHead | undefined;
  size: number;
  handleCount = 0;
  /** Grows whenever bytes that others wrote may have come to lie under those of the file. */
  foreignChangeCount = 0;
  /** Who reads the file's bytes without asking, where there is one. */
  mirror: FileMirror | undefined;
  /** No name leads here any more. */
  isDetached = false;
  /** Since when there is something to commit. */
  dirtySinceMs: number | undefined;

  constructor(services: FileStateServices, key: string, origin: ObjectHead | PosixAttributes) {
    this.#services = services;
    this.key = key;
    this.#active = new Layer(services.memory);
    if (isHead(origin)) {
      this.base = origin;
      this.size = origin.size;
      this.#attributes = origin.attributes;
      this.#modifiedAtMs = origin.modifiedAtMs;
    } else {
      this.size = 0;
      this.#modifiedAtMs = services.clock.nowMs();
      const now = timestampOfMs(this.#modifiedAtMs);
      this.#attributes = { ...origin, mtime: now, atime: now, ctime: now };
      this.#markDirty();
    }
  }

  get isDirty(): boolean {
    if (this.isDetached) return false;
    return this.base === undefined || this.#frozen !== undefined || !this.#active.isEmpty;
  }

  get dirtyBytes(): number {
    return this.#active.extents.bytes + (this.#frozen?.layer.extents.bytes ?? 0);
  }

  get posixAttributes(): PosixAttributes {
    return this.#attributes;
  }

  attributes(): Attributes {
    const all = attributesOfFile(this.#attributes, this.size, this.#modifiedAtMs, this.#services.defaults);
    return this.isDetached ? { ...all, linkCount: 0 } : all;
  }

  /** Copies bytes from `offset` on into `into`; returns how many, fewer only at the end of the file. */
  async read(offset: number, into: Uint8Array, readAhead: ReadAhead): Promise<number> {
    for (let attempt = 0; attempt < REFRESH_COUNT_MAX; attempt++) {
      const end = Math.min(offset + into.byteLength, this.size);
      if (end <= offset) return 0;
      const target = into.subarray(0, end - offset);
      if (this.#scratch) await this.#scratch.read(offset, target);
      else if (!(await this.#readLayers(offset, target, readAhead))) continue;
      return target.byteLength;
    }
    throw new FileSystemError('EIO', `${this.key} changes too fast to be read; try again`);
  }

  /** Takes bytes into the write memory; waits there when it is full. `offset` undefined appends. */
  async write(offset: number | undefined, bytes: Uint8Array): Promise<void> {
    if ((offset ?? this.size) + bytes.byteLength > LIMITS.objectBytesMax)
      throw new FileSystemError('EFBIG', `a file has at most ${LIMITS.objectBytesMax} bytes`);
    for (let position = 0; position < bytes.byteLength; position += BLOCK_BYTES) {
      const at = offset === undefined ? undefined : offset + position;
      await this.#writePiece(at, bytes.subarray(position, position + BLOCK_BYTES));
    }
    if (this.mirror) await this.mirror.settled();
  }

  /** A piece of at most a block: larger ones might wait for more memory than there is. */
  async #writePiece(offset: number | undefined, bytes: Uint8Array): Promise<void> {
    if (this.#moving) await this.#moving;
    if (this.#scratch) return this.#writeScratch(this.#scratch, offset, bytes);
    const { memory } = this.#services;
    // A write may begin one block and let another grow.
    const reserved = bytes.byteLength + BLOCK_BYTES;
    if (!memory.tryReserve(reserved)) await memory.reserve(reserved);
    try {
      await this.#settled(() => [offset ?? this.size, (offset ?? this.size) + bytes.byteLength]);
      const isMoved = this.#moving !== undefined || this.#scratch !== undefined;
      if (!isMoved) return this.#writeActive(offset, bytes);
    } finally {
      memory.unreserve(reserved);
    }
    return this.#writePiece(offset, bytes);
  }

  async truncate(size: number): Promise<void> {
    if (size > LIMITS.objectBytesMax)
      throw new FileSystemError('EFBIG', `a file has at most ${LIMITS.objectBytesMax} bytes`);
    if (this.#moving) await this.#moving;
    if (this.#scratch) {
      this.mirror?.cut(size);
      await this.#scratch.truncate(size);
      this.size = size;
      this.#touch();
      return this.mirror?.settled();
    }
    // Blocks that the upload already has cannot be cut in memory; the version they make is cut instead.
    while (this.#active.upload) await this.commit();
    this.#active.truncate(size);
    this.mirror?.cut(size);
    this.size = size;
    this.#touch();
    this.#markDirty();
    if (this.mirror) await this.mirror.settled();
  }

  /** The bytes were set anew, to what they are. */
  modified(): void {
    this.#touch();
    this.#markDirty();
  }

  /** Goes on with a newer version that was made elsewhere; ignored while there are changes to commit. */
  adopt(head: ObjectHead): void {
    const { base } = this;
    if (this.isDirty || this.isDetached || !base) return;
    // A key that was deleted and made again counts its generations from one.
    const isNewer =
      head.generation > base.generation || (head.etag !== base.etag && head.modifiedAtMs > base.modifiedAtMs);
    if (isNewer) this.#rebaseOnForeign(head);
  }

  /** The file has another key; `head` as the store has it there, where that is known. */
  moved(key: string, head?: ObjectHead): void {
    this.key = key;
    if (this.base) this.base = head ?? { ...this.base, key, generation: 0 };
  }

  /** Changes attributes; in the store with the next commit. */
  setAttributes(attributes: PosixAttributes, removedXattr?: string): void {
    const now = timestampOfMs(this.#services.clock.nowMs());
    this.#merge({ ctime: now, ...attributes }, removedXattr);
    this.#markDirty();
  }

  /** Makes everything written so far durable. On failure the data stays here for another try. */
  async commit(): Promise<void> {
    if (!this.isDirty) return this.#mutex.waitForUnlock();
    await this.#mutex.runExclusive(() => this.commitExclusively());
  }

  /** Runs while no commit is under way and none can begin. */
  exclusively<Result>(run: () => Promise<Result>): Promise<Result> {
    return this.#mutex.runExclusive(run);
  }

  /** `commit` for who is inside `exclusively`. */
  async commitExclusively(): Promise<void> {
    if (this.isDetached) return;
    if (this.#frozen) await this.#commitFrozen();
    if (!this.isDirty) return;
    this.#frozen = { layer: this.#active, size: this.size };
    this.#active = new Layer(this.#services.memory);
    await this.#commitFrozen();
  }

  /** Sends what is ready; under pressure also what is not. */
  pump(partial: boolean): void {
    const layer = this.#active;
    if (this.isDetached || (!layer.upload && (fitsOneCall(layer) || this.#frozen))) return;
    layer.upload ??= new UploadSession(this.#services.store, layer, {
      bucket: this.#services.bucket,
      key: this.key,
      base: this.base
    });
    layer.upload.pump(partial);
  }

  /**
   * Takes the file out of the bucket's reach, before its key is deleted or replaced: who has it open goes on with a
   * local copy, nobody else finds it. What was not committed is never stored.
   */
  async detach(readAhead: ReadAhead): Promise<void> {
    if (this.isDetached) return;
    if (this.handleCount > 0 && (this.#active.upload || this.#frozen)) await this.commit();
    await this.#mutex.runExclusive(async () => {
      if (this.handleCount === 0) return void (await this.abandon());
      this.#moving = this.#moveToScratch(readAhead);
      try {
        await this.#moving;
      } finally {
        this.#moving = undefined;
      }
      this.#drop();
    });
  }

  /** Ends the local copy of a removed file. */
  async dispose(): Promise<void> {
    this.#drop();
    await this.#scratch?.close();
    this.#scratch = undefined;
  }

  /** Gives up what could not be stored; returns how many bytes that was. */
  async abandon(): Promise<number> {
    const bytes = this.dirtyBytes;
    this.isDetached = true;
    const uploads = [this.#active.upload, this.#frozen?.layer.upload];
    await Promise.all(uploads.map((upload) => upload?.abort().catch(() => undefined)));
    this.#drop();
    return bytes;
  }

  #writeActive(offset: number | undefined, bytes: Uint8Array): void {
    const layer = this.#active;
    const at = offset ?? this.size;
    if (offset !== undefined || at !== Math.max(layer.writtenEnd, this.#frozen?.size ?? this.base?.size ?? 0))
      layer.isAppendOnly = false;
    layer.extents.write(at, bytes);
    this.mirror?.wrote(at, bytes);
    if (at > this.size) layer.isAppendOnly = false;
    this.size = Math.max(this.size, at + bytes.byteLength);
    this.#touch();
    this.#markDirty();
    if (layer.upload || layer.extents.bytes > LIMITS.bodyBytesMax) this.pump(false);
    if (!layer.upload && layer.extents.count > LIMITS.editCountMax - 2) this.#commitInBackground();
  }

  #commitInBackground(): void {
    if (!this.#mutex.isLocked()) this.commit().catch(() => undefined);
  }

  async #writeScratch(scratch: Scratch, offset: number | undefined, bytes: Uint8Array): Promise<void> {
    const at = offset ?? this.size;
    this.size = Math.max(this.size, at + bytes.byteLength);
    this.mirror?.wrote(at, bytes);
    await scratch.write(at, bytes);
    this.#touch();
  }

  /** Waits until no byte of the range is being uploaded. */
  async #settled(range: () => readonly [number, number]): Promise<void> {
    for (;;) {
      const [start, end] = range();
      const flight = this.#active.extents.findFlight(start, end);
      if (!flight) return;
      await flight;
    }
  }

  /** False when the versions below changed on the way and the read must begin again. */
  async #readLayers(offset: number, target: Uint8Array, readAhead: ReadAhead): Promise<boolean> {
    const { base } = this;
    const gaps = this.#copyDirty(offset, target);
    if (gaps === 'uploaded') {
      await this.commit();
      return false;
    }
    for (const [start, end] of gaps) {
      const part = target.subarray(start - offset, end - offset);
      const stop = Math.max(start, Math.min(end, base?.size ?? 0));
      part.fill(0, stop - start);
      if (!base || stop === start) continue;
      try {
        await readAhead.read(base, start, part.subarray(0, stop - start));
      } catch (error) {
        if (!isStoreError(error, 'PreconditionFailed', 'NoSuchKey')) throw error;
        if (this.base === base && !this.isDetached) await this.#refreshBase(base);
        return false;
      }
    }
    return true;
  }

  /** Copies what the layers have; returns the ranges that only the base has. */
  #copyDirty(offset: number, target: Uint8Array): (readonly [number, number])[] | 'uploaded' {
    let gaps: (readonly [number, number])[] = [[offset, offset + target.byteLength]];
    for (const layer of [this.#active, this.#frozen?.layer]) {
      if (!layer) continue;
      const below: (readonly [number, number])[] = [];
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
          if (stop > piece.start) below.push([piece.start, stop]);
        }
      }
      gaps = below;
    }
    return gaps;
  }

  /** The key has another version than ours: go on with that one, as after opening the file again. */
  async #refreshBase(base: ObjectHead): Promise<void> {
    const { store, bucket } = this.#services;
    try {
      const head = await store.objects.head({ bucket, key: this.key });
      if (this.base === base) this.#rebaseOnForeign(head);
    } catch (error) {
      if (!isStoreError(error, 'NoSuchKey')) throw error;
      throw new FileSystemError('ESTALE', `${this.key} was removed elsewhere`, { cause: error });
    }
  }

  async #commitFrozen(): Promise<void> {
    const { store, bucket, onCommitted } = this.#services;
    const { layer, size } = this.#frozen!;
    const target = { bucket, key: this.key, base: this.base };
    const head = await commitLayer({ store, target, layer, size, attributes: this.#attributes });
    layer.extents.clear();
    this.#frozen = undefined;
    // Each change of a key counts its generation up by one: the version between was not ours.
    if (head.generation !== (target.base?.generation ?? 0) + 1) this.foreignChangeCount++;
    this.#rebase(head);
    if (!this.isDirty) this.dirtySinceMs = undefined;
    onCommitted(this, head);
  }

  #rebaseOnForeign(head: ObjectHead): void {
    if (head.etag !== this.base?.etag) this.foreignChangeCount++;
    this.#rebase(head);
  }

  #rebase(head: ObjectHead): void {
    this.base = head;
    this.#modifiedAtMs = head.modifiedAtMs;
    const layers = [this.#frozen?.layer, this.#active].filter((layer) => layer !== undefined);
    this.#attributes = head.attributes;
    let size = head.size;
    for (const layer of layers) {
      this.#attributes = withChanges(this.#attributes, layer.attributes, layer.removedXattrs);
      size = Math.max(Math.min(size, layer.cutAt ?? size), layer.writtenEnd);
    }
    if (!layers.some((layer) => layer.hasSize)) this.size = size;
  }

  async #moveToScratch(readAhead: ReadAhead): Promise<void> {
    const scratch = await this.#services.openScratch();
    const buffer = new Uint8Array(Math.min(this.size, 1024 * 1024));
    for (let offset = 0; offset < this.size; offset += buffer.byteLength) {
      const part = buffer.subarray(0, Math.min(buffer.byteLength, this.size - offset));
      if (!(await this.#readLayers(offset, part, readAhead)))
        throw new FileSystemError('EBUSY', `${this.key} is being changed elsewhere; try again`);
      if (part.some((byte) => byte !== 0)) await scratch.write(offset, part);
    }
    this.#scratch = scratch;
  }

  #drop(): void {
    this.isDetached = true;
    this.dirtySinceMs = undefined;
    this.#active.extents.clear();
    this.#frozen?.layer.extents.clear();
    this.#active = new Layer(this.#services.memory);
    this.#frozen = undefined;
  }

  #touch(): void {
    this.#modifiedAtMs = this.#services.clock.nowMs();
    const now = timestampOfMs(this.#modifiedAtMs);
    this.#merge({ mtime: now, ctime: now });
  }

  #merge(attributes: PosixAttributes, removedXattr?: string): void {
    const layer = this.#active;
    const removed = new Set(removedXattr === undefined ? [] : [removedXattr]);
    this.#attributes = withChanges(this.#attributes, attributes, removed);
    layer.attributes = withChanges(layer.attributes, attributes, removed);
    for (const name of Object.keys(attributes.xattrs ?? {})) layer.removedXattrs.delete(name);
    for (const name of removed) layer.removedXattrs.add(name);
  }

  #markDirty(): void {
    this.dirtySinceMs ??= this.#services.clock.monotonicMs();
  }
}

function isHead(origin: ObjectHead | PosixAttributes): origin is ObjectHead {
  return 'etag' in origin;
}
