import { type Attributes, S_IFDIR, S_IFMT } from '../../attributes.js';
import { FileSystemError } from '../../errno.js';
import {
  MONITOR_FILE_NAMES,
  type MonitorFile,
  type MonitorFileName,
  type MonitorFolder
} from '../../monitor/index.js';
import { MONITOR_NAME } from '../../path.js';
import { FOPEN, OPCODE } from './fuse-constants.js';
import { REPLY } from './fuse-replies.js';
import { REQUEST, type Request } from './fuse-requests.js';
import { ROOT_ID } from './node-table.js';
import { BODY, type Replies } from './replies.js';

/** Above the numbers of files: the folder, and the files in it one after the other. */
const FOLDER_ID = 2 ** 52;
const O_ACCMODE = 3;
const O_NONBLOCK = 0o4000;

/** Where requests that make, remove or find a name in a directory have it. */
const NAME_OFFSETS: ReadonlyMap<number, number> = new Map([
  [OPCODE.FUSE_LOOKUP, 0],
  [OPCODE.FUSE_UNLINK, 0],
  [OPCODE.FUSE_RMDIR, 0],
  [OPCODE.FUSE_SYMLINK, 0],
  [OPCODE.FUSE_MKDIR, REQUEST.fuse_mkdir_in.bytes],
  [OPCODE.FUSE_MKNOD, REQUEST.fuse_mknod_in.bytes],
  [OPCODE.FUSE_CREATE, REQUEST.fuse_create_in.bytes]
]);
const RENAMES: ReadonlyMap<number, number> = new Map([
  [OPCODE.FUSE_RENAME, REQUEST.fuse_rename_in.bytes],
  [OPCODE.FUSE_RENAME2, REQUEST.fuse_rename2_in.bytes]
]);
/** Not about a node, or without an answer: as for any other file. */
const NOT_OURS: ReadonlySet<number> = new Set([
  OPCODE.FUSE_STATFS,
  OPCODE.FUSE_FORGET,
  OPCODE.FUSE_BATCH_FORGET,
  OPCODE.FUSE_INTERRUPT
]);

/** The folder `.stampede` in the root, which no listing shows. Nothing in it can be changed. */
export class MonitorOperations {
  readonly #replies: Replies;
  readonly #folder: MonitorFolder;
  readonly #files = new Map<number, MonitorFile>();
  /** Reads that wait, by the number of their request. */
  readonly #waiting = new Map<number, AbortController>();
  #lastHandle = 0;

  constructor(replies: Replies, folder: MonitorFolder) {
    this.#replies = replies;
    this.#folder = folder;
  }

  /** Whether a request is about the folder, what is in it, or its name. Asked of every request. */
  concerns(request: Request): boolean {
    const { opcode, nodeId } = request;
    if (nodeId >= FOLDER_ID) return !NOT_OURS.has(opcode);
    const renameOffset = RENAMES.get(opcode);
    if (renameOffset !== undefined) return isRenameOfOurs(request, renameOffset);
    if (nodeId !== ROOT_ID) return false;
    const nameOffset = NAME_OFFSETS.get(opcode);
    return nameOffset !== undefined && request.text(nameOffset) === MONITOR_NAME;
  }

  readonly handler = (request: Request): Promise<void> | void => {
    switch (request.opcode) {
      case OPCODE.FUSE_LOOKUP:
        return this.#lookup(request);
      case OPCODE.FUSE_GETATTR:
        return this.#getattr(request);
      case OPCODE.FUSE_OPENDIR:
        return void this.#opened(request.unique, 0, 0);
      case OPCODE.FUSE_READDIR:
      case OPCODE.FUSE_READDIRPLUS:
        return this.#readdir(request, request.opcode === OPCODE.FUSE_READDIRPLUS);
      case OPCODE.FUSE_OPEN:
        return this.#open(request);
      case OPCODE.FUSE_READ:
        return this.#read(request);
      case OPCODE.FUSE_RELEASE:
        return this.#release(request);
      case OPCODE.FUSE_FLUSH:
      case OPCODE.FUSE_FSYNC:
      case OPCODE.FUSE_FSYNCDIR:
      case OPCODE.FUSE_RELEASEDIR:
        return void this.#replies.done(request.unique);
      case OPCODE.FUSE_GETXATTR:
        throw new FileSystemError('ENODATA', 'it has no extended attributes');
      case OPCODE.FUSE_LISTXATTR:
        throw new FileSystemError('EOPNOTSUPP', 'it has no extended attributes');
      default:
        throw new FileSystemError('EPERM', `${MONITOR_NAME} is the mount's own and stays as it is`);
    }
  };

  /** The program that reads got a signal; true when it was one that waits here. */
  interrupted(unique: number): boolean {
    const waiting = this.#waiting.get(unique);
    waiting?.abort();
    return waiting !== undefined;
  }

  /** Whoever waits for a line gets the end of the log. */
  close(): void {
    this.#folder.close();
  }

  #lookup(request: Request): void {
    const name = request.text(0);
    if (request.nodeId === ROOT_ID)
      return void this.#entry(request.unique, FOLDER_ID, this.#folder.attributes());
    const index = MONITOR_FILE_NAMES.findIndex((one) => one === name);
    if (request.nodeId !== FOLDER_ID || index < 0)
      throw new FileSystemError('ENOENT', `there is no ${name} in ${MONITOR_NAME}`);
    this.#entry(request.unique, FOLDER_ID + 1 + index, this.#folder.attributes(MONITOR_FILE_NAMES[index]));
  }

  /** Times of zero: the kernel asks every time, which is seldom. */
  #entry(unique: number, id: number, attributes: Attributes): void {
    const { writer } = this.#replies;
    writer.zeros(BODY, REPLY.fuse_entry_out.bytes);
    writer.u64(BODY + REPLY.fuse_entry_out.nodeid, id);
    writer.attributes(BODY + REPLY.fuse_entry_out.attr, id, attributes);
    this.#replies.send(unique, REPLY.fuse_entry_out.bytes);
  }

  #getattr({ unique, nodeId }: Request): void {
    const { writer } = this.#replies;
    writer.zeros(BODY, REPLY.fuse_attr_out.bytes);
    const attributes = this.#folder.attributes(MONITOR_FILE_NAMES[nodeId - FOLDER_ID - 1]);
    writer.attributes(BODY + REPLY.fuse_attr_out.attr, nodeId, attributes);
    this.#replies.send(unique, REPLY.fuse_attr_out.bytes);
  }

  #opened(unique: number, fh: number, flags: number): boolean {
    const { writer } = this.#replies;
    writer.zeros(BODY, REPLY.fuse_open_out.bytes);
    writer.u64(BODY + REPLY.fuse_open_out.fh, fh);
    writer.u32(BODY + REPLY.fuse_open_out.open_flags, flags);
    return this.#replies.send(unique, REPLY.fuse_open_out.bytes);
  }

  #readdir(request: Request, withAttributes: boolean): void {
    const { writer } = this.#replies;
    const names = ['.', '..', ...MONITOR_FILE_NAMES];
    let at: number = BODY;
    let position = request.u64(REQUEST.fuse_read_in.offset);
    for (; position < names.length; position++) {
      if (withAttributes) {
        writer.zeros(at, REPLY.fuse_entry_out.bytes);
        at += REPLY.fuse_entry_out.bytes;
      }
      const fileName = MONITOR_FILE_NAMES[position - 2];
      at = writer.directoryEntry(at, {
        ino: position === 1 ? ROOT_ID : FOLDER_ID + Math.max(0, position - 1),
        offset: position + 1,
        name: Buffer.from(names[position]!),
        type: fileName === undefined ? S_IFDIR : this.#folder.attributes(fileName).mode & S_IFMT
      });
    }
    this.#replies.send(request.unique, at - BODY);
  }

  #open(request: Request): void {
    if ((request.u32(REQUEST.fuse_open_in.flags) & O_ACCMODE) !== 0)
      throw new FileSystemError('EACCES', `what is in ${MONITOR_NAME} is only read`);
    const name: MonitorFileName = MONITOR_FILE_NAMES[request.nodeId - FOLDER_ID - 1]!;
    const fh = ++this.#lastHandle;
    this.#files.set(fh, this.#folder.open(name));
    const flags: number = name === 'log' ? FOPEN.FOPEN_DIRECT_IO | FOPEN.FOPEN_STREAM : FOPEN.FOPEN_DIRECT_IO;
    if (!this.#opened(request.unique, fh, flags)) this.#close(fh);
  }

  async #read(request: Request): Promise<void> {
    const layout = REQUEST.fuse_read_in;
    const { unique } = request;
    const file = this.#files.get(request.u64(layout.fh));
    if (!file) throw new FileSystemError('EBADF', 'the file is not open');
    const waiting = new AbortController();
    const reading = file.read(request.u64(layout.offset), request.u32(layout.size), waiting.signal);
    // What is there is there at once.
    const mayWait = (request.u32(layout.flags) & O_NONBLOCK) === 0;
    if (!mayWait) waiting.abort();
    this.#waiting.set(unique, waiting);
    try {
      const bytes = await reading;
      if (waiting.signal.aborted && bytes.byteLength === 0)
        throw new FileSystemError(mayWait ? 'EINTR' : 'EAGAIN', 'there is no line now');
      this.#replies.send(unique, 0, [bytes]);
    } finally {
      this.#waiting.delete(unique);
    }
  }

  #release(request: Request): void {
    this.#close(request.u64(REQUEST.fuse_release_in.fh));
    this.#replies.done(request.unique);
  }

  #close(fh: number): void {
    this.#files.get(fh)?.close();
    this.#files.delete(fh);
  }
}

function isRenameOfOurs(request: Request, offset: number): boolean {
  const [name, newName] = request.texts(offset);
  const newParent = request.u64(REQUEST.fuse_rename_in.newdir);
  const isOurs = (parent: number, one: string) => parent === ROOT_ID && one === MONITOR_NAME;
  return newParent >= FOLDER_ID || isOurs(request.nodeId, name) || isOurs(newParent, newName);
}
