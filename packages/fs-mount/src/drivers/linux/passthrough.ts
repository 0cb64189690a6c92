import assert from 'node:assert';
import { constants } from 'node:fs';
import type { ObjectHead } from '@stampede/client';
import { type CacheFile, cacheIdOf } from '../../disk-cache/index.js';
import type { FileHandle } from '../../file-handle.js';
import type { FileState } from '../../file-state.js';
import type { FileSystem } from '../../file-system.js';
import type { OnMountEvent } from '../../mount-event.js';
import type { Addon, Channel } from './addon.js';
import { Backing } from './backing.js';
import { FOPEN, INIT_FLAG, NEWER_FOPEN, NEWER_INIT_FLAG } from './fuse-constants.js';
import type { KernelMemory } from './kernel-memory.js';
import type { Node, NodeTable } from './node-table.js';

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_RDWR = 2;
/** Opening a smaller file this way costs more than reading it. */
const FILE_BYTES_MIN = 128 * 1024;
/** Its readers and writers agree by locks on one inode: readers must not be left with an inode of their own. */
const SQLITE_HEADER = 'SQLite format 3\0';

/** How the kernel reads an inode while it is open: through its page cache and us, or a file by itself. Never both. */
export interface OpenMode {
  readonly node: Node;
  readonly backing: Backing | undefined;
  handleCount: number;
}

export interface PassthroughOptions {
  readonly addon: Addon;
  readonly fileSystem: FileSystem;
  readonly nodes: NodeTable;
  readonly memory: KernelMemory;
  readonly onEvent: OnMountEvent;
}

/**
 * Decides for each open whether the kernel reads the cache's file by itself. While an inode is open the kernel takes the
 * same way, and the same file, for every further open; who needs the other way gets another inode under the same name.
 */
export class Passthrough {
  readonly #options: PassthroughOptions;
  readonly #modes = new Map<Node, OpenMode>();
  /** Inodes that are being opened for the first time; others that only read wait for how that ends. */
  readonly #beginnings = new Map<Node, Promise<OpenMode | undefined>>();
  /** One inode a file: changes of the one must not show in another. */
  readonly #usedFiles = new Set<string>();
  #channel: Channel | undefined;
  #isOn = false;

  constructor(options: PassthroughOptions) {
    this.#options = options;
  }

  /** What we ask of a kernel that offers `flags2`; 0 for nothing. */
  agree(flags: number, flags2: number): number {
    const isOffered =
      (flags & INIT_FLAG.FUSE_INIT_EXT) !== 0 && (flags2 & NEWER_INIT_FLAG.FUSE_PASSTHROUGH) !== 0;
    // The kernel wants the right to administer the system for it.
    this.#isOn = isOffered && process.getuid?.() === 0 && this.#options.fileSystem.diskCache !== undefined;
    return this.#isOn ? NEWER_INIT_FLAG.FUSE_PASSTHROUGH : 0;
  }

  set channel(channel: Channel | undefined) {
    this.#channel = channel;
  }

  /** Counts the handle in; `stale` when it must be opened anew, under the name's new inode. */
  async enter(node: Node, { state }: FileHandle, flags: number): Promise<OpenMode | 'stale'> {
    for (;;) {
      if (node.successor) return 'stale';
      const mode = this.#modes.get(node);
      if (mode && mayJoin(mode, state, flags)) {
        mode.handleCount++;
        return mode;
      }
      if (mode) {
        this.#options.nodes.supersede(node);
        await this.#options.memory.forgetAttributes(node);
        return 'stale';
      }
      if (!this.#mayBegin(state, flags)) return this.#begin(node, undefined);
      const beginning = this.#beginnings.get(node);
      if (beginning) {
        await beginning;
        continue;
      }
      const begun = this.#beginPassing(node, state);
      this.#beginnings.set(node, begun);
      const first = await begun;
      if (first) return first;
    }
  }

  /** Whether the kernel reads the inode's bytes by itself. */
  isPassing(node: Node): boolean {
    return this.#modes.get(node)?.backing !== undefined;
  }

  /** Counts the handle of a new file in. */
  enterCreated(node: Node): OpenMode {
    const mode = this.#modes.get(node);
    if (!mode) return this.#begin(node, undefined);
    assert(!mode.backing, 'a creator has an inode that passes nothing through');
    mode.handleCount++;
    return mode;
  }

  leave(mode: OpenMode): void {
    mode.handleCount--;
    if (mode.handleCount > 0) return;
    this.#modes.delete(mode.node);
    void mode.backing?.close();
  }

  /** The kernel is gone, and what it had open with it. */
  async close(): Promise<void> {
    this.#channel = undefined;
    this.#isOn = false;
    const modes = [...this.#modes.values()];
    this.#modes.clear();
    await Promise.all(modes.map((mode) => mode.backing?.close()));
  }

  /** Bytes were changed through a handle of the node: where its name has another one, the kernel reads that one anew. */
  async changed(node: Node, start = 0, length = 0): Promise<void> {
    const { nodes, memory } = this.#options;
    if (node.successor) await memory.forgetBytes(nodes.latest(node), start, length);
  }

  /** Undefined where another open was quicker meanwhile: its way is the inode's. */
  async #beginPassing(node: Node, state: FileState): Promise<OpenMode | undefined> {
    try {
      const backing = await this.#openBacking(state);
      if (!node.successor && !this.#modes.has(node)) return this.#begin(node, backing);
      await backing?.close();
      return undefined;
    } finally {
      this.#beginnings.delete(node);
    }
  }

  #begin(node: Node, backing: Backing | undefined): OpenMode {
    const mode = { node, backing, handleCount: 1 };
    this.#modes.set(node, mode);
    return mode;
  }

  #mayBegin(state: FileState, flags: number): boolean {
    const isReading = (flags & O_ACCMODE) === O_RDONLY && (flags & constants.O_DIRECT) === 0;
    return this.#isOn && isReading && state.size >= FILE_BYTES_MIN && findVersion(state) !== undefined;
  }

  async #openBacking(state: FileState): Promise<Backing | undefined> {
    const head = findVersion(state);
    if (!head) return undefined;
    const fileId = cacheIdOf(head);
    if (this.#usedFiles.has(fileId)) return undefined;
    this.#usedFiles.add(fileId);
    const backing = await this.#openFile(state, head, fileId);
    if (!backing) this.#usedFiles.delete(fileId);
    return backing;
  }

  async #openFile(state: FileState, head: ObjectHead, fileId: string): Promise<Backing | undefined> {
    const { fileSystem, onEvent } = this.#options;
    const onError = (error: unknown) => onEvent({ type: 'cacheFailed', error });
    const file = await fileSystem.diskCache?.openWhole(head);
    if (!file) return undefined;
    const isLocked = await isDatabase(file).catch(() => true);
    // It may have been changed while it was looked for.
    const isSame = findVersion(state)?.etag === head.etag && state.mirror === undefined;
    const id = isSame && !isLocked ? this.#openId(file) : undefined;
    if (id === undefined) {
      await file.close().catch(onError);
      return undefined;
    }
    return new Backing({
      state,
      head,
      file,
      id,
      onChange: () => fileSystem.diskCache?.forget(head),
      onClosed: () => {
        this.#usedFiles.delete(fileId);
        if (this.#channel) this.#options.addon.backingClose(this.#channel, id);
      },
      onError
    });
  }

  /** Where the kernel refuses one file it refuses all: no right, or a file system that is stacked already. */
  #openId({ descriptor }: CacheFile): number | undefined {
    if (!this.#isOn || !this.#channel || descriptor === undefined) return undefined;
    const id = this.#options.addon.backingOpen(this.#channel, descriptor);
    if (id > 0) return id;
    this.#isOn = false;
    return undefined;
  }
}

/** Whether a handle can go the way that the inode's other handles go. */
function mayJoin({ backing }: OpenMode, state: FileState, flags: number): boolean {
  if (!backing) return true;
  // A shared mapping of one who reads and writes would change the file without a word to us.
  return (flags & O_ACCMODE) !== O_RDWR && backing.reflects(state);
}

/** What the answer to an open says of it, besides its own flags. */
export function openFlagsOf({ backing }: OpenMode, flags: number): number {
  if (!backing) return 0;
  // Who writes, or wants no cache between, asks us; only mappings are of the file.
  const isReading = (flags & O_ACCMODE) === O_RDONLY && (flags & constants.O_DIRECT) === 0;
  return NEWER_FOPEN.FOPEN_PASSTHROUGH | (isReading ? 0 : FOPEN.FOPEN_DIRECT_IO);
}

/** The stored version that the file is, byte for byte. */
function findVersion({ base, isDirty, isDetached }: FileState): ObjectHead | undefined {
  return isDirty || isDetached ? undefined : base;
}

async function isDatabase(file: CacheFile): Promise<boolean> {
  const start = Buffer.alloc(SQLITE_HEADER.length);
  await file.read(0, start);
  return start.toString('latin1') === SQLITE_HEADER;
}
