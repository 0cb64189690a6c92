import type { Timestamp } from '@stampede/client';
import type { Attributes } from './attributes.js';
import type { CacheStatus } from './cache-status.js';
import type { ChangeListener } from './change-listener.js';
import type { DiskCache } from './disk-cache/index.js';
import type { NamedEntry } from './entries.js';
import type { FileHandle } from './file-handle.js';
import type { RenameOptions, UnlinkOptions } from './namespace.js';
import type { Space } from './space.js';

export interface OpenOptions {
  readonly writable?: boolean;
  readonly append?: boolean;
  readonly truncate?: boolean;
}

/** Who does something, where the driver knows. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface CreateOptions extends OpenOptions {
  /** O_EXCL: decided by the store, so it holds across mounts. Costs a call of its own. */
  readonly exclusive?: boolean;
  readonly owner?: Owner;
}

export interface AttributeChange {
  /** Permission bits; the type stays. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: Timestamp;
  readonly mtime?: Timestamp;
}

export type XattrMode = 'any' | 'create' | 'replace';

/** A file that has what the store does not have. */
export interface Unstored {
  readonly path: string;
  readonly bytes: number;
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
 * What a mount shows, as POSIX has it. Paths are absolute in the mount. Every operation fails with a FileSystemError or
 * StoreError that `findErrno` turns into an errno. Knows no kernel interface: drivers call it.
 */
export interface FileSystem {
  readonly diskCache: DiskCache | undefined;
  /** Begins to follow changes made elsewhere. */
  start(): void;
  /** Whether what is answered from now on of a path holds until the listener is told of a change. */
  isWatched(path: string): boolean;
  /** Tells the one listener there is from now on. */
  follow(listener: ChangeListener): void;
  /** Whether open files have locks that hold for all mounts; otherwise the kernel keeps them by itself. */
  readonly hasServerLocks: boolean;
  /** Whether the name is to be looked up each time, since who has locks of a file beside it may change it. */
  isGuarded(path: string): boolean;
  /** Gives back all locks, and ends who waits for one. */
  endLocks(): Promise<void>;

  getattr(path: string): Promise<Attributes>;
  /** Undefined where nothing is, which is an answer as any other to who only looks. */
  findAttributes(path: string): Promise<Attributes | undefined>;
  /** The names in a directory without `.` and `..`, in pages; afterwards their attributes are known. */
  readdir(path: string): AsyncGenerator<NamedEntry[]>;

  open(path: string, options?: OpenOptions): Promise<FileHandle>;
  /** Opens a new file, or the existing one unless `exclusive`. A new one is stored with its first commit. */
  create(path: string, mode: number, options?: CreateOptions): Promise<FileHandle>;
  /** Opens a new file of a directory that never has a name; nothing of it reaches the store. */
  createNameless(directory: string, mode: number, options?: CreateOptions): Promise<FileHandle>;
  /** Gives an open file a further name, for a driver to speak of it; `unlink` takes it back. */
  keepAlias(path: string, handle: FileHandle): void;
  isOpen(path: string): Promise<boolean>;
  truncate(path: string, size: number): Promise<void>;

  unlink(path: string, options?: UnlinkOptions): Promise<void>;
  rmdir(path: string): Promise<void>;
  mkdir(path: string, mode: number, owner?: Owner): Promise<void>;
  mknod(path: string, mode: number, rdev: number, owner?: Owner): Promise<void>;
  rename(from: string, to: string, options?: RenameOptions): Promise<void>;
  symlink(path: string, target: string, owner?: Owner): Promise<void>;
  readlink(path: string): Promise<string>;
  link(path: string, to: string): Promise<void>;

  /** Changes the given ones as one; durable on return, unless the file is open with changes: then with them. */
  setattr(path: string, changes: AttributeChange): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void>;
  /** Stored together with the attribute changes that follow within a moment. */
  utimens(path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined): Promise<void>;
  /** Undefined for an attribute the file does not have. */
  findxattr(path: string, name: string): Promise<Uint8Array | undefined>;
  getxattr(path: string, name: string): Promise<Uint8Array>;
  listxattr(path: string): Promise<readonly string[]>;
  setxattr(path: string, name: string, value: Uint8Array, mode?: XattrMode): Promise<void>;
  removexattr(path: string, name: string): Promise<void>;
  /** `mode` as for access(2); permission bits are the driver's affair, which knows who asks. */
  access(path: string, mode: number): Promise<void>;
  /** Of the bucket that the path is in. */
  statfs(path: string): Promise<Space>;

  /** The names in a directory and what was said about them are durable on return. */
  fsyncDirectory(path: string): Promise<void>;
  /** Stores everything; returns the paths of what could not be stored. */
  flush(): Promise<readonly { readonly path: string; readonly error: unknown }[]>;
  /** What is not in the store. */
  readonly unstored: readonly Unstored[];
  readonly status: FileSystemStatus;
  /** Ends the timers and the watch. What was not flushed is lost. */
  close(): void;
}
