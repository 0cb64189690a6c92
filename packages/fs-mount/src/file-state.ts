import { isStoreError, LIMITS, type ObjectHead, type PosixAttributes } from '@stampede/client';
import { Mutex } from 'async-mutex';
import type { Attributes } from './attributes.js';
import { commitLayer, fitsOneCall } from './commit.js';
import { FileSystemError } from './errno.js';
import { FileAttributes, isHead } from './file-attributes.js';
import type { FileMirror } from './file-mirror.js';
import { seekIn } from './file-seek.js';
import { currentVersion, type FileStateServices } from './file-state-services.js';
import { FileWrites, type WrittenFile } from './file-writes.js';
import { LayerStack } from './layer-stack.js';
import { LocalBytes } from './local-bytes.js';
import { RangeChanges, type RangedFile } from './range-changes.js';
import type { ReadAhead } from './read-ahead.js';
import { StoredHoles } from './stored-holes.js';
import { UploadSession } from './upload-session.js';

const REFRESH_COUNT_MAX = 8;

/**
 * One file that is open or has changes the store does not have yet: shared by all handles of the mount. It lies on a
 * committed version (`base`) and carries layers of changes, of which the lower is being committed while the upper one
 * takes writes; after a failed commit the lower one waits for the next try.
 */
export class FileState implements RangedFile, WrittenFile {
  readonly #services: FileStateServices;
  readonly #mutex = new Mutex();
  /** What is not stored yet. */
  readonly layers: LayerStack;
  readonly #attributes: FileAttributes;
  /** Made for the few files that need them. */
  #holes: StoredHoles | undefined;
  #ranges: RangeChanges | undefined;
  readonly #writes: FileWrites;
  /** Has the bytes once no name leads here any more. */
  readonly local = new LocalBytes();
  /** The key in the bucket; `moved` changes it. */
  key: string;
  base: ObjectHead | undefined;
  size: number;
  handleCount = 0;
  /** Grows whenever bytes that others wrote may have come to lie under those of the file. */
  foreignChangeCount = 0;
  /** Grows when locks are lost: what was opened before can be used no more. */
  lockLossCount = 0;
  /** Of the handles those that were opened before. */
  deadHandleCount = 0;
  /** What was written under lost locks is about to be given up: it must not be stored. */
  isLosingChanges = false;
  /** Who reads the file's bytes without asking, where there is one. */
  mirror: FileMirror | undefined;
  /** No name leads here any more. */
  isDetached = false;
  /** Nobody has it open any more, and nobody can: its bytes are gone. */
  isGone = false;
  /** Since when there is something to commit. */
  dirtySinceMs: number | undefined;

  constructor(services: FileStateServices, key: string, origin: ObjectHead | PosixAttributes) {
    this.#services = services;
    this.key = key;
    this.layers = new LayerStack(services.memory);
    this.#writes = new FileWrites(this, services.memory);
    this.#attributes = new FileAttributes(this.layers, services.clock, origin);
    this.base = isHead(origin) ? origin : undefined;
    this.size = this.base?.size ?? 0;
    if (!this.base) this.#markDirty();
  }

  get isDirty(): boolean {
    if (this.isDetached) return false;
    return this.base === undefined || !this.layers.isEmpty;
  }

  get takesBytesOnly(): boolean {
    return this.isDetached || this.local.isTaken || this.mirror !== undefined;
  }

  get dirtyBytes(): number {
    return this.layers.dirtyBytes;
  }

  get posixAttributes(): PosixAttributes {
    return this.#attributes.posix;
  }

  attributes(): Attributes {
    const { size, base, isDetached } = this;
    // A local copy does not know its holes.
    const space = isDetached ? { size, takenBytes: size, isGuess: false } : this.layers.spaceOver(base, size);
    const all = this.#attributes.of(space, this.#services.defaults);
    return isDetached ? { ...all, linkCount: 0 } : all;
  }

  /** Copies bytes from `offset` on into `into`; returns how many, fewer only at the end of the file. */
  async read(offset: number, into: Uint8Array, readAhead: ReadAhead): Promise<number> {
    for (let attempt = 0; attempt < REFRESH_COUNT_MAX; attempt++) {
      const end = Math.min(offset + into.byteLength, this.size);
      if (end <= offset) return 0;
      const target = into.subarray(0, end - offset);
      if (this.local.copy) await this.local.copy.read(offset, target);
      else if (!(await this.#readLayers(offset, target, readAhead))) continue;
      return target.byteLength;
    }
    throw tooFast(this.key);
  }

  /** Waits for write memory when it is full. `offset` undefined appends. */
  write(offset: number | undefined, bytes: Uint8Array): Promise<void> {
    return this.#writes.write(offset, bytes);
  }

  truncate(size: number): Promise<void> {
    return this.#writes.truncate(size);
  }

  /** For changes of ranges that need no bytes. */
  get ranges(): RangeChanges {
    this.#ranges ??= new RangeChanges(this, this.#services.memory);
    return this.#ranges;
  }

  findBusyEnd(start: number, end: number): Promise<void> | undefined {
    return this.#ranges?.findEnd(start, end) ?? this.layers.active.extents.findFlight(start, end);
  }

  /** As `seekIn`. */
  async seek(offset: number, wanted: 'data' | 'hole'): Promise<number | undefined> {
    for (let attempt = 0; attempt < REFRESH_COUNT_MAX; attempt++) {
      if (this.layers.hasUploaded) await this.commit();
      const { size, base } = this;
      // A local copy does not know its holes.
      if (this.isDetached) return offset >= size ? undefined : wanted === 'data' ? offset : size;
      this.#holes ??= new StoredHoles(this.#services.store, this.#services.bucket);
      const file = { size, base, layers: this.layers, holes: this.#holes };
      const found = await this.#ofBase(base, () => seekIn(file, offset, wanted));
      if (found !== 'changed') return found;
    }
    throw tooFast(this.key);
  }

  /** An upload for the bytes of the upper layer. */
  newUpload(): UploadSession {
    const { store, bucket } = this.#services;
    return new UploadSession(store, this.layers.active, { bucket, key: this.key, base: this.base });
  }

  /** Bytes were changed past the write memory, and reach at least to `end`. */
  changed(end: number): void {
    this.size = Math.max(this.size, end);
    this.modified();
    this.#settleIfFull();
  }

  /** The bytes were set anew, to what they are. */
  modified(): void {
    this.#attributes.touch();
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
    if (this.base && head) this.#rebaseOnForeign(head);
    else if (this.base) this.base = { ...this.base, key, generation: 0 };
  }

  /** Changes attributes; in the store with the next commit. */
  setAttributes(attributes: PosixAttributes, removedXattr?: string): void {
    this.#attributes.change(attributes, removedXattr);
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
    if (this.isLosingChanges) throw new FileSystemError('EIO', `locks of ${this.key} were lost`);
    if (this.layers.frozen) await this.#commitFrozen();
    if (!this.isDirty) return;
    this.layers.freeze(this.size);
    await this.#commitFrozen();
  }

  /** Its bytes leave the write memory without a commit. */
  get isSending(): boolean {
    return this.layers.active.upload?.isSending ?? false;
  }

  /** Sends what is ready; under pressure also what is not. */
  pump(partial: boolean): void {
    const layer = this.layers.active;
    if (this.isDetached || (!layer.upload && (fitsOneCall(layer) || this.layers.frozen))) return;
    layer.upload ??= this.newUpload();
    layer.upload.pump(partial);
  }

  /**
   * Takes the file out of the bucket's reach, before its key is deleted or replaced: who has it open goes on with a
   * local copy, nobody else finds it. What was not committed is never stored.
   */
  async detach(readAhead: ReadAhead): Promise<void> {
    if (this.isDetached) return;
    if (this.handleCount > 0 && (this.layers.active.upload || this.layers.frozen)) await this.commit();
    await this.#mutex.runExclusive(async () => {
      if (this.handleCount === 0) return void (await this.abandon());
      await this.local.take(this.#services.openScratch, this.size, async (offset, into) => {
        if (!(await this.#readLayers(offset, into, readAhead)))
          throw new FileSystemError('EBUSY', `${this.key} is being changed elsewhere; try again`);
      });
      this.#drop();
    });
  }

  /** Ends the local copy of a removed file. */
  async dispose(): Promise<void> {
    this.isGone = true;
    this.#drop();
    await this.local.close();
  }

  /** Gives up what could not be stored; returns how many bytes that was. */
  async abandon(): Promise<number> {
    const bytes = this.dirtyBytes;
    this.isGone = true;
    this.isDetached = true;
    await this.layers.abortUploads();
    this.#drop();
    return bytes;
  }

  /** Commits what would soon be more steps than one call takes. */
  #settleIfFull(): void {
    const { upload, stepCount } = this.layers.active;
    if (!upload && stepCount > LIMITS.editCountMax && !this.#mutex.isLocked())
      this.commit().catch(() => undefined);
  }

  /** False when the versions below changed on the way and the read must begin again. */
  async #readLayers(offset: number, target: Uint8Array, readAhead: ReadAhead): Promise<boolean> {
    const { base } = this;
    const gaps = this.layers.copy(offset, target);
    if (gaps === 'uploaded') {
      await this.commit();
      return false;
    }
    for (const [start, end] of gaps) {
      const part = target.subarray(start - offset, end - offset);
      const stop = Math.max(start, Math.min(end, base?.size ?? 0));
      part.fill(0, stop - start);
      if (!base || stop === start) continue;
      const isRead = await this.#ofBase(base, () =>
        readAhead.read(base, start, part.subarray(0, stop - start)).then(() => true)
      );
      if (isRead === 'changed') return false;
    }
    return true;
  }

  /** What is asked of a version; `changed` when it is not stored any more and the file goes on with another one. */
  async #ofBase<Result>(
    base: ObjectHead | undefined,
    ask: () => Promise<Result>
  ): Promise<Result | 'changed'> {
    try {
      return await ask();
    } catch (error) {
      if (!isStoreError(error, 'PreconditionFailed', 'NoSuchKey')) throw error;
      if (base && this.base === base && !this.isDetached) await this.#refreshBase(base);
      return 'changed';
    }
  }

  /** The key has another version than ours: go on with that one, as after opening the file again. */
  async #refreshBase(base: ObjectHead): Promise<void> {
    const head = await currentVersion(this.#services, this.key);
    if (this.base === base) this.#rebaseOnForeign(head);
  }

  async #commitFrozen(): Promise<void> {
    const { store, bucket, onCommitted } = this.#services;
    const { layer, size } = this.layers.frozen!;
    const target = { bucket, key: this.key, base: this.base };
    const head = await commitLayer({ store, target, layer, size, attributes: this.posixAttributes });
    this.layers.thaw();
    // Each change of a key counts its generation up by one: the version between was not ours.
    const isAlone = head.generation === (target.base?.generation ?? 0) + 1;
    this.#rebase(head);
    if (!isAlone) this.#foreignBytes();
    if (!this.isDirty) this.dirtySinceMs = undefined;
    onCommitted(this, head);
  }

  #rebaseOnForeign(head: ObjectHead): void {
    const isOther = head.etag !== this.base?.etag;
    this.#rebase(head);
    if (isOther) this.#foreignBytes();
  }

  #foreignBytes(): void {
    this.foreignChangeCount++;
    this.#services.onForeignBytes(this);
  }

  #rebase(head: ObjectHead): void {
    this.base = head;
    this.#attributes.rebase(head);
    if (!this.layers.hasSize) this.size = this.layers.sizeOver(head);
  }

  #drop(): void {
    this.isDetached = true;
    this.dirtySinceMs = undefined;
    this.layers.clear();
  }

  #markDirty(): void {
    this.dirtySinceMs ??= this.#services.clock.monotonicMs();
  }
}

function tooFast(key: string): FileSystemError {
  return new FileSystemError('EIO', `${key} changes too fast to be read; try again`);
}
