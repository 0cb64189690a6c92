import assert from 'node:assert';
import type { Timestamp } from '@stampede/client';
import { type Attributes, attributesOfStat, S_IFDIR } from '../attributes.js';
import type { BucketFileSystem } from '../bucket-file-system.js';
import type { ChangeListener } from '../change-listener.js';
import type { DiskCache } from '../disk-cache/index.js';
import { DriveMemory } from '../drive-memory.js';
import type { NamedEntry } from '../entries.js';
import { FileSystemError } from '../errno.js';
import type { FileHandle } from '../file-handle.js';
import type {
  AttributeChange,
  CreateOptions,
  FileSystem,
  FileSystemStatus,
  OpenOptions,
  Owner,
  Unstored,
  XattrMode
} from '../file-system.js';
import type { FileSystemOptions } from '../file-system-options.js';
import type { RenameOptions, UnlinkOptions } from '../namespace.js';
import { type Space, SpaceReader } from '../space.js';
import { BucketList } from './bucket-list.js';
import { joinPath, splitPath } from './bucket-path.js';
import { type OpenBucket, OpenBuckets } from './open-buckets.js';

export type AllBucketsOptions = Omit<FileSystemOptions, 'bucket' | 'prefix'>;

type Run<Result> = (fileSystem: BucketFileSystem, path: string) => Promise<Result>;

/**
 * Every bucket that the access key may see, each a directory of the root. What is in a bucket is its own file system's
 * affair; here is what the buckets themselves are: mkdir(2) and rmdir(2) in the root make and delete them.
 */
export class AllBucketsFileSystem implements FileSystem {
  readonly #options: AllBucketsOptions;
  readonly #memory: DriveMemory;
  readonly #list: BucketList;
  readonly #buckets: OpenBuckets;
  readonly #space: SpaceReader;
  /** Names a driver has for open files that lie in no directory of the drive. */
  readonly #aliases = new Map<string, BucketFileSystem>();
  readonly #owners = new WeakMap<FileHandle, BucketFileSystem>();
  #changedAtMs: number;

  constructor(options: AllBucketsOptions) {
    const { store, clock, attributeTtlMs } = options;
    this.#options = options;
    this.#memory = new DriveMemory(options);
    this.#list = new BucketList({ store, clock, ttlMs: attributeTtlMs });
    this.#buckets = new OpenBuckets({ shared: options, memory: this.#memory });
    this.#space = new SpaceReader(store, undefined, clock);
    this.#changedAtMs = clock.nowMs();
  }

  get diskCache(): DiskCache | undefined {
    return this.#options.diskCache;
  }

  start(): void {
    this.#buckets.start();
  }

  /** Which buckets there are nobody tells. */
  isWatched(path: string): boolean {
    const place = splitPath(path);
    if (!place || place.path === '/') return false;
    return this.#buckets.find(place.bucket)?.isWatched() ?? false;
  }

  follow(listener: ChangeListener): void {
    this.#buckets.follow(listener);
  }

  /** Each bucket has a session of its own. */
  get hasServerLocks(): boolean {
    return this.#options.locks !== undefined;
  }

  isGuarded(path: string): boolean {
    const place = this.#options.locks && splitPath(path);
    return (place && this.#buckets.find(place.bucket)?.isGuarded(place.path)) ?? false;
  }

  async endLocks(): Promise<void> {
    await Promise.all(this.#buckets.all().map(({ fileSystem }) => fileSystem.endLocks()));
  }

  async getattr(path: string): Promise<Attributes> {
    const attributes = await this.findAttributes(path);
    if (!attributes) throw noEntry(path);
    return attributes;
  }

  async findAttributes(path: string): Promise<Attributes | undefined> {
    if (path === '/') return this.#rootAttributes();
    const place = this.#aliases.has(path) ? undefined : splitPath(path);
    if (place?.path !== '/') return this.#in(path, (fileSystem, inner) => fileSystem.findAttributes(inner));
    const bucket = await this.#list.find(place.bucket);
    if (bucket) return this.#buckets.attributesOf(bucket);
    this.#buckets.forget(place.bucket);
    return undefined;
  }

  async *readdir(path: string): AsyncGenerator<NamedEntry[]> {
    if (path === '/') return yield* this.#listBuckets();
    const { bucket, path: inner } = splitPath(path)!;
    const open = await this.#enter(bucket, path);
    try {
      yield* open.fileSystem.readdir(inner);
    } finally {
      this.#buckets.leave(open);
    }
  }

  open(path: string, options?: OpenOptions): Promise<FileHandle> {
    return this.#opening(path, (fileSystem, inner) => fileSystem.open(inner, options));
  }

  async create(path: string, mode: number, options?: CreateOptions): Promise<FileHandle> {
    assertInBucket(path);
    return this.#opening(path, (fileSystem, inner) => fileSystem.create(inner, mode, options));
  }

  createNameless(directory: string, mode: number, options?: CreateOptions): Promise<FileHandle> {
    return this.#opening(directory, (fileSystem, inner) => fileSystem.createNameless(inner, mode, options));
  }

  keepAlias(path: string, handle: FileHandle): void {
    const fileSystem = this.#owners.get(handle);
    assert(fileSystem, 'a handle is of the drive that speaks of it');
    fileSystem.keepAlias(path, handle);
    this.#aliases.set(path, fileSystem);
  }

  isOpen(path: string): Promise<boolean> {
    return this.#in(path, (fileSystem, inner) => fileSystem.isOpen(inner));
  }

  truncate(path: string, size: number): Promise<void> {
    return this.#in(path, (fileSystem, inner) => fileSystem.truncate(inner, size));
  }

  async unlink(path: string, options: UnlinkOptions = {}): Promise<void> {
    await this.#in(path, async (fileSystem, inner) => {
      const alias = this.#aliasIn(fileSystem, options.alias);
      await fileSystem.unlink(inner, { ...options, ...alias.option });
      alias.keep();
    });
    this.#aliases.delete(path);
  }

  async mkdir(path: string, mode: number, owner?: Owner): Promise<void> {
    const place = splitPath(path);
    if (place?.path === '/') return this.#createBucket(place.bucket, mode, owner);
    return this.#in(path, (fileSystem, inner) => fileSystem.mkdir(inner, mode, owner));
  }

  async rmdir(path: string): Promise<void> {
    const place = splitPath(path);
    if (place?.path === '/') return this.#deleteBucket(place.bucket);
    return this.#in(path, (fileSystem, inner) => fileSystem.rmdir(inner));
  }

  async mknod(path: string, mode: number, rdev: number, owner?: Owner): Promise<void> {
    assertInBucket(path);
    return this.#in(path, (fileSystem, inner) => fileSystem.mknod(inner, mode, rdev, owner));
  }

  async symlink(path: string, target: string, owner?: Owner): Promise<void> {
    assertInBucket(path);
    return this.#in(path, (fileSystem, inner) => fileSystem.symlink(inner, target, owner));
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    const [source, target] = [splitPath(from), splitPath(to)];
    const isInOne = source?.bucket === target?.bucket && source?.path !== '/' && target?.path !== '/';
    if (!target || !isInOne)
      throw new FileSystemError('EXDEV', `${to} is in another bucket than ${from}; copy it`);
    await this.#in(from, async (fileSystem, inner) => {
      const alias = this.#aliasIn(fileSystem, options.alias);
      await fileSystem.rename(inner, target.path, { ...options, ...alias.option });
      alias.keep();
    });
  }

  readlink(path: string): Promise<string> {
    return this.#in(path, (fileSystem, inner) => fileSystem.readlink(inner));
  }

  async link(from: string, to: string): Promise<void> {
    const target = splitPath(to);
    if (splitPath(from)?.bucket !== target?.bucket || !target)
      throw new FileSystemError('EXDEV', `${to} is in another bucket than ${from}; copy it`);
    await this.#in(from, (fileSystem, inner) => fileSystem.link(inner, target.path));
  }

  setattr(path: string, changes: AttributeChange): Promise<void> {
    return this.#in(path, (fileSystem, inner) => fileSystem.setattr(inner, changes));
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#in(path, (fileSystem, inner) => fileSystem.chmod(inner, mode));
  }

  chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    return this.#in(path, (fileSystem, inner) => fileSystem.chown(inner, uid, gid));
  }

  utimens(path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined): Promise<void> {
    return this.#in(path, (fileSystem, inner) => fileSystem.utimens(inner, atime, mtime));
  }

  async findxattr(path: string, name: string): Promise<Uint8Array | undefined> {
    if (this.#isAbove(path)) return undefined;
    return this.#in(path, (fileSystem, inner) => fileSystem.findxattr(inner, name));
  }

  async getxattr(path: string, name: string): Promise<Uint8Array> {
    if (this.#isAbove(path)) throw new FileSystemError('ENODATA', `${path} has no extended attributes`);
    return this.#in(path, (fileSystem, inner) => fileSystem.getxattr(inner, name));
  }

  async listxattr(path: string): Promise<readonly string[]> {
    if (this.#isAbove(path)) return [];
    return this.#in(path, (fileSystem, inner) => fileSystem.listxattr(inner));
  }

  async setxattr(path: string, name: string, value: Uint8Array, mode?: XattrMode): Promise<void> {
    if (this.#isAbove(path)) throw new FileSystemError('EOPNOTSUPP', 'a bucket has no extended attributes');
    return this.#in(path, (fileSystem, inner) => fileSystem.setxattr(inner, name, value, mode));
  }

  async removexattr(path: string, name: string): Promise<void> {
    if (this.#isAbove(path)) throw new FileSystemError('ENODATA', `${path} has no extended attributes`);
    return this.#in(path, (fileSystem, inner) => fileSystem.removexattr(inner, name));
  }

  async access(path: string, mode: number): Promise<void> {
    if (!this.#isAbove(path)) return this.#in(path, (fileSystem, inner) => fileSystem.access(inner, mode));
    await this.getattr(path);
    if ((mode & 2) !== 0) this.#assertWritable();
  }

  async statfs(path: string): Promise<Space> {
    if (path === '/') return this.#space.read();
    return this.#in(path, (fileSystem, inner) => fileSystem.statfs(inner));
  }

  async fsyncDirectory(path: string): Promise<void> {
    if (path !== '/') return this.#in(path, (fileSystem, inner) => fileSystem.fsyncDirectory(inner));
    const syncs = this.#buckets.all().map(({ fileSystem }) => fileSystem.fsyncDirectory('/'));
    const failed = (await Promise.allSettled(syncs)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  async flush(): Promise<readonly { readonly path: string; readonly error: unknown }[]> {
    const failures = this.#buckets.all().map(async ({ name, fileSystem }) => {
      const ofBucket = await fileSystem.flush();
      return ofBucket.map(({ path, error }) => ({ path: joinPath({ bucket: name, path }), error }));
    });
    return (await Promise.all(failures)).flat();
  }

  get unstored(): readonly Unstored[] {
    return this.#buckets
      .all()
      .flatMap(({ name, fileSystem }) =>
        fileSystem.unstored.map(({ path, bytes }) => ({ path: joinPath({ bucket: name, path }), bytes }))
      );
  }

  get status(): FileSystemStatus {
    const all = this.#buckets.all().map(({ fileSystem }) => fileSystem.status);
    return {
      ...this.#memory.status,
      openFileCount: all.reduce((sum, { openFileCount }) => sum + openFileCount, 0),
      dirtyBytes: all.reduce((sum, { dirtyBytes }) => sum + dirtyBytes, 0),
      watchIsLive: all.every(({ watchIsLive }) => watchIsLive)
    };
  }

  close(): void {
    this.#buckets.close();
  }

  /** Whether it is the root or a bucket itself, which have no key to keep anything in. */
  #isAbove(path: string): boolean {
    return !this.#aliases.has(path) && isAbove(path);
  }

  /** Runs with the file system that the path is in, and the path there. */
  async #in<Result>(path: string, run: Run<Result>): Promise<Result> {
    const alias = this.#aliases.get(path);
    if (alias) return run(alias, path);
    const place = splitPath(path);
    if (!place) throw new FileSystemError('EPERM', 'the root of a drive of all buckets stays as it is');
    const open = await this.#enter(place.bucket, path);
    try {
      return await run(open.fileSystem, place.path);
    } finally {
      this.#buckets.leave(open);
    }
  }

  #opening(path: string, run: Run<FileHandle>): Promise<FileHandle> {
    return this.#in(path, async (fileSystem, inner) => {
      const handle = await run(fileSystem, inner);
      this.#owners.set(handle, fileSystem);
      return handle;
    });
  }

  /** One that is open answers for itself when it is gone. */
  async #enter(name: string, path: string): Promise<OpenBucket> {
    const open = this.#buckets.enterOpen(name);
    if (open) return open;
    const bucket = await this.#list.find(name);
    if (!bucket) throw noEntry(path);
    return this.#buckets.enter(bucket);
  }

  async *#listBuckets(): AsyncGenerator<NamedEntry[]> {
    for await (const page of this.#list.pages())
      yield page.map((bucket) => ({
        name: bucket.name,
        type: S_IFDIR,
        attributes: () => this.#buckets.attributesOf(bucket)
      }));
  }

  async #createBucket(name: string, mode: number, owner: Owner | undefined): Promise<void> {
    this.#assertWritable();
    await this.#telling(name, () => this.#list.create(name));
    this.#buckets.keepAttributes(name, { mode: S_IFDIR | (mode & 0o7777), ...owner });
    this.#changedAtMs = this.#options.clock.nowMs();
  }

  async #deleteBucket(name: string): Promise<void> {
    this.#assertWritable();
    const open = this.#buckets.find(name);
    if (open && open.unstored.length > 0)
      throw new FileSystemError('ENOTEMPTY', `${name} has files that are not stored yet`);
    await open?.fsyncDirectory('/');
    await this.#telling(name, () => this.#list.delete(name));
    this.#buckets.forget(name);
    this.#changedAtMs = this.#options.clock.nowMs();
  }

  /** Of why a bucket cannot be made or deleted a program learns no more than an errno. */
  async #telling(bucket: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#options.onEvent({ type: 'bucketRefused', bucket, error });
      throw error;
    }
  }

  #rootAttributes(): Attributes {
    return attributesOfStat({ type: 'directory' }, { ...this.#options, mountedAtMs: this.#changedAtMs });
  }

  /** How a bucket's file system speaks of an open file by the driver's name for it. */
  #aliasIn(fileSystem: BucketFileSystem, alias: string | undefined): Alias {
    if (alias === undefined) return { option: {}, keep: () => undefined };
    const place = splitPath(alias);
    // A name in a directory of the bucket: libfuse makes such.
    if (place && place.path !== '/') return { option: { alias: place.path }, keep: () => undefined };
    return { option: { alias }, keep: () => void this.#aliases.set(alias, fileSystem) };
  }

  #assertWritable(): void {
    if (this.#options.readOnly) throw new FileSystemError('EROFS', 'the drive is mounted read-only');
  }
}

interface Alias {
  readonly option: { readonly alias?: string };
  /** Once the file is found under it. */
  keep(): void;
}

function isAbove(path: string): boolean {
  return path === '/' || splitPath(path)?.path === '/';
}

function assertInBucket(path: string): void {
  if (isAbove(path))
    throw new FileSystemError('EPERM', `${path}: only buckets are here, which mkdir makes; choose one`);
}

function noEntry(path: string): FileSystemError {
  return new FileSystemError('ENOENT', `${path} does not exist`);
}
