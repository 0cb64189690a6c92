import type { Timestamp } from '@stampede/client';
import { S_IFDIR } from '../attributes.js';
import { ERRNO, FileSystemError, findErrno } from '../errno.js';
import type { FileHandle } from '../file-handle.js';
import type { FileSystem } from '../file-system.js';
import type { OnMountEvent } from '../mount-event.js';
import { baseName } from '../path.js';
import type { OperationTable } from './fuse-native-binding.js';
import { encodeSpace, encodeStat, encodeType } from './fuse-native-format.js';

const O_ACCMODE = 3;
const O_APPEND = 0o2000;
const O_TRUNC = 0o1000;
const UNCHANGED_ID = 0xffffffff;
/** The addon keeps 32 bits, signed, and takes 0 for none. */
const HANDLE_MAX = 2 ** 31 - 1;
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
/** What libfuse calls a file that was removed while it is open. */
const HIDDEN_NAME = /^\.fuse_hidden[0-9a-f]{16}$/;
const RECENT_COUNT_MAX = 64;
const PAGE_BYTES = 4096;

type Done = (result: number, ...values: readonly unknown[]) => void;

/** The operations as fuse-native calls them: paths, handle numbers and a callback. */
export class FuseNativeOperations {
  readonly #fileSystem: FileSystem;
  readonly #onEvent: OnMountEvent;
  readonly #handles = new Map<number, FileHandle>();
  /** Paths whose last handle was released a moment ago: libfuse may not have noticed yet. */
  readonly #recentlyReleased = new Set<string>();
  #lastHandle = 0;

  constructor(fileSystem: FileSystem, onEvent: OnMountEvent) {
    this.#fileSystem = fileSystem;
    this.#onEvent = onEvent;
  }

  async releaseAll(): Promise<void> {
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    await Promise.allSettled(handles.map((handle) => handle.release()));
  }

  table(): OperationTable {
    return { ...this.#attributeOperations(), ...this.#nameOperations(), ...this.#fileOperations() };
  }

  #attributeOperations(): OperationTable {
    const fileSystem = this.#fileSystem;
    return {
      getattr: (path: string, done: Done) =>
        this.#answerWith('getattr', done, async () => encodeStat(await fileSystem.getattr(path))),
      fgetattr: (path: string, handle: number, done: Done) =>
        this.#answerWith('fgetattr', done, async () =>
          encodeStat(this.#handles.get(handle)?.attributes() ?? (await fileSystem.getattr(path)))
        ),
      chmod: (path: string, mode: number, done: Done) =>
        this.#answer('chmod', done, () => fileSystem.chmod(path, mode)),
      chown: (path: string, uid: number, gid: number, done: Done) =>
        this.#answer('chown', done, () => fileSystem.chown(path, idOf(uid), idOf(gid))),
      utimens: (path: string, times: { atime: Timestamp; mtime: Timestamp }, done: Done) =>
        this.#answer('utimens', done, () => fileSystem.utimens(path, times.atime, times.mtime)),
      getxattr: (path: string, name: string, done: Done) =>
        this.#answerWith('getxattr', done, () => fileSystem.getxattr(path, name)),
      listxattr: (path: string, done: Done) =>
        this.#answerWith('listxattr', done, () => fileSystem.listxattr(path)),
      setxattr: (path: string, name: string, value: Uint8Array, _at: number, flags: number, done: Done) =>
        this.#answer('setxattr', done, () => fileSystem.setxattr(path, name, value, xattrMode(flags))),
      removexattr: (path: string, name: string, done: Done) =>
        this.#answer('removexattr', done, () => fileSystem.removexattr(path, name)),
      statfs: (path: string, done: Done) =>
        this.#answerWith('statfs', done, async () => encodeSpace(await fileSystem.statfs(path)))
    };
  }

  #nameOperations(): OperationTable {
    const fileSystem = this.#fileSystem;
    return {
      readdir: (path: string, done: Done) => void this.#readdir(path, done),
      mkdir: (path: string, mode: number, done: Done) =>
        this.#answer('mkdir', done, () => fileSystem.mkdir(path, mode)),
      rmdir: (path: string, done: Done) => this.#answer('rmdir', done, () => fileSystem.rmdir(path)),
      unlink: (path: string, done: Done) => this.#answer('unlink', done, () => fileSystem.unlink(path)),
      rename: (from: string, to: string, done: Done) =>
        this.#answer('rename', done, () => this.#rename(from, to)),
      symlink: (target: string, path: string, done: Done) =>
        this.#answer('symlink', done, () => fileSystem.symlink(path, target)),
      readlink: (path: string, done: Done) =>
        this.#answerWith('readlink', done, () => fileSystem.readlink(path)),
      link: (path: string, to: string, done: Done) =>
        this.#answer('link', done, () => fileSystem.link(path, to)),
      mknod: (path: string, mode: number, rdev: number, done: Done) =>
        this.#answer('mknod', done, () => fileSystem.mknod(path, mode, rdev)),
      fsyncdir: (path: string, _dataOnly: number, _handle: number, done: Done) =>
        this.#answer('fsyncdir', done, () => fileSystem.fsyncDirectory(path))
    };
  }

  #fileOperations(): OperationTable {
    const fileSystem = this.#fileSystem;
    return {
      open: (path: string, flags: number, done: Done) =>
        this.#answerWith('open', done, async () =>
          this.#keep(
            await fileSystem.open(path, {
              writable: (flags & O_ACCMODE) !== 0,
              append: (flags & O_APPEND) !== 0,
              truncate: (flags & O_TRUNC) !== 0
            })
          )
        ),
      create: (path: string, mode: number, done: Done) =>
        this.#answerWith('create', done, async () =>
          this.#keep(await fileSystem.create(path, mode, { writable: true }))
        ),
      read: (_path: string, handle: number, into: Uint8Array, length: number, offset: number, done: Done) =>
        this.#answerCount('read', done, () => this.#get(handle).read(offset, into.subarray(0, length))),
      write: (_path: string, handle: number, bytes: Uint8Array, length: number, offset: number, done: Done) =>
        this.#answerCount('write', done, () => write(this.#get(handle), offset, bytes.subarray(0, length))),
      truncate: (path: string, size: number, done: Done) =>
        this.#answer('truncate', done, () => fileSystem.truncate(path, size)),
      ftruncate: (_path: string, handle: number, size: number, done: Done) =>
        this.#answer('ftruncate', done, () => this.#get(handle).truncate(size)),
      flush: (_path: string, handle: number, done: Done) =>
        this.#answer('flush', done, () => this.#get(handle).flush()),
      fsync: (_path: string, _dataOnly: number, handle: number, done: Done) =>
        this.#answer('fsync', done, () => this.#get(handle).fsync()),
      release: (path: string, handle: number, done: Done) =>
        this.#answer('release', done, () => this.#release(path, handle))
    };
  }

  async #readdir(path: string, done: Done): Promise<void> {
    try {
      const names = ['.', '..'];
      const stats = [statOfType(S_IFDIR), statOfType(S_IFDIR)];
      for await (const page of this.#fileSystem.readdir(path)) {
        for (const { name, type } of page) {
          names.push(name);
          stats.push(statOfType(type));
        }
      }
      done(0, names, stats);
    } catch (error) {
      done(this.#resultOf('readdir', error), [], []);
    }
  }

  async #rename(from: string, to: string): Promise<void> {
    if (!HIDDEN_NAME.test(baseName(to))) return this.#fileSystem.rename(from, to);
    if (!this.#recentlyReleased.has(from) && !(await this.#fileSystem.isOpen(from)))
      throw new FileSystemError('EPERM', 'this name is kept for removed files');
    await this.#fileSystem.unlink(from, { alias: to, mayBeReplaced: true });
  }

  #keep(handle: FileHandle): number {
    do {
      this.#lastHandle = this.#lastHandle === HANDLE_MAX ? 1 : this.#lastHandle + 1;
    } while (this.#handles.has(this.#lastHandle));
    this.#handles.set(this.#lastHandle, handle);
    return this.#lastHandle;
  }

  #get(handle: number): FileHandle {
    const found = this.#handles.get(handle);
    if (!found) throw new FileSystemError('EBADF', 'the file is not open');
    return found;
  }

  async #release(path: string, number: number): Promise<void> {
    const handle = this.#get(number);
    this.#handles.delete(number);
    if (this.#recentlyReleased.size >= RECENT_COUNT_MAX) this.#recentlyReleased.clear();
    this.#recentlyReleased.add(path);
    await handle.release();
  }

  #answer(operation: string, done: Done, run: () => Promise<void>): void {
    this.#answerCount(operation, done, async () => {
      await run();
      return 0;
    });
  }

  #answerWith(operation: string, done: Done, run: () => Promise<unknown>): void {
    this.#settle(operation, run, (value) => done(0, value), done);
  }

  #answerCount(operation: string, done: Done, run: () => Promise<number>): void {
    this.#settle(operation, run, (count) => done(count), done);
  }

  #settle<Value>(
    operation: string,
    run: () => Promise<Value>,
    succeed: (value: Value) => void,
    fail: Done
  ): void {
    const start = async () => run();
    start().then(succeed, (error: unknown) => fail(this.#resultOf(operation, error)));
  }

  #resultOf(operation: string, error: unknown): number {
    const errno = findErrno(error);
    if (errno !== undefined) return -errno;
    // A program gets an answer whatever happens; a request without one would block it for ever.
    this.#onEvent({ type: 'bug', operation, error });
    return -ERRNO.EIO;
  }
}

/**
 * The kernel writes pages of a mapping through any handle of the file, also one that appends, and what arrives does not
 * say so. They begin on a page and lie within the file; an append begins at its end.
 */
function write(handle: FileHandle, offset: number, bytes: Uint8Array): Promise<number> {
  const isPage = offset % PAGE_BYTES === 0 && offset + bytes.byteLength <= handle.state.size;
  return handle.isAppending && isPage ? handle.writeBack(offset, bytes) : handle.write(offset, bytes);
}

const statsByType = new Map<number, Uint32Array>();

function statOfType(type: number): Uint32Array {
  const known = statsByType.get(type) ?? encodeType(type);
  statsByType.set(type, known);
  return known;
}

function idOf(id: number): number | undefined {
  return id === UNCHANGED_ID ? undefined : id;
}

function xattrMode(flags: number): 'any' | 'create' | 'replace' {
  if (flags === XATTR_CREATE) return 'create';
  return flags === XATTR_REPLACE ? 'replace' : 'any';
}
