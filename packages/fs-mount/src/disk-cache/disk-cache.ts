import { crc32c, type ObjectHead } from '@stampede/client';
import type { Clock } from '../clock.js';
import type { OnMountEvent } from '../mount-event.js';
import type { CacheDisk, CacheFile } from './cache-disk.js';
import type { CacheEntry, CacheIndex } from './cache-index.js';
import { bytesNameOf, cacheIdOf, sumsNameOf } from './cache-name.js';
import type { CachedFile } from './cached-file.js';
import { CachedFiles } from './cached-files.js';
import { scanCache } from './scan-cache.js';
import { SpaceGuard } from './space-guard.js';
import { SINGLE_BYTES_MAX } from './sums.js';
import { WorkQueue } from './work-queue.js';

const WORK_AT_ONCE_MAX = 4;
/** What waits to be written; more is not kept, so that a slow disk costs no memory. */
const QUEUED_BYTES_MAX = 64 * 1024 * 1024;
const FILE_COUNT_MAX = 250_000;
/** Its checksums take 16 MiB of memory while it is open: what is larger stays in the store. */
const FILE_BYTES_MAX = 64 * 1024 ** 3;
/** How long a reader waits for the disk to take what was read before, so that no part of a file is missing. */
const ROOM_WAIT_MS_MAX = 100;
/** How long nothing is written after the disk refused something. */
const PAUSE_MS = 10_000;
/** A file up to here is read through while its opening waits; a larger one in the background, for the next opening. */
const VERIFY_NOW_BYTES_MAX = 16 * 1024 * 1024;
const VERIFICATIONS_WAITING_MAX = 16;
/** What a file takes beside its bytes: its inode and its checksums, roughly. */
const FILE_OVERHEAD_BYTES = 4096;

export interface DiskCacheOptions {
  /** Becomes the cache's. */
  readonly disk: CacheDisk;
  readonly limitBytes: number;
  /** The part of the disk that stays free, whatever the limit; when others fill it, the cache gives way. */
  readonly freeShareMin: number;
  readonly clock: Clock;
  readonly onEvent: OnMountEvent;
}

/**
 * Bytes of committed versions on a local disk, by what identifies a version and therefore never stale. What was used
 * longest ago goes first. Everything that is read is compared with its checksum; what is damaged, or half written when
 * a process ended, is dropped and fetched anew. Failures of the disk are events and never a caller's.
 */
export class DiskCache {
  readonly #options: DiskCacheOptions;
  readonly #index: CacheIndex;
  readonly #files: CachedFiles;
  readonly #space: SpaceGuard;
  readonly #work = new WorkQueue(WORK_AT_ONCE_MAX);
  readonly #verifications = new WorkQueue(1);
  readonly #running = new Set<Promise<unknown>>();
  #queuedBytes = 0;
  readonly #waiters: { readonly bytes: number; readonly admit: () => void }[] = [];
  #pausedUntilMs = 0;
  #isClosed = false;

  private constructor(options: DiskCacheOptions, index: CacheIndex) {
    const { disk, clock, freeShareMin } = options;
    this.#options = options;
    this.#index = index;
    this.#files = new CachedFiles({ disk, onError: (error) => this.#failed(error) });
    this.#space = new SpaceGuard({ disk, clock, freeShareMin, onLow: (bytes) => this.#giveBack(bytes) });
  }

  /** Finds out what is in the folder: a few seconds for the 250,000 files it has at most. */
  static async open(options: DiskCacheOptions): Promise<DiskCache> {
    const cache = new DiskCache(options, await scanCache(options.disk));
    await cache.#space.start();
    cache.#evictFor(0);
    return cache;
  }

  /** What it takes on the disk. */
  get usedBytes(): number {
    return this.#index.usedBytes;
  }

  get fileCount(): number {
    return this.#index.count;
  }

  /**
   * The bytes of a version from `offset`, which begins a cell, to an end that ends one or the version; undefined unless
   * all of them are there and whole.
   */
  async read(head: ObjectHead, offset: number, length: number): Promise<Uint8Array | undefined> {
    const entry = this.#find(head);
    if (!entry) return undefined;
    return this.#using(entry, async (file) => {
      if (!file.sums.covers(offset, offset + length)) return undefined;
      const bytes = await file.read(offset, length);
      if (bytes !== 'damaged') return bytes;
      this.#damaged(entry);
      return undefined;
    });
  }

  /** Copies bytes of a version from any offset on where that needs no waiting; false where it does, or they are not there. */
  readNow(head: ObjectHead, offset: number, into: Uint8Array): boolean {
    const entry = this.#find(head);
    const file = entry && this.#files.findOpen(entry);
    if (!file?.sums.covers(offset, offset + into.byteLength)) return false;
    this.#index.touch(entry!);
    const result = file.readNow(offset, into);
    if (result === 'damaged') this.#damaged(entry!);
    return result === 'read';
  }

  /** As `keep`; resolves when it is over. */
  async write(head: ObjectHead, offset: number, bytes: Uint8Array): Promise<void> {
    await (await this.keep(head, offset, bytes))?.done;
  }

  /**
   * Keeps bytes of a version, without a promise that it does; never rejects. Resolves when the disk takes them or is too
   * slow for that; they must not change until `done`.
   */
  async keep(
    head: ObjectHead,
    offset: number,
    bytes: Uint8Array
  ): Promise<{ readonly done: Promise<void> } | undefined> {
    const isUnwanted = this.#isClosed || bytes.byteLength === 0 || head.size > FILE_BYTES_MAX;
    if (isUnwanted || this.#options.clock.monotonicMs() < this.#pausedUntilMs) return undefined;
    if (!(await this.#admit(bytes.byteLength))) return undefined;
    return { done: this.#keepAdmitted(head, offset, bytes) };
  }

  /**
   * The file that is the version byte for byte, opened for the caller, who closes it; undefined unless all of it is there
   * and was compared with its checksums since this process began. A large one may be there the next time only.
   */
  async openWhole(head: ObjectHead): Promise<CacheFile | undefined> {
    const entry = this.#find(head);
    if (!entry) return undefined;
    return this.#using(entry, async (file) => {
      if (!file.sums.isWhole) return undefined;
      if (!entry.isTrusted && entry.sizeBytes > VERIFY_NOW_BYTES_MAX) {
        this.#verifySoon(entry);
        return undefined;
      }
      if (!entry.isTrusted && !(await this.#verify(entry, file))) return undefined;
      return this.#options.disk.open(bytesNameOf(entry.id, entry.checksum));
    });
  }

  /** Lets go of a version; who has its file open is then the only one. */
  forget(head: ObjectHead): void {
    const entry = this.#find(head);
    if (entry) this.#drop(entry);
  }

  /** Writes down what is there and gives the folder free. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#space.close();
    await Promise.allSettled(this.#running);
    await this.#files.close();
    await this.#options.disk.close();
  }

  #find(head: ObjectHead): CacheEntry | undefined {
    return this.#isClosed ? undefined : this.#index.find(cacheIdOf(head));
  }

  /** Runs with the open file; drops the entry when there is none any more or the disk fails. */
  async #using<Result>(
    entry: CacheEntry,
    run: (file: CachedFile) => Promise<Result | undefined>
  ): Promise<Result | undefined> {
    this.#index.touch(entry);
    const used = this.#files.using(entry, async (file) => {
      if (file) return run(file);
      this.#damaged(entry);
      return undefined;
    });
    this.#running.add(used);
    try {
      return await used;
    } catch (error) {
      this.#drop(entry);
      this.#failed(error);
      return undefined;
    } finally {
      this.#running.delete(used);
    }
  }

  async #write(head: ObjectHead, offset: number, bytes: Uint8Array): Promise<void> {
    const id = cacheIdOf(head);
    if (this.#isClosed || this.#files.isRemoving(id)) return;
    if (head.size <= SINGLE_BYTES_MAX) return this.#writeSingle(id, head, bytes);
    const known = this.#index.find(id);
    const entry = known ?? newEntry(id, head.size, undefined);
    if (!known) {
      if (!this.#evictFor(entry.usedBytes)) return;
      this.#index.add(entry);
      this.#files.created(entry);
    }
    await this.#using(entry, (file) => this.#writeCells(entry, file, { offset, bytes }));
  }

  async #writeCells(
    entry: CacheEntry,
    file: CachedFile,
    { offset, bytes }: { readonly offset: number; readonly bytes: Uint8Array }
  ): Promise<undefined> {
    for (const [start, end] of file.missing(offset, offset + bytes.byteLength)) {
      if (!this.#evictFor(end - start, entry)) return;
      this.#index.grow(entry, end - start);
      await file.write(start, bytes.subarray(start - offset, end - offset));
    }
  }

  /** The checksum is in the name, so that one file is enough. */
  async #writeSingle(id: string, { size }: ObjectHead, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength !== size || this.#index.find(id)) return;
    const entry = newEntry(id, size, crc32c(bytes));
    entry.usedBytes += roundUp(size);
    if (!this.#evictFor(entry.usedBytes)) return;
    // In the index before it is on the disk: who reads it meanwhile waits for that.
    this.#index.add(entry);
    await this.#files.writing(entry, bytes).catch((error: unknown) => {
      this.#drop(entry);
      throw error;
    });
  }

  /** Makes room for so many bytes more; false where that cannot be. */
  #evictFor(bytes: number, kept?: CacheEntry): boolean {
    const { limitBytes } = this.#options;
    while (this.#index.usedBytes + bytes > limitBytes || this.#index.count >= FILE_COUNT_MAX) {
      const oldest = this.#index.findOldest(kept);
      if (!oldest) return false;
      this.#drop(oldest);
    }
    if (bytes > 0 && !this.#space.hasRoom) return false;
    this.#space.taken(bytes);
    return true;
  }

  /** Others need the disk. */
  #giveBack(bytes: number): void {
    const target = this.#index.usedBytes - bytes;
    for (let oldest = this.#index.findOldest(); oldest && this.#index.usedBytes > target; ) {
      this.#drop(oldest);
      oldest = this.#index.findOldest();
    }
  }

  /** False when it was dropped before. */
  #drop(entry: CacheEntry): boolean {
    if (!this.#index.remove(entry)) return false;
    const names = [bytesNameOf(entry.id, entry.checksum)];
    // Without its checksums a file is nothing: these go first.
    if (entry.checksum === undefined) names.unshift(sumsNameOf(entry.id));
    this.#files.remove(entry, names);
    return true;
  }

  #damaged(entry: CacheEntry): void {
    // What was let go of, its last reader may change.
    if (this.#drop(entry))
      this.#options.onEvent({ type: 'cacheDamaged', file: bytesNameOf(entry.id, entry.checksum) });
  }

  #failed(error: unknown): void {
    const now = this.#options.clock.monotonicMs();
    if (now < this.#pausedUntilMs) return;
    this.#pausedUntilMs = now + PAUSE_MS;
    this.#options.onEvent({ type: 'cacheFailed', error });
  }

  async #verify(entry: CacheEntry, file: CachedFile): Promise<boolean> {
    entry.isTrusted = await file.verify();
    if (!entry.isTrusted) this.#damaged(entry);
    return entry.isTrusted;
  }

  #verifySoon(entry: CacheEntry): void {
    if (this.#verifications.waitingCount >= VERIFICATIONS_WAITING_MAX) return;
    void this.#inBackground(this.#verifications, async () => {
      if (entry.isTrusted || this.#isClosed) return;
      await this.#using(entry, (file) => this.#verify(entry, file));
    });
  }

  async #keepAdmitted(head: ObjectHead, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#inBackground(this.#work, () => this.#write(head, offset, bytes));
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#queuedBytes -= bytes.byteLength;
      this.#admitWaiting();
    }
  }

  /** First come, first served; false for who has waited too long. */
  async #admit(bytes: number): Promise<boolean> {
    if (this.#waiters.length === 0 && this.#queuedBytes + bytes <= QUEUED_BYTES_MAX) {
      this.#queuedBytes += bytes;
      return true;
    }
    return new Promise<boolean>((resolve) => {
      const waiter = {
        bytes,
        admit: () => {
          timer[Symbol.dispose]();
          resolve(true);
        }
      };
      const timer = this.#options.clock.setTimer(ROOM_WAIT_MS_MAX, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        resolve(false);
      });
      this.#waiters.push(waiter);
    });
  }

  #admitWaiting(): void {
    for (let first = this.#waiters[0]; first; first = this.#waiters[0]) {
      if (this.#queuedBytes + first.bytes > QUEUED_BYTES_MAX) return;
      this.#waiters.shift();
      this.#queuedBytes += first.bytes;
      first.admit();
    }
  }

  #inBackground<Result>(queue: WorkQueue, work: () => Promise<Result>): Promise<Result> {
    const running = queue.run(work);
    this.#running.add(running);
    return running.finally(() => this.#running.delete(running));
  }
}

function newEntry(id: string, sizeBytes: number, checksum: number | undefined): CacheEntry {
  return { id, sizeBytes, checksum, usedBytes: FILE_OVERHEAD_BYTES, isTrusted: true };
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096;
}
