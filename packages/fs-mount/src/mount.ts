import { AllBucketsFileSystem } from './all-buckets/index.js';
import { BucketFileSystem } from './bucket-file-system.js';
import { DiskCache } from './disk-cache/index.js';
import { openCacheFolder } from './drivers/cache-folder.js';
import type { MountedDirectory } from './drivers/driver.js';
import { FileSystemError, isTransient } from './errno.js';
import type { FileSystem, FileSystemStatus } from './file-system.js';
import type { FileSystemOptions } from './file-system-options.js';
import { countedStore, Monitor, MonitorFolder } from './monitor/index.js';
import { ALL_BUCKETS, type CacheSettings, type MountOptions, parseMountOptions } from './mount-options.js';

const RETRY_MS = 500;
const CACHE_CLOSE_MS_MAX = 10_000;

export interface UnstoredFile {
  readonly path: string;
  /** Bytes that were written and are not in the store. */
  readonly bytes: number;
}

/** A mounted bucket, or all of them. */
export interface Mount extends AsyncDisposable {
  readonly directory: string;
  readonly driver: string;
  readonly status: FileSystemStatus;
  /** Resolves when the directory no longer shows the bucket, whoever unmounted it. */
  readonly ended: Promise<void>;
  /**
   * Stores everything, as long as that takes, and unmounts. Called again while that goes on it gives up at once.
   *
   * @returns What was not stored; empty unless it gave up or the store refuses the data.
   */
  close(): Promise<readonly UnstoredFile[]>;
}

/**
 * Shows a bucket, a prefix of one, or all buckets as a directory until `close`.
 *
 * @throws StoreError `NoSuchBucket` and whatever keeps the store from answering.
 * @throws FileSystemError `EBUSY` when something is mounted there, `ENOTDIR` and `ENOTEMPTY` for what is no empty
 *         directory, `EIO` and `ENOSYS` when this machine cannot mount, `EINVAL` for a wrong option,
 *         `EBUSY` and `EACCES` for a disk cache that another mount or user has.
 */
export async function mount(options: MountOptions): Promise<Mount> {
  const { fileSystem: parsed, driver, cache } = parseMountOptions(options);
  const monitor = new Monitor(parsed.clock);
  const counted = countedStore(parsed.store, monitor.storeCalls, parsed.clock);
  const withoutCache = { ...parsed, store: counted };
  const { store, bucket, prefix, readOnly, attributeTtlMs, onEvent, clock, uid, gid } = withoutCache;
  const isAll = bucket === ALL_BUCKETS;
  await (isAll ? store.buckets.list({ maxBuckets: 1 }) : store.buckets.head({ bucket }));
  const diskCache = cache && (await openDiskCache(cache, withoutCache));
  const fileSystemOptions = { ...withoutCache, diskCache };
  const fileSystem = isAll
    ? new AllBucketsFileSystem(fileSystemOptions)
    : new BucketFileSystem(fileSystemOptions);
  try {
    const mounted = await driver.mount(fileSystem, {
      directory: options.directory,
      source: `stampede:${bucket}/${prefix}`,
      readOnly,
      allowOther: options.allowOther ?? false,
      attributeTtlMs,
      onEvent,
      monitor,
      monitorFolder: ({ canStream }) =>
        new MonitorFolder({
          monitor,
          fileSystem,
          facts: { driver: driver.name, bucket, prefix, pid: process.pid, startedAtMs: clock.nowMs() },
          clock,
          uid,
          gid,
          canStream
        })
    });
    fileSystem.start();
    return new MountedBucket(fileSystem, mounted, {
      ...fileSystemOptions,
      directory: options.directory,
      driver: driver.name
    });
  } catch (error) {
    await diskCache?.close();
    throw error;
  }
}

async function openDiskCache(
  { directory, limitBytes, freeShareMin }: CacheSettings,
  { clock, onEvent }: FileSystemOptions
): Promise<DiskCache> {
  const disk = await openCacheFolder(directory);
  try {
    return await DiskCache.open({ disk, limitBytes, freeShareMin, clock, onEvent });
  } catch (error) {
    await disk.close();
    throw new FileSystemError('EIO', `the disk cache ${directory} cannot be read: ${String(error)}`, {
      cause: error
    });
  }
}

interface MountedBucketOptions extends FileSystemOptions {
  readonly directory: string;
  readonly driver: string;
}

class MountedBucket implements Mount {
  readonly directory: string;
  readonly driver: string;
  readonly ended: Promise<void>;
  readonly #fileSystem: FileSystem;
  readonly #mounted: MountedDirectory;
  readonly #options: MountedBucketOptions;
  readonly #givingUp = new AbortController();
  #closing: Promise<readonly UnstoredFile[]> | undefined;

  constructor(fileSystem: FileSystem, mounted: MountedDirectory, options: MountedBucketOptions) {
    this.#fileSystem = fileSystem;
    this.#mounted = mounted;
    this.#options = options;
    this.directory = options.directory;
    this.driver = options.driver;
    this.ended = mounted.ended;
  }

  get status(): FileSystemStatus {
    return this.#fileSystem.status;
  }

  close(): Promise<readonly UnstoredFile[]> {
    if (this.#closing) this.#givingUp.abort();
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#closing ?? this.close());
  }

  async #close(): Promise<readonly UnstoredFile[]> {
    const lost = new Map<string, UnstoredFile>();
    await this.#storeEverything(lost);
    await this.#mounted.unmount();
    // What was written until the directory was gone.
    await this.#storeEverything(lost);
    for (const file of this.#fileSystem.unstored) lost.set(file.path, file);
    await this.#fileSystem.endLocks();
    this.#fileSystem.close();
    await this.#closeCache();
    return [...lost.values()];
  }

  /** What it had no time to write down is fetched anew; a disk that does not answer must not keep the process. */
  async #closeCache(): Promise<void> {
    const { diskCache, clock } = this.#options;
    if (!diskCache) return;
    const timeout = new AbortController();
    const closed = diskCache.close().catch(() => undefined);
    await Promise.race([closed, clock.sleep(CACHE_CLOSE_MS_MAX, timeout.signal).catch(() => undefined)]);
    timeout.abort();
  }

  async #storeEverything(lost: Map<string, UnstoredFile>): Promise<void> {
    const { signal } = this.#givingUp;
    const givenUp = new Promise<'given up'>((resolve) => {
      if (signal.aborted) resolve('given up');
      signal.addEventListener('abort', () => resolve('given up'), { once: true });
    });
    for (;;) {
      const sizes = new Map(this.#fileSystem.unstored.map((file) => [file.path, file]));
      const failures = await Promise.race([this.#fileSystem.flush(), givenUp]);
      if (failures === 'given up') return;
      for (const { path, error } of failures)
        if (!isTransient(error)) lost.set(path, sizes.get(path) ?? { path, bytes: 0 });
      if (failures.every(({ error }) => !isTransient(error))) return;
      await this.#options.clock.sleep(RETRY_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
  }
}
