import type { Timestamp } from '@stampede/client';
import { type Attributes, S_IFLNK, S_IFMT, S_IFREG } from './attributes.js';
import { type BucketParts, makeBucketParts } from './bucket-parts.js';
import type { ChangeListener } from './change-listener.js';
import type { DiskCache } from './disk-cache/index.js';
import { DriveMemory } from './drive-memory.js';
import { type Entries, type Found, type NamedEntry, posixAttributesOf } from './entries.js';
import { FileSystemError } from './errno.js';
import { FileHandle } from './file-handle.js';
import type { FileState } from './file-state.js';
import type {
  AttributeChange,
  CreateOptions,
  FileSystem,
  FileSystemStatus,
  OpenOptions,
  Owner,
  Unstored,
  XattrMode
} from './file-system.js';
import type { FileSystemOptions } from './file-system-options.js';
import type { RenameOptions, UnlinkOptions } from './namespace.js';
import type { OpenFiles } from './open-files.js';
import { assertUsableName } from './path.js';
import type { Space } from './space.js';
import { findXattr, getXattr, xattrChange } from './xattrs.js';

/** A bucket, or a prefix of one, as a file system. */
export class BucketFileSystem implements FileSystem {
  readonly #options: FileSystemOptions;
  readonly #memory: DriveMemory;
  readonly #parts: BucketParts;
  /** Those that nearly every operation asks. */
  readonly #entries: Entries;
  readonly #files: OpenFiles;
  readonly #relieving: Disposable;

  /** `drive`: the memory that it shares with the file systems of other buckets. */
  constructor(options: FileSystemOptions, drive?: DriveMemory) {
    this.#options = options;
    this.#memory = drive ?? new DriveMemory(options);
    const scope = drive ? `${options.bucket}\0` : '';
    this.#parts = makeBucketParts(options, { memory: this.#memory, scope });
    this.#entries = this.#parts.entries;
    this.#files = this.#parts.files;
    this.#relieving = this.#memory.onPressure(() => this.#files.relieve());
  }

  get diskCache(): DiskCache | undefined {
    return this.#options.diskCache;
  }

  start(): void {
    this.#parts.foreign.start();
  }

  isWatched(): boolean {
    return this.#parts.foreign.isLive;
  }

  follow(listener: ChangeListener): void {
    this.#parts.foreign.follow(listener);
  }

  get hasServerLocks(): boolean {
    return this.#parts.locks !== undefined;
  }

  isGuarded(path: string): boolean {
    return this.#parts.guarded.has(this.#options.prefix + path.slice(1));
  }

  async endLocks(): Promise<void> {
    await this.#parts.locks?.close();
  }

  async getattr(path: string): Promise<Attributes> {
    return this.#attributesOf(await this.#get(path), path);
  }

  async findAttributes(path: string): Promise<Attributes | undefined> {
    const found = await this.#entries.find(path);
    return found.type === 'none' ? undefined : this.#attributesOf(found, path);
  }

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

  keepAlias(path: string, { state }: FileHandle): void {
    this.#entries.keepAlias(path, state);
  }

  async isOpen(path: string): Promise<boolean> {
    const { key } = await this.#entries.resolve(path);
    return (this.#files.find(key)?.handleCount ?? 0) > 0;
  }

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
      await this.#parts.namespace.mknod(path, attributes);
      return this.#openState(this.#stateOf(await this.#get(path), path), options);
    }
    await this.#parts.removals.flush(key);
    const state = this.#files.find(key) ?? this.#files.create(key, attributes);
    this.#parts.times.nameChanged(key);
    return this.#openState(state, options);
  }

  async createNameless(_directory: string, mode: number, options: CreateOptions = {}): Promise<FileHandle> {
    this.#assertWritable();
    const { files, newReadAhead } = this.#parts;
    const state = files.createNameless({ mode: S_IFREG | (mode & 0o7777), ...options.owner });
    const handle = await this.#openState(state, options);
    await state.detach(newReadAhead());
    return handle;
  }

  async truncate(path: string, size: number): Promise<void> {
    this.#assertWritable();
    const state = this.#stateOf(await this.#get(path), path);
    await state.truncate(size);
    if (state.handleCount === 0) await this.#files.commit(state);
  }

  async unlink(path: string, options: UnlinkOptions = {}): Promise<void> {
    this.#assertWritable();
    await this.#parts.namespace.unlink(path, options);
  }

  async rmdir(path: string): Promise<void> {
    this.#assertWritable();
    await this.#parts.namespace.rmdir(path);
  }

  async mkdir(path: string, mode: number, owner?: Owner): Promise<void> {
    this.#assertWritable();
    await this.#parts.namespace.mkdir(path, { mode, ...owner });
  }

  async mknod(path: string, mode: number, rdev: number, owner?: Owner): Promise<void> {
    this.#assertWritable();
    const type = mode & S_IFMT || S_IFREG;
    await this.#parts.namespace.mknod(path, { mode: type | (mode & 0o7777), rdev, ...owner });
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    this.#assertWritable();
    await this.#parts.namespace.rename(from, to, options);
  }

  async symlink(path: string, target: string, owner?: Owner): Promise<void> {
    this.#assertWritable();
    await this.#parts.namespace.symlink(path, target, { ...owner });
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

  async setattr(path: string, changes: AttributeChange): Promise<void> {
    this.#assertWritable();
    const found = await this.#get(path);
    const { mode, ...others } = changes;
    const isTimesOnly = mode === undefined && changes.uid === undefined && changes.gid === undefined;
    if (isTimesOnly) return this.#parts.changes.applySoon(found, others);
    const type = this.#entries.attributes(found).mode & S_IFMT;
    const withMode = mode === undefined ? others : { ...others, mode: type | (mode & 0o7777) };
    await this.#parts.changes.apply(found, path, withMode);
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.setattr(path, { mode });
  }

  async chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    this.#assertWritable();
    const owner = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) };
    await this.#parts.changes.apply(await this.#get(path), path, owner);
  }

  async utimens(path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined): Promise<void> {
    await this.setattr(path, { ...(atime && { atime }), ...(mtime && { mtime }) });
  }

  async findxattr(path: string, name: string): Promise<Uint8Array | undefined> {
    return findXattr(posixAttributesOf(await this.#get(path)), name);
  }

  async getxattr(path: string, name: string): Promise<Uint8Array> {
    return getXattr(posixAttributesOf(await this.#get(path)), name);
  }

  async listxattr(path: string): Promise<readonly string[]> {
    return Object.keys(posixAttributesOf(await this.#get(path)).xattrs ?? {});
  }

  async setxattr(path: string, name: string, value: Uint8Array, mode: XattrMode = 'any'): Promise<void> {
    const found = await this.#get(path);
    const changes = xattrChange(posixAttributesOf(found), { name, value, mode });
    this.#assertWritable();
    await this.#parts.changes.apply(found, path, changes);
  }

  async removexattr(path: string, name: string): Promise<void> {
    const found = await this.#get(path);
    getXattr(posixAttributesOf(found), name);
    this.#assertWritable();
    await this.#parts.changes.apply(found, path, {}, name);
  }

  statfs(_path?: string): Promise<Space> {
    return this.#parts.space.read();
  }

  async access(path: string, mode: number): Promise<void> {
    await this.#get(path);
    if ((mode & 2) !== 0) this.#assertWritable();
  }

  async fsyncDirectory(path: string): Promise<void> {
    const { key } = await this.#entries.resolve(path);
    const prefix = key === '' ? '' : `${key}/`;
    await this.#parts.removals.flushUnder(prefix);
    const settled = await this.#files.commitAll(prefix);
    if (settled.length > 0) throw settled[0]!.error;
  }

  async flush(): Promise<readonly { readonly path: string; readonly error: unknown }[]> {
    await this.#parts.removals.flushUnder('');
    const failures = await this.#files.commitAll();
    return failures.map(({ state, error }) => ({ path: this.#pathOf(state), error }));
  }

  close(): void {
    void this.endLocks();
    this.#parts.foreign.close();
    this.#files.close();
    // Nobody says from now on when it changes; what shares the memory may come back to it.
    this.#parts.attributeCache.clear();
    this.#relieving[Symbol.dispose]();
  }

  get unstored(): readonly Unstored[] {
    const dirty = this.#files.under('').filter((state) => state.isDirty);
    return dirty.map((state) => ({ path: this.#pathOf(state), bytes: state.dirtyBytes }));
  }

  /** Nothing is open, not stored or not removed yet: it can be closed and made anew at any time. */
  get isIdle(): boolean {
    return this.#files.isEmpty && this.#parts.removals.isEmpty && !this.#entries.hasAliases;
  }

  /** Of a whole bucket itself. */
  get rootAttributes(): Attributes {
    return this.#attributesOf({ type: 'directory', target: { key: '', form: 'any' } }, '/');
  }

  get status(): FileSystemStatus {
    return {
      ...this.#memory.status,
      openFileCount: this.#files.under('').filter((state) => state.handleCount > 0).length,
      dirtyBytes: this.#files.under('').reduce((sum, state) => sum + state.dirtyBytes, 0),
      watchIsLive: this.#parts.foreign.isLive
    };
  }

  async #get(path: string): Promise<Existing> {
    return existing(await this.#entries.find(path), path);
  }

  #stateOf(found: Existing, path: string): FileState {
    if (found.type === 'directory') throw new FileSystemError('EISDIR', `${path} is a directory`);
    if (found.type === 'object') return this.#files.acquire(found.head);
    const state = this.#files.findCurrent(found.state);
    if (!state) throw new FileSystemError('ENOENT', `${path} was removed`);
    return state;
  }

  async #openState(state: FileState, options: OpenOptions, isNews = false): Promise<FileHandle> {
    const handle = new FileHandle({
      state,
      files: this.#files,
      readAhead: this.#parts.newReadAhead(),
      append: options.append ?? false,
      writable: options.writable ?? false,
      isNews,
      locks: this.#parts.locks
    });
    // To cut an empty file to nothing changes it as well: its time tells make(1) that something was done. Where there is
    // none to cut, what somebody else has made there by then is replaced.
    if (options.truncate && (state.size > 0 || !state.base)) await state.truncate(0);
    else if (options.truncate) state.modified();
    return handle;
  }

  #attributesOf(found: Existing, path: string): Attributes {
    const attributes = this.#entries.attributes(found);
    if (path !== '/') return attributes;
    const { changes, times } = this.#parts;
    return times.latest(found.target.key, { ...attributes, ...changes.rootAttributes });
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
