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

/**
 * Who reads the bytes of an open file: the kernel by itself (`kernel`), or it asks here, because nothing is passed through
 * (`off`: no right, no disk cache, or a kernel that cannot), the file is opened for writing or without a cache
 * (`writing`), it is small, has changes that are not stored (`unstored`), is not whole in the disk cache (`uncached`), is
 * read by another inode (`shared`), or is a database.
 */
export type OpenOutcome =
  | 'kernel'
  | 'off'
  | 'writing'
  | 'small'
  | 'unstored'
  | 'uncached'
  | 'shared'
  | 'database';

/** How the kernel reads an inode while it is open: through its page cache and us, or a file by itself. Never both. */
export interface OpenMode {
  readonly node: Node;
  readonly backing: Backing | undefined;
  readonly outcome: OpenOutcome;
  handleCount: number;
}

export interface PassthroughOptions {
  readonly addon: Addon;
  readonly fileSystem: FileSystem;
  readonly nodes: NodeTable;
  readonly memory: KernelMemory;
  readonly onEvent: OnMountEvent;
  /** A file was opened. */
  readonly onOpen: (outcome: OpenOutcome) => void;
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
        return this.#opened(mode, flags);
      }
      if (mode) {
        this.#options.nodes.supersede(node);
        await this.#options.memory.forgetAttributes(node);
        return 'stale';
      }
      const obstacle = this.#findObstacle(state, flags);
      if (obstacle) return this.#opened(this.#begin(node, obstacle), flags);
      const beginning = this.#beginnings.get(node);
      if (beginning) {
        await beginning;
        continue;
      }
      const begun = this.#beginPassing(node, state);
      this.#beginnings.set(node, begun);
      const first = await begun;
      if (first) return this.#opened(first, flags);
    }
  }

  /** Whether the kernel reads the inode's bytes by itself. */
  isPassing(node: Node): boolean {
    return this.#modes.get(node)?.backing !== undefined;
  }

  /** Counts the handle of a new file in. */
  enterCreated(node: Node): OpenMode {
    const mode = this.#modes.get(node);
    if (!mode) return this.#begin(node, 'writing');
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
      if (typeof backing === 'object') await backing.close();
      return undefined;
    } finally {
      this.#beginnings.delete(node);
    }
  }

  #begin(node: Node, found: Backing | OpenOutcome): OpenMode {
    const way =
      typeof found === 'object'
        ? { backing: found, outcome: 'kernel' as const }
        : { backing: undefined, outcome: found };
    const mode = { node, ...way, handleCount: 1 };
    this.#modes.set(node, mode);
    return mode;
  }

  #opened(mode: OpenMode, flags: number): OpenMode {
    this.#options.onOpen(mode.backing && !isReading(flags) ? 'writing' : mode.outcome);
    return mode;
  }

  /** Why the kernel cannot read the file by itself, as far as that is known at once. */
  #findObstacle(state: FileState, flags: number): OpenOutcome | undefined {
    if (!this.#isOn) return 'off';
    if (!isReading(flags)) return 'writing';
    if (state.size < FILE_BYTES_MIN) return 'small';
    return findVersion(state) ? undefined : 'unstored';
  }

  async #openBacking(state: FileState): Promise<Backing | OpenOutcome> {
    const head = findVersion(state);
    if (!head) return 'unstored';
    const fileId = cacheIdOf(head);
    if (this.#usedFiles.has(fileId)) return 'shared';
    this.#usedFiles.add(fileId);
    const backing = await this.#openFile(state, head, fileId);
    if (typeof backing !== 'object') this.#usedFiles.delete(fileId);
    return backing;
  }

  async #openFile(state: FileState, head: ObjectHead, fileId: string): Promise<Backing | OpenOutcome> {
    const { fileSystem, onEvent } = this.#options;
    const onError = (error: unknown) => onEvent({ type: 'cacheFailed', error });
    const file = await fileSystem.diskCache?.openWhole(head);
    if (!file) return 'uncached';
    const isLocked = await isDatabase(file).catch(() => true);
    // It may have been changed while it was looked for.
    const isSame = findVersion(state)?.etag === head.etag && state.mirror === undefined;
    const id = isSame && !isLocked ? this.#openId(file) : undefined;
    if (id === undefined) {
      await file.close().catch(onError);
      if (!isSame) return 'unstored';
      return isLocked ? 'database' : 'off';
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
  return NEWER_FOPEN.FOPEN_PASSTHROUGH | (isReading(flags) ? 0 : FOPEN.FOPEN_DIRECT_IO);
}

function isReading(flags: number): boolean {
  return (flags & O_ACCMODE) === O_RDONLY && (flags & constants.O_DIRECT) === 0;
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
