import type { Timestamp, WatchEvent } from '@stampede/client';
import { AttributeCache } from './attribute-cache.js';
import { AttributeChanges } from './attribute-changes.js';
import { type Attributes, S_IFLNK, S_IFMT, S_IFREG } from './attributes.js';
import { BlockCache } from './block-cache.js';
import type { CacheStatus } from './cache-status.js';
import type { ChangeListener } from './change-listener.js';
import { DirectoryTimes } from './directory-times.js';
import type { DiskCache } from './disk-cache/index.js';
import { Entries, type Found, type NamedEntry, posixAttributesOf } from './entries.js';
import { FileSystemError } from './errno.js';
import { FileHandle } from './file-handle.js';
import type { FileState } from './file-state.js';
import type { FileSystemOptions } from './file-system-options.js';
import { ForeignChanges } from './foreign-changes.js';
import { Namespace, type RenameOptions, type UnlinkOptions } from './namespace.js';
import { OpenFiles } from './open-files.js';
import { assertUsableName } from './path.js';
import { ReadAhead } from './read-ahead.js';
import { Removals } from './removals.js';
import { type Space, SpaceReader } from './space.js';
import { WriteMemory } from './write-memory.js';
import { findXattr, getXattr, xattrChange } from './xattrs.js';

const REMOVAL_DELAY_MS = 30;

export interface OpenOptions {
  readonly writable?: boolean;
  readonly append?: boolean;
  readonly truncate?: boolean;
}
export interface CreateOptions extends OpenOptions {
  /** O_EXCL: decided by the store, so it holds across mounts. Costs a call of its own. */
  readonly exclusive?: boolean;
  /** Who creates, where the driver knows. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

export interface AttributeChange {
  /** Permission bits; the type stays. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: Timestamp;
  readonly mtime?: Timestamp;
}

export interface FileSystemStatus {
  readonly openFileCount: number;
  /** Written and not yet stored. */
  readonly dirtyBytes: number;
  /** Memory of buffers for writing and of cached blocks. */
  readonly writeMemoryBytes: number;
  readonly writeMemoryLimitBytes: number;
  readonly readMemoryBytes: number;
  readonly caches: readonly CacheStatus[];
  /** Changes made elsewhere are reported at once; otherwise they show after the attribute TTL. */
  readonly watchIsLive: boolean;
}

/**
 * A bucket, or a prefix of one, as a POSIX file system. Paths are absolute in the mount. Every operation fails with a
 * FileSystemError or StoreError that `findErrno` turns into an errno. Knows no kernel interface: drivers call it.
 */
export class FileSystem {
  readonly #options: FileSystemOptions;
  readonly #entries: Entries;
  readonly #namespace: Namespace;
  readonly #files: OpenFiles;
  readonly #removals: Removals;
  readonly #blocks: BlockCache;
  readonly #attributeCache: AttributeCache;
  readonly #memory: WriteMemory;
  readonly #space: SpaceReader;
  readonly #foreign: ForeignChanges;
  readonly #changes: AttributeChanges;
  readonly #times: DirectoryTimes;

  constructor(options: FileSystemOptions) {
    this.#options = options;
    const { bucket, prefix, clock, onEvent } = options;
    const { uid, gid, umask } = options;
    const defaults = { uid, gid, umask, mountedAtMs: clock.nowMs() };
    this.#times = new DirectoryTimes(clock);
    const times = this.#times;
    const cache = new AttributeCache({
      entryCountMax: options.attributeCountMax,
      ttlMs: options.attributeTtlMs,
      clock
    });
    this.#attributeCache = cache;
    const apply = (event: WatchEvent) => this.#entries.apply(event);
    this.#foreign = new ForeignChanges({ ...options, cache, entries: { apply } });
    const { store } = this.#foreign;
    this.#blocks = new BlockCache({
      store,
      bucket,
      limitBytes: options.readMemoryBytes,
      disk: options.diskCache
    });
    this.#memory = new WriteMemory({
      limitBytes: options.writeMemoryBytes,
      deadlineMs: options.deadlineMs,
      clock,
      onPressure: () => this.#files.relieve()
    });
    this.#files = new OpenFiles({
      services: {
        store,
        bucket,
        memory: this.#memory,
        clock,
        defaults,
        openScratch: options.openScratch,
        onCommitted: (state, head) => this.#entries.changed(state.key, { type: 'object', head }),
        onForeignBytes: (state) => this.#foreign.bytesChanged(state.key)
      },
      clock,
      commitIntervalMs: options.commitIntervalMs,
      onEvent
    });
    this.#removals = new Removals({
      store,
      bucket,
      clock,
      delayMs: REMOVAL_DELAY_MS,
      onEvent,
      onDone: (key) => cache.forget(key)
    });
    this.#entries = new Entries({
      store,
      bucket,
      prefix,
      cache,
      files: this.#files,
      removals: this.#removals,
      defaults,
      times
    });
    this.#changes = new AttributeChanges({
      store,
      bucket,
      clock,
      entries: this.#entries,
      files: this.#files,
      times
    });
    this.#namespace = new Namespace({
      store,
      bucket,
      entries: this.#entries,
      files: this.#files,
      removals: this.#removals,
      clock,
      times,
      newReadAhead: () => this.#newReadAhead()
    });
    this.#space = new SpaceReader(store, bucket, clock);
  }

  get diskCache(): DiskCache | undefined {
    return this.#options.diskCache;
  }

  /** Begins to follow changes made elsewhere. */
  start(): void {
    this.#foreign.start();
  }

  /** Whether what is answered from now on holds until `listener` is told of a change, the one there is. */
  get isWatched(): boolean {
    return this.#foreign.isLive;
  }

  follow(listener: ChangeListener): void {
    this.#foreign.follow(listener);
  }

  async getattr(path: string): Promise<Attributes> {
    return this.#attributesOf(await this.#get(path), path);
  }

  /** Undefined where nothing is, which is an answer as any other to who only looks. */
  async findAttributes(path: string): Promise<Attributes | undefined> {
    const found = await this.#entries.find(path);
    return found.type === 'none' ? undefined : this.#attributesOf(found, path);
  }

  /** The names in a directory without `.` and `..`, in pages; afterwards their attributes are known. */
  async *readdir(path: string): AsyncGenerator<NamedEntry[]> {
    const found = await this.#get(path);
    if (found.type !== 'directory') throw new FileSystemError('ENOTDIR', `${path} is a file`);
    yield* this.#entries.list(found.target);
  }

  async open(path: string, options: OpenOptions = {}): Promise<FileHandle> {
    if (options.writable || options.truncate) this.#assertWritable();
    const { found, isNews } = await this.#entries.findToOpen(path, !this.#options.checksOnOpen);
    return this.#openState(this.#stateOf(existing(found, path), path), options, isNews);
  }

  /** Gives an open file a further name, for a driver to speak of it; `unlink` takes it back. */
  keepAlias(path: string, { state }: FileHandle): void {
    this.#entries.keepAlias(path, state);
  }

  async isOpen(path: string): Promise<boolean> {
    const { key } = await this.#entries.resolve(path);
    return (this.#files.find(key)?.handleCount ?? 0) > 0;
  }

  /** Opens a new file, or the existing one unless `exclusive`. A new one is stored with its first commit. */
  async create(path: string, mode: number, options: CreateOptions = {}): Promise<FileHandle> {
    this.#assertWritable();
    let found = await this.#entries.find(path);
    // Of what is not there the store is asked when it is made.
    if (found.type !== 'none')
      ({ found } = await this.#entries.findToOpen(path, !this.#options.checksOnOpen));
    if (found.type !== 'none') {
      if (options.exclusive) throw new FileSystemError('EEXIST', `${path} exists already`);
      return this.#openState(this.#stateOf(found, path), options);
    }
    const { key } = found.target;
    assertUsableName(path, key);
    const fileMode = S_IFREG | (mode & 0o7777);
    const attributes = options.owner ? { mode: fileMode, ...options.owner } : { mode: fileMode };
    if (options.exclusive) {
      await this.#namespace.mknod(path, attributes);
      return this.#openState(this.#stateOf(await this.#get(path), path), options);
    }
    await this.#removals.flush(key);
    const state = this.#files.find(key) ?? this.#files.create(key, attributes);
    this.#times.nameChanged(key);
    return this.#openState(state, options);
  }

  async truncate(path: string, size: number): Promise<void> {
    this.#assertWritable();
    const state = this.#stateOf(await this.#get(path), path);
    await state.truncate(size);
    if (state.handleCount === 0) await this.#files.commit(state);
  }

  async unlink(path: string, options: UnlinkOptions = {}): Promise<void> {
    this.#assertWritable();
    await this.#namespace.unlink(path, options);
  }

  async rmdir(path: string): Promise<void> {
    this.#assertWritable();
    await this.#namespace.rmdir(path);
  }

  async mkdir(path: string, mode: number, owner?: CreateOptions['owner']): Promise<void> {
    this.#assertWritable();
    await this.#namespace.mkdir(path, { mode, ...owner });
  }

  async mknod(path: string, mode: number, rdev: number, owner?: CreateOptions['owner']): Promise<void> {
    this.#assertWritable();
    const type = mode & S_IFMT || S_IFREG;
    await this.#namespace.mknod(path, { mode: type | (mode & 0o7777), rdev, ...owner });
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    this.#assertWritable();
    await this.#namespace.rename(from, to, options);
  }

  async symlink(path: string, target: string, owner?: CreateOptions['owner']): Promise<void> {
    this.#assertWritable();
    await this.#namespace.symlink(path, target, { ...owner });
  }

  async readlink(path: string): Promise<string> {
    const { mode, symlinkTarget } = posixAttributesOf(await this.#get(path));
    if (((mode ?? 0) & S_IFMT) !== S_IFLNK || symlinkTarget === undefined)
      throw new FileSystemError('EINVAL', `${path} is no symbolic link`);
    return symlinkTarget;
  }

  async link(_path: string, to: string): Promise<void> {
    throw new FileSystemError('EPERM', `${to}: a bucket has no hard links; copy the file`);
  }

  /** Changes the given ones as one; durable on return, unless the file is open with changes: then with them. */
  async setattr(path: string, changes: AttributeChange): Promise<void> {
    this.#assertWritable();
    const found = await this.#get(path);
    const { mode, ...others } = changes;
    const isTimesOnly = mode === undefined && changes.uid === undefined && changes.gid === undefined;
    if (isTimesOnly) return this.#changes.applySoon(found, others);
    const type = this.#entries.attributes(found).mode & S_IFMT;
    const withMode = mode === undefined ? others : { ...others, mode: type | (mode & 0o7777) };
    await this.#changes.apply(found, path, withMode);
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.setattr(path, { mode });
  }

  async chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    this.#assertWritable();
    const owner = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
    await this.#changes.apply(await this.#get(path), path, owner);
  }

  /** Stored together with the attribute changes that follow within a moment. */
  async utimens(path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined): Promise<void> {
    await this.setattr(path, { ...(atime && { atime }), ...(mtime && { mtime }) });
  }

  /** Undefined for an attribute the file does not have. */
  async findxattr(path: string, name: string): Promise<Uint8Array | undefined> {
    return findXattr(posixAttributesOf(await this.#get(path)), name);
  }

  async getxattr(path: string, name: string): Promise<Uint8Array> {
    return getXattr(posixAttributesOf(await this.#get(path)), name);
  }

  async listxattr(path: string): Promise<readonly string[]> {
    return Object.keys(posixAttributesOf(await this.#get(path)).xattrs ?? {});
  }

  async setxattr(path: string, name: string, value: Uint8Array, mode: 'any' | 'create' | 'replace' = 'any') {
    const found = await this.#get(path);
    const changes = xattrChange(posixAttributesOf(found), { name, value, mode });
    this.#assertWritable();
    await this.#changes.apply(found, path, changes);
  }

  async removexattr(path: string, name: string): Promise<void> {
    const found = await this.#get(path);
    getXattr(posixAttributesOf(found), name);
    this.#assertWritable();
    await this.#changes.apply(found, path, {}, name);
  }

  statfs(): Promise<Space> {
    return this.#space.read();
  }

  /** `mode` as for access(2); permission bits are the driver's affair, which knows who asks. */
  async access(path: string, mode: number): Promise<void> {
    await this.#get(path);
    if ((mode & 2) !== 0) this.#assertWritable();
  }

  /** The names in a directory and what was said about them are durable on return. */
  async fsyncDirectory(path: string): Promise<void> {
    const { key } = await this.#entries.resolve(path);
    const prefix = key === '' ? '' : `${key}/`;
    await this.#removals.flushUnder(prefix);
    const settled = await this.#files.commitAll(prefix);
    if (settled.length > 0) throw settled[0]!.error;
  }

  /** Stores everything; returns the paths of what could not be stored. */
  async flush(): Promise<readonly { readonly path: string; readonly error: unknown }[]> {
    await this.#removals.flushUnder('');
    const failures = await this.#files.commitAll();
    return failures.map(({ state, error }) => ({ path: this.#pathOf(state), error }));
  }

  /** Ends the timers and the watch. What was not flushed is lost. */
  close(): void {
    this.#foreign.close();
    this.#files.close();
  }

  /** What is not in the store: path and bytes. */
  get unstored(): readonly { readonly path: string; readonly bytes: number }[] {
    const dirty = this.#files.under('').filter((state) => state.isDirty);
    return dirty.map((state) => ({ path: this.#pathOf(state), bytes: state.dirtyBytes }));
  }

  get status(): FileSystemStatus {
    return {
      openFileCount: this.#files.under('').filter((state) => state.handleCount > 0).length,
      dirtyBytes: this.#files.under('').reduce((sum, state) => sum + state.dirtyBytes, 0),
      writeMemoryBytes: this.#memory.usedBytes,
      writeMemoryLimitBytes: this.#memory.limitBytes,
      readMemoryBytes: this.#blocks.bytes,
      caches: [this.#attributeCache.status, ...this.#blocks.statuses],
      watchIsLive: this.#foreign.isLive
    };
  }

  async #get(path: string): Promise<Existing> {
    return existing(await this.#entries.find(path), path);
  }

  #stateOf(found: Existing, path: string): FileState {
    if (found.type === 'directory') throw new FileSystemError('EISDIR', `${path} is a directory`);
    return found.type === 'state' ? found.state : this.#files.acquire(found.head);
  }

  async #openState(state: FileState, options: OpenOptions, isNews = false): Promise<FileHandle> {
    const handle = new FileHandle({
      state,
      files: this.#files,
      readAhead: this.#newReadAhead(),
      append: options.append ?? false,
      writable: options.writable ?? false,
      isNews
    });
    // To cut an empty file to nothing changes it as well: its time tells make(1) that something was done. Where there is
    // none to cut, what somebody else has made there by then is replaced.
    if (options.truncate && (state.size > 0 || !state.base)) await state.truncate(0);
    else if (options.truncate) state.modified();
    return handle;
  }

  #attributesOf(found: Existing, path: string): Attributes {
    const attributes = this.#entries.attributes(found);
    return path === '/' ? { ...attributes, ...this.#changes.rootAttributes } : attributes;
  }

  #newReadAhead(): ReadAhead {
    return new ReadAhead(this.#blocks, Math.min(32 * 1024 * 1024, this.#options.readMemoryBytes / 4));
  }

  #pathOf(state: FileState): string {
    return `/${state.key.slice(this.#options.prefix.length)}`;
  }

  #assertWritable(): void {
    if (this.#options.readOnly) throw new FileSystemError('EROFS', 'the drive is mounted read-only');
  }
}

type Existing = Exclude<Found, { readonly type: 'none' }>;

function existing(found: Found, path: string): Existing {
  if (found.type === 'none') throw new FileSystemError('ENOENT', `${path} does not exist`);
  return found;
}
