import type { Timestamp } from '@stampede/client';
import { S_IFDIR, S_IFMT, timestampOfMs } from '../../attributes.js';
import { FileSystemError } from '../../errno.js';
import { bytesOfName } from '../../path.js';
import { FATTR, OPCODE } from './fuse-constants.js';
import { NO_TIME, REPLY } from './fuse-replies.js';
import { REQUEST, type Request, SETXATTR_BYTES } from './fuse-requests.js';
import type { Node } from './node-table.js';
import { BODY } from './replies.js';
import type { Handlers, SessionContext } from './session-context.js';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

interface AttributeChanges {
  mode?: number;
  uid?: number;
  gid?: number;
  atime?: Timestamp;
  mtime?: Timestamp;
}

/** Attributes, links' targets, extended attributes and the numbers of the whole drive. */
export class AttributeOperations {
  readonly #context: SessionContext;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  handlers(): Handlers {
    return {
      [OPCODE.FUSE_GETATTR]: (request) => this.#getattr(request),
      [OPCODE.FUSE_SETATTR]: (request) => this.#setattr(request),
      [OPCODE.FUSE_READLINK]: (request) => this.#readlink(request),
      [OPCODE.FUSE_GETXATTR]: (request) => this.#getxattr(request),
      [OPCODE.FUSE_LISTXATTR]: (request) => this.#listxattr(request),
      [OPCODE.FUSE_SETXATTR]: (request) => this.#setxattr(request),
      [OPCODE.FUSE_REMOVEXATTR]: (request) => this.#removexattr(request),
      [OPCODE.FUSE_STATFS]: (request) => this.#statfs(request)
    };
  }

  /** Bytes of a program were changed by another user: it must not run as its owner any more. */
  async killSetId(path: string): Promise<void> {
    const { fileSystem } = this.#context;
    const { mode } = await fileSystem.getattr(path);
    const kept = withoutSetId(mode);
    if (kept !== mode) await fileSystem.setattr(path, { mode: kept });
  }

  async #getattr(request: Request): Promise<void> {
    const node = this.#context.nodes.get(request.nodeId);
    const { removed: attributes } = node;
    if (attributes) this.#context.replies.attributes(request.unique, { node, attributes, validity: NO_TIME });
    else await this.#withPath(node, (path) => this.#answerAttributes(request.unique, node, path));
  }

  async #setattr(request: Request): Promise<void> {
    const { nodes, fileSystem, handles, passthrough } = this.#context;
    const layout = REQUEST.fuse_setattr_in;
    const node = nodes.get(request.nodeId);
    const valid = request.u32(layout.valid);
    const size = request.u64(layout.size);
    const fh = request.u64(layout.fh);
    const changes = changesOf(request, valid);
    const changesOwner = changes.uid !== undefined || changes.gid !== undefined;
    if ((valid & FATTR.FATTR_SIZE) !== 0) {
      if ((valid & FATTR.FATTR_FH) !== 0) await handles.file(fh).handle.truncate(size);
      else await this.#withPath(node, (path) => fileSystem.truncate(path, size));
      await passthrough.changed(node);
    }
    await this.#withPath(node, async (path) => {
      if (changes.mode === undefined && (changesOwner || (valid & FATTR.FATTR_KILL_SUIDGID) !== 0)) {
        const { mode } = await fileSystem.getattr(path);
        if ((mode & S_IFMT) !== S_IFDIR && withoutSetId(mode) !== mode) changes.mode = withoutSetId(mode);
      }
      if (Object.keys(changes).length > 0) await fileSystem.setattr(path, changes);
      await this.#answerAttributes(request.unique, node, path);
    });
  }

  async #answerAttributes(unique: number, node: Node, path: string): Promise<void> {
    const { fileSystem, replies, memory } = this.#context;
    const mark = memory.mark(path);
    const attributes = await fileSystem.getattr(path);
    replies.attributes(unique, { node, attributes, validity: memory.validityOf(path, mark) });
  }

  async #readlink(request: Request): Promise<void> {
    const { nodes, fileSystem, replies } = this.#context;
    const node = nodes.get(request.nodeId);
    const target = await this.#withPath(node, (path) => fileSystem.readlink(path));
    replies.send(request.unique, 0, [bytesOfName(target)]);
  }

  async #getxattr(request: Request): Promise<void> {
    const { nodes, fileSystem } = this.#context;
    const room = request.u32(REQUEST.fuse_getxattr_in.size);
    const name = request.text(REQUEST.fuse_getxattr_in.bytes);
    const node = nodes.get(request.nodeId);
    const value = await this.#withPath(node, (path) => fileSystem.findxattr(path, name));
    if (!value) return void this.#context.replies.fail(request.unique, ENODATA);
    this.#answerXattr(request.unique, value, room);
  }

  async #listxattr(request: Request): Promise<void> {
    const { nodes, fileSystem } = this.#context;
    const room = request.u32(REQUEST.fuse_getxattr_in.size);
    const node = nodes.get(request.nodeId);
    const names = await this.#withPath(node, (path) => fileSystem.listxattr(path));
    this.#answerXattr(request.unique, Buffer.from(names.map((name) => `${name}\0`).join('')), room);
  }

  async #setxattr(request: Request): Promise<void> {
    const { nodes, fileSystem, replies } = this.#context;
    const size = request.u32(REQUEST.fuse_setxattr_in.size);
    const flags = request.u32(REQUEST.fuse_setxattr_in.flags);
    const name = request.text(SETXATTR_BYTES);
    // A copy: the slot is used for other requests before the attribute is stored.
    const value = new Uint8Array(request.view(request.afterText(SETXATTR_BYTES), size));
    const node = nodes.get(request.nodeId);
    await this.#withPath(node, (path) => fileSystem.setxattr(path, name, value, xattrMode(flags)));
    replies.done(request.unique);
  }

  async #removexattr(request: Request): Promise<void> {
    const { nodes, fileSystem, replies } = this.#context;
    const name = request.text(0);
    const node = nodes.get(request.nodeId);
    await this.#withPath(node, (path) => fileSystem.removexattr(path, name));
    replies.done(request.unique);
  }

  #withPath<Result>(node: Node, run: (path: string) => Promise<Result>): Promise<Result> {
    const { nodes, paths } = this.#context;
    return paths.shared(() => nodes.pathOf(node), run);
  }

  async #statfs(request: Request): Promise<void> {
    const { nodes, fileSystem, replies } = this.#context;
    const node = nodes.find(request.nodeId);
    const path = node && nodes.findPath(node);
    replies.writer.space(BODY, await fileSystem.statfs(path ?? '/'));
    replies.send(request.unique, REPLY.fuse_kstatfs.bytes);
  }

  /** No room at all asks for the length only. */
  #answerXattr(unique: number, value: Uint8Array, room: number): void {
    const { replies } = this.#context;
    if (room > 0) {
      if (value.byteLength > room) throw new FileSystemError('ERANGE', 'the value is longer than the room');
      return void replies.send(unique, 0, [value]);
    }
    replies.writer.u32(BODY + REPLY.fuse_getxattr_out.size, value.byteLength);
    replies.writer.u32(BODY + REPLY.fuse_getxattr_out.size + 4, 0);
    replies.send(unique, REPLY.fuse_getxattr_out.bytes);
  }
}

const ENODATA = new FileSystemError('ENODATA', '').errno;

function changesOf(request: Request, valid: number): AttributeChanges {
  const layout = REQUEST.fuse_setattr_in;
  const changes: AttributeChanges = {};
  const now = timestampOfMs(Date.now());
  if (valid & FATTR.FATTR_MODE) changes.mode = request.u32(layout.mode);
  if (valid & FATTR.FATTR_UID) changes.uid = request.u32(layout.uid);
  if (valid & FATTR.FATTR_GID) changes.gid = request.u32(layout.gid);
  if (valid & FATTR.FATTR_ATIME)
    changes.atime = {
      seconds: request.i64(layout.atime),
      nanoseconds: request.u32(layout.atimensec)
    };
  if (valid & FATTR.FATTR_MTIME)
    changes.mtime = {
      seconds: request.i64(layout.mtime),
      nanoseconds: request.u32(layout.mtimensec)
    };
  if (valid & FATTR.FATTR_ATIME_NOW) changes.atime = now;
  if (valid & FATTR.FATTR_MTIME_NOW) changes.mtime = now;
  return changes;
}

/** As chown(2): set-group-id without group execution marks a lock, and stays. */
function withoutSetId(mode: number): number {
  const kept = mode & ~S_ISUID;
  return (kept & S_IXGRP) !== 0 ? kept & ~S_ISGID : kept;
}

function xattrMode(flags: number): 'any' | 'create' | 'replace' {
  if (flags === XATTR_CREATE) return 'create';
  return flags === XATTR_REPLACE ? 'replace' : 'any';
}
