import { bytesOfName, isBytesName } from '../../path.js';
import { FUSE_NOTIFY_INC_EPOCH, NOTIFY } from './fuse-constants.js';
import { REPLY } from './fuse-replies.js';

/** What the kernel is told to believe no longer. */
export type Notice =
  /** A name in a directory, there or not: it is looked up again when it is next used. */
  | { readonly type: 'entry'; readonly parentId: number; readonly name: string }
  | { readonly type: 'attributes'; readonly id: number }
  /** Attributes, and the bytes that the kernel keeps of the file; of length zero all from the offset on. */
  | { readonly type: 'bytes'; readonly id: number; readonly offset: number; readonly length: number }
  /** All names, of files and of what is not there. */
  | { readonly type: 'allEntries' };

const HEADER = REPLY.fuse_out_header;
const ENTRY = REPLY.fuse_notify_inval_entry_out;
const INODE = REPLY.fuse_notify_inval_inode_out;
const WORD = 2 ** 32;

/** Writes notices as the messages of the kernel, one behind the other. */
export class NoticeWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(sizeBytes: number) {
    this.#bytes = Buffer.alloc(sizeBytes);
  }

  get isEmpty(): boolean {
    return this.#at === 0;
  }

  /** The messages so far; valid until the next one is added. */
  take(): Uint8Array {
    const messages = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return messages;
  }

  /** False when there is no room left for it. */
  add(notice: Notice): boolean {
    if (notice.type === 'entry') return this.#addName(notice.parentId, notice.name);
    if (notice.type === 'allEntries') return this.#header(HEADER.bytes, FUSE_NOTIFY_INC_EPOCH);
    if (!this.#header(HEADER.bytes + INODE.bytes, NOTIFY.FUSE_NOTIFY_INVAL_INODE)) return false;
    const at = this.#at - INODE.bytes;
    this.#u64(at + INODE.ino, notice.id);
    // From below zero on there are no bytes.
    this.#u64(at + INODE.off, notice.type === 'bytes' ? notice.offset : -1);
    this.#u64(at + INODE.len, notice.type === 'bytes' ? notice.length : 0);
    return true;
  }

  /** What stands for bytes that are not UTF-8 is also found by itself, as any name that is typed. */
  #addName(parentId: number, name: string): boolean {
    const isAdded = this.#addEntry(parentId, bytesOfName(name));
    return isAdded && isBytesName(name) ? this.#addEntry(parentId, Buffer.from(name)) : isAdded;
  }

  #addEntry(parentId: number, name: Uint8Array): boolean {
    const bodyBytes = ENTRY.bytes + name.byteLength + 1;
    if (!this.#header(HEADER.bytes + bodyBytes, NOTIFY.FUSE_NOTIFY_INVAL_ENTRY)) return false;
    const at = this.#at - bodyBytes;
    this.#u64(at + ENTRY.parent, parentId);
    this.#bytes.writeUInt32LE(name.byteLength, at + ENTRY.namelen);
    this.#bytes.writeUInt32LE(NOTIFY.FUSE_EXPIRE_ONLY, at + ENTRY.flags);
    this.#bytes.set(name, at + ENTRY.bytes);
    this.#bytes[at + ENTRY.bytes + name.byteLength] = 0;
    return true;
  }

  #header(length: number, code: number): boolean {
    if (this.#at + length > this.#bytes.byteLength) return false;
    this.#bytes.writeUInt32LE(length, this.#at + HEADER.len);
    this.#bytes.writeInt32LE(code, this.#at + HEADER.error);
    this.#u64(this.#at + HEADER.unique, 0);
    this.#at += length;
    return true;
  }

  #u64(at: number, value: number): void {
    this.#bytes.writeUInt32LE(value >>> 0, at);
    this.#bytes.writeUInt32LE(Math.floor(value / WORD) >>> 0, at + 4);
  }
}
