import { constants } from 'node:fs';
import { FileSystemError } from '../../errno.js';
import type { FileHandle } from '../../file-handle.js';
import type { FileState } from '../../file-state.js';
import type { OpenOptions } from '../../file-system.js';
import type { AttributeOperations } from './attribute-operations.js';
import { FOPEN, NEWER_OPCODE, OPCODE, REQUEST_FLAG } from './fuse-constants.js';
import { NO_TIME, REPLY } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import { ownerOf } from './lock-operations.js';
import type { NameOperations } from './name-operations.js';
import { aliasFor, type CachedPages, type Node } from './node-table.js';
import { openFlagsOf } from './passthrough.js';
import type { ReadBuffers } from './read-buffers.js';
import { BODY } from './replies.js';
import type { Handlers, SessionContext } from './session-context.js';
import { mayStandIn } from './stand-in.js';

const O_ACCMODE = 3;
const O_RDWR = 2;
const O_WRONLY = 1;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_DIRECT = constants.O_DIRECT;

/** Opening files and what is done with a handle. */
export class FileOperations {
  readonly #context: SessionContext;
  readonly #buffers: ReadBuffers;
  readonly #names: NameOperations;
  readonly #attributes: AttributeOperations;

  constructor(
    context: SessionContext,
    others: {
      readonly buffers: ReadBuffers;
      readonly names: NameOperations;
      readonly attributes: AttributeOperations;
    }
  ) {
    this.#context = context;
    this.#buffers = others.buffers;
    this.#names = others.names;
    this.#attributes = others.attributes;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_OPEN]: (request) => this.#open(request),
      [OPCODE.FUSE_CREATE]: (request) => this.#create(request),
      [NEWER_OPCODE.FUSE_TMPFILE]: (request) => this.#createNameless(request),
      [OPCODE.FUSE_READ]: (request) => this.#read(request),
      [OPCODE.FUSE_WRITE]: (request) => this.#write(request),
      [OPCODE.FUSE_FLUSH]: (request) => this.#flush(request),
      [OPCODE.FUSE_FSYNC]: (request) => this.#fsync(request),
      [OPCODE.FUSE_RELEASE]: (request) => this.#release(request)
    };
  }

  async #open(request: Request): Promise<void> {
    const { nodes, handles, paths, replies, passthrough, memory, fileSystem } = this.#context;
    const flags = request.u32(REQUEST.fuse_open_in.flags);
    const killsSetId =
      (request.u32(REQUEST.fuse_open_in.open_flags) & REQUEST_FLAG.FUSE_OPEN_KILL_SUIDGID) !== 0;
    const { uid, gid } = request;
    const node = nodes.get(request.nodeId);
    const options = openOptions(flags);
    const pathOf = () => {
      // Who only reads gets what has the name now. The kernel would look for it again by itself, but once only.
      if (!options.writable && !options.truncate) return nodes.pathToOpen(node);
      if (node.isLent) throw new FileSystemError('ESTALE', 'the name is another file by now');
      return nodes.pathOf(node);
    };
    const open = async (path: string) => {
      const opened = await this.#openExisting(path, options);
      const isOther = node.isLent || nodes.isGivenAway(node);
      if (isOther && !mayStandIn(opened.attributes(), { uid, gid }, flags)) {
        await opened.release();
        throw new FileSystemError('ESTALE', `${path} is not what was there before`);
      }
      if (killsSetId) await this.#attributes.killSetId(path);
      node.openCount++;
      if (nodes.isGivenAway(node)) this.#lend(node, opened);
      return opened;
    };
    const handle = await paths.shared(pathOf, open);
    const { isLent } = node;
    if (isLent || handle.isNews || memory.isBehind(node)) await memory.forgetAttributes(node);
    const mode = await passthrough.enter(node, handle, isLent ? flags | O_DIRECT : flags);
    if (mode === 'stale') {
      node.openCount--;
      await handle.release();
      // The kernel looks the name up again and opens what it leads to by then.
      throw new FileSystemError('ESTALE', `${handle.state.key} has another inode by now`);
    }
    const fh = handles.addFile({ node, handle, mode, isMappable: isMappable(flags) });
    const answer = {
      fh,
      flags:
        openFlagsOf(mode, flags) |
        appendFlag(flags) |
        // The inode has pages of another file, and others write to this one by its own inode.
        (isLent ? FOPEN.FOPEN_DIRECT_IO : 0) |
        (mode.backing || isLent ? 0 : keepCacheFlag(node, handle)) |
        // Each close ends locks.
        (options.writable || fileSystem.hasServerLocks ? 0 : FOPEN.FOPEN_NOFLUSH),
      backingId: mode.backing?.id
    };
    if (mode.backing || isLent) node.cached = undefined;
    if (!replies.opened(request.unique, answer)) await this.#close(fh);
  }

  /** A name that leads elsewhere by now is looked up again by the kernel, once. */
  async #openExisting(path: string, options: OpenOptions): Promise<FileHandle> {
    try {
      return await this.#context.fileSystem.open(path, options);
    } catch (error) {
      const isElsewhere =
        error instanceof FileSystemError && (error.code === 'ENOENT' || error.code === 'EISDIR');
      if (!isElsewhere) throw error;
      throw new FileSystemError('ESTALE', error.message, { cause: error });
    }
  }

  /** The number of a file that was replaced stands for what replaced it, as long as that is open by it. */
  #lend(node: Node, handle: FileHandle): void {
    node.isLent = true;
    node.path = aliasFor(node);
    this.#context.fileSystem.keepAlias(node.path, handle);
  }

  async #create(request: Request): Promise<void> {
    const { nodes, fileSystem, handles, paths, replies, passthrough, memory } = this.#context;
    const layout = REQUEST.fuse_create_in;
    const flags = request.u32(layout.flags);
    const mode = request.u32(layout.mode);
    const name = request.text(layout.bytes);
    const parent = nodes.get(request.nodeId);
    const create = async (path: string) => {
      const mark = memory.mark(path);
      const { uid, gid } = await this.#names.ownerIn(parent, request);
      const handle = await fileSystem.create(path, mode, {
        ...openOptions(flags),
        exclusive: (flags & O_EXCL) !== 0,
        owner: { uid, gid }
      });
      const node = this.#createdNode(parent, name);
      node.openCount++;
      node.cached = pagesOf(handle.state);
      const way = passthrough.enterCreated(node);
      const fh = handles.addFile({ node, handle, mode: way, isMappable: isMappable(flags) });
      const told = { node, attributes: handle.attributes(), validity: memory.validityOf(path, mark) };
      return { told, node, fh };
    };
    const { told, node, fh } = await paths.shared(() => nodes.pathIn(parent, name), create);
    if (replies.created(request.unique, told, { fh, flags: appendFlag(flags) })) return;
    nodes.forget(node.id, 1);
    await this.#close(fh);
  }

  async #createNameless(request: Request): Promise<void> {
    const { nodes, fileSystem, handles, paths, replies, passthrough } = this.#context;
    const layout = REQUEST.fuse_create_in;
    const flags = request.u32(layout.flags);
    const mode = request.u32(layout.mode);
    if ((flags & O_EXCL) === 0)
      throw new FileSystemError('EOPNOTSUPP', 'a file that may get its name later gets one at once');
    const parent = nodes.get(request.nodeId);
    const create = async (directory: string) => {
      const { uid, gid } = await this.#names.ownerIn(parent, request);
      return fileSystem.createNameless(directory, mode, { ...openOptions(flags), owner: { uid, gid } });
    };
    const handle = await paths.shared(() => nodes.pathOf(parent), create);
    const node = nodes.addNameless();
    node.openCount++;
    node.cached = pagesOf(handle.state);
    fileSystem.keepAlias(nodes.pathOf(node), handle);
    const way = passthrough.enterCreated(node);
    const fh = handles.addFile({ node, handle, mode: way, isMappable: isMappable(flags) });
    const told = { node, attributes: handle.attributes(), validity: NO_TIME };
    if (replies.created(request.unique, told, { fh, flags: appendFlag(flags) })) return;
    nodes.forget(node.id, 1);
    await this.#close(fh);
  }

  async #read(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_read_in;
    const { handle } = handles.file(request.u64(layout.fh));
    const offset = request.u64(layout.offset);
    const size = request.u32(layout.size);
    const buffer = this.#buffers.take(size);
    try {
      const count = await handle.read(offset, buffer.subarray(0, size));
      replies.send(request.unique, 0, [buffer.subarray(0, count)]);
    } finally {
      this.#buffers.give(buffer);
    }
  }

  async #write(request: Request): Promise<void> {
    const { handles, nodes, paths, replies, passthrough } = this.#context;
    const layout = REQUEST.fuse_write_in;
    const { handle, node } = handles.file(request.u64(layout.fh));
    const offset = request.u64(layout.offset);
    const flags = request.u32(layout.write_flags);
    const bytes = request.view(layout.bytes, request.u32(layout.size));
    const isPage = (flags & REQUEST_FLAG.FUSE_WRITE_CACHE) !== 0;
    request.isKept = true;
    try {
      await (isPage ? handle.writeBack(offset, bytes) : handle.write(offset, bytes));
    } finally {
      replies.release(request.slotIndex);
    }
    if (handle.isAppending) await passthrough.changed(node);
    else await passthrough.changed(node, offset, bytes.byteLength);
    if ((flags & REQUEST_FLAG.FUSE_WRITE_KILL_SUIDGID) !== 0)
      await paths.shared(
        () => nodes.pathOf(node),
        (path) => this.#attributes.killSetId(path)
      );
    replies.writer.u32(BODY + REPLY.fuse_write_out.size, bytes.byteLength);
    replies.writer.u32(BODY + REPLY.fuse_write_out.size + 4, 0);
    replies.send(request.unique, REPLY.fuse_write_out.bytes);
  }

  async #flush(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_flush_in;
    const { handle } = handles.file(request.u64(layout.fh));
    const owner = ownerOf(request, layout.lock_owner);
    try {
      await handle.flush();
    } finally {
      await handle.locks?.ownerClosed(handle.state, owner);
    }
    replies.done(request.unique);
  }

  async #fsync(request: Request): Promise<void> {
    const { handle } = this.#context.handles.file(request.u64(REQUEST.fuse_fsync_in.fh));
    await handle.fsync();
    this.#context.replies.done(request.unique);
  }

  async #release(request: Request): Promise<void> {
    const { handles, replies } = this.#context;
    const layout = REQUEST.fuse_release_in;
    const fh = request.u64(layout.fh);
    const owner = ownerOf(request, layout.lock_owner);
    try {
      const { handle } = handles.file(fh);
      await handle.locks?.handleClosed(handle.state, fh, owner);
    } finally {
      await this.#close(fh);
    }
    replies.done(request.unique);
  }

  /** The file may have been made elsewhere, and be open here by another name's inode. */
  #createdNode(parent: Node, name: string): Node {
    const { nodes, passthrough } = this.#context;
    const node = nodes.lookup(parent, name);
    if (!passthrough.isPassing(node)) return node;
    nodes.supersede(node);
    nodes.forget(node.id, 1);
    return nodes.lookup(parent, name);
  }

  async #close(fh: number): Promise<void> {
    const { handles, fileSystem, nodes, passthrough } = this.#context;
    const { node, handle, mode } = handles.removeFile(fh);
    node.openCount--;
    passthrough.leave(mode);
    const { state } = handle;
    try {
      await handle.release();
    } finally {
      const named = nodes.latest(node);
      const isUnlinked = !named.parent && named !== nodes.root && named.path !== undefined;
      if (isUnlinked && nodes.openCountOf(named) === 0) {
        const alias = named.path!;
        named.path = undefined;
        named.isLent = false;
        await fileSystem.unlink(alias).catch(() => undefined);
      } else if (node.openCount === 0) {
        const etag = areOf(node.cached, state) ? etagOf(state) : undefined;
        node.cached = etag === undefined ? undefined : { etag };
      }
    }
  }
}

function isMappable(flags: number): boolean {
  return (flags & O_ACCMODE) === O_RDWR;
}

/**
 * Through its page cache the kernel cuts a write at the end of a page that it does not have whole, and what another mount
 * appends comes between. Who only writes maps nothing, and does not miss the cache.
 */
function appendFlag(flags: number): number {
  return (flags & O_ACCMODE) === O_WRONLY && (flags & O_APPEND) !== 0 ? FOPEN.FOPEN_DIRECT_IO : 0;
}

function openOptions(flags: number) {
  return {
    writable: (flags & O_ACCMODE) !== 0,
    append: (flags & O_APPEND) !== 0,
    truncate: (flags & O_TRUNC) !== 0
  };
}

/**
 * Keeps the pages the kernel has when nobody else has changed the file since they were read or written; without the flag
 * the kernel drops them.
 */
function keepCacheFlag(node: Node, { state }: FileHandle): number {
  const isSame = areOf(node.cached, state);
  node.cached = pagesOf(state);
  return isSame ? FOPEN.FOPEN_KEEP_CACHE : 0;
}

function areOf(pages: CachedPages | undefined, state: FileState): boolean {
  if (pages === undefined) return false;
  if ('etag' in pages) return pages.etag === etagOf(state);
  return pages.state === state && pages.foreignChangeCount === state.foreignChangeCount;
}

function pagesOf(state: FileState): CachedPages {
  return { state, foreignChangeCount: state.foreignChangeCount };
}

/** Undefined where the bytes are not those of a stored version. */
function etagOf({ base, isDirty, isDetached }: FileState): string | undefined {
  return isDirty || isDetached ? undefined : base?.etag;
}
