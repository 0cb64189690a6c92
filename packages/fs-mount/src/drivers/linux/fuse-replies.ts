import type { Timestamp } from '@stampede/client';
import type { Attributes } from '../../attributes.js';
import type { Space } from '../../space.js';

/* What is answered: offsets of <linux/fuse.h> within each structure. The header is followed by one of them. */
export const REPLY = {
  fuse_out_header: { bytes: 16, len: 0, error: 4, unique: 8 },
  fuse_attr: {
    bytes: 88,
    ino: 0,
    size: 8,
    blocks: 16,
    atime: 24,
    mtime: 32,
    ctime: 40,
    atimensec: 48,
    mtimensec: 52,
    ctimensec: 56,
    mode: 60,
    nlink: 64,
    uid: 68,
    gid: 72,
    rdev: 76,
    blksize: 80
  },
  fuse_entry_out: {
    bytes: 128,
    nodeid: 0,
    generation: 8,
    entry_valid: 16,
    attr_valid: 24,
    entry_valid_nsec: 32,
    attr_valid_nsec: 36,
    attr: 40
  },
  fuse_attr_out: { bytes: 104, attr_valid: 0, attr_valid_nsec: 8, attr: 16 },
  fuse_open_out: { bytes: 16, fh: 0, open_flags: 8 },
  fuse_write_out: { bytes: 8, size: 0 },
  fuse_lk_out: { bytes: 24, 'lk.start': 0, 'lk.end': 8, 'lk.type': 16, 'lk.pid': 20 },
  fuse_lseek_out: { bytes: 8, offset: 0 },
  fuse_getxattr_out: { bytes: 8, size: 0 },
  fuse_kstatfs: {
    bytes: 80,
    blocks: 0,
    bfree: 8,
    bavail: 16,
    files: 24,
    ffree: 32,
    bsize: 40,
    namelen: 44,
    frsize: 48
  },
  fuse_init_out: {
    bytes: 64,
    major: 0,
    minor: 4,
    max_readahead: 8,
    flags: 12,
    max_background: 16,
    congestion_threshold: 18,
    max_write: 20,
    time_gran: 24,
    max_pages: 28,
    flags2: 32
  },
  fuse_dirent: { bytes: 24, ino: 0, off: 8, namelen: 16, type: 20 },
  fuse_notify_inval_inode_out: { bytes: 24, ino: 0, off: 8, len: 16 },
  fuse_notify_inval_entry_out: { bytes: 16, parent: 0, namelen: 8, flags: 12 }
} as const;

/** Fields that the header of many machines does not name yet. */
export const NEWER_REPLY = {
  fuse_open_out: { backing_id: 12 },
  fuse_init_out: { max_stack_depth: 36 }
} as const;

/** The answer to INIT of kernels that know no more of it. */
export const SHORT_INIT_BYTES = 24;

const HEADER = REPLY.fuse_out_header;
const WORD = 2 ** 32;
const NAME_BYTES_MAX = 255;
const SPACE_BLOCK_BYTES = 4096;
const FILE_COUNT_MAX = 2 ** 31;

/** How long the kernel may believe something. */
export interface Validity {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** For what is said and not to be believed. */
export const NO_TIME: Validity = { seconds: 0, nanoseconds: 0 };

export interface Entry {
  readonly nodeId: number;
  /** What programs see. */
  readonly ino: number;
  readonly attributes: Attributes;
  readonly validity: Validity;
}

export interface OpenAnswer {
  readonly fh: number;
  readonly flags: number;
  /** The file that the kernel reads instead, where the flags say so. */
  readonly backingId?: number | undefined;
}

/** Writes messages to the kernel into a buffer; offsets are those of the whole message. */
export class ReplyWriter {
  readonly bytes: Buffer;
  readonly #words: Uint32Array;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  /** `error` is negative, or a notification's code. */
  header(at: number, { length, error, unique }: { length: number; error: number; unique: number }): void {
    this.u32(at + HEADER.len, length);
    this.u32(at + HEADER.error, error);
    this.u64(at + HEADER.unique, unique);
  }

  entry(at: number, { nodeId, ino, attributes, validity }: Entry): void {
    const layout = REPLY.fuse_entry_out;
    this.u64(at + layout.nodeid, nodeId);
    this.u64(at + layout.generation, 0);
    const ofAttributes = attributes.isGuess ? NO_TIME : validity;
    this.u64(at + layout.entry_valid, validity.seconds);
    this.u64(at + layout.attr_valid, ofAttributes.seconds);
    this.u32(at + layout.entry_valid_nsec, validity.nanoseconds);
    this.u32(at + layout.attr_valid_nsec, ofAttributes.nanoseconds);
    this.attributes(at + layout.attr, ino, attributes);
  }

  /** A name that is not there, which the kernel may remember; also what lies before a name nothing is said of. */
  noEntry(at: number, validity: Validity): void {
    this.zeros(at, REPLY.fuse_entry_out.bytes);
    this.u64(at + REPLY.fuse_entry_out.entry_valid, validity.seconds);
    this.u32(at + REPLY.fuse_entry_out.entry_valid_nsec, validity.nanoseconds);
  }

  attrOut(at: number, { ino, attributes, validity }: Omit<Entry, 'nodeId'>): void {
    const layout = REPLY.fuse_attr_out;
    const ofAttributes = attributes.isGuess ? NO_TIME : validity;
    this.u64(at + layout.attr_valid, ofAttributes.seconds);
    this.u32(at + layout.attr_valid_nsec, ofAttributes.nanoseconds);
    this.u32(at + layout.attr_valid_nsec + 4, 0);
    this.attributes(at + layout.attr, ino, attributes);
  }

  attributes(at: number, ino: number, attributes: Attributes): void {
    const layout = REPLY.fuse_attr;
    this.u64(at + layout.ino, ino);
    this.u64(at + layout.size, attributes.size);
    this.u64(at + layout.blocks, attributes.sectorCount);
    this.#time(at + layout.atime, at + layout.atimensec, attributes.atime);
    this.#time(at + layout.mtime, at + layout.mtimensec, attributes.mtime);
    this.#time(at + layout.ctime, at + layout.ctimensec, attributes.ctime);
    this.u32(at + layout.mode, attributes.mode);
    this.u32(at + layout.nlink, attributes.linkCount);
    this.u32(at + layout.uid, attributes.uid);
    this.u32(at + layout.gid, attributes.gid);
    this.u32(at + layout.rdev, attributes.rdev);
    this.u32(at + layout.blksize, attributes.blockBytes);
    this.u32(at + layout.blksize + 4, 0);
  }

  openOut(at: number, { fh, flags, backingId = 0 }: OpenAnswer): void {
    this.u64(at + REPLY.fuse_open_out.fh, fh);
    this.u32(at + REPLY.fuse_open_out.open_flags, flags);
    this.u32(at + NEWER_REPLY.fuse_open_out.backing_id, backingId);
  }

  space(at: number, { totalBytes, freeBytes, fileCount }: Space): void {
    const layout = REPLY.fuse_kstatfs;
    const used = Math.min(fileCount, FILE_COUNT_MAX);
    this.zeros(at, layout.bytes);
    this.u64(at + layout.blocks, Math.floor(totalBytes / SPACE_BLOCK_BYTES));
    this.u64(at + layout.bfree, Math.floor(freeBytes / SPACE_BLOCK_BYTES));
    this.u64(at + layout.bavail, Math.floor(freeBytes / SPACE_BLOCK_BYTES));
    this.u64(at + layout.files, FILE_COUNT_MAX + used);
    this.u64(at + layout.ffree, FILE_COUNT_MAX);
    this.u32(at + layout.bsize, SPACE_BLOCK_BYTES);
    this.u32(at + layout.namelen, NAME_BYTES_MAX);
    this.u32(at + layout.frsize, SPACE_BLOCK_BYTES);
  }

  /** A name in a listing; returns where the next one begins. `type` is the S_IFMT part of the mode. */
  directoryEntry(
    at: number,
    { ino, offset, name, type }: { ino: number; offset: number; name: Uint8Array; type: number }
  ): number {
    const layout = REPLY.fuse_dirent;
    this.u64(at + layout.ino, ino);
    this.u64(at + layout.off, offset);
    this.u32(at + layout.namelen, name.byteLength);
    this.u32(at + layout.type, type >>> 12);
    this.bytes.set(name, at + layout.bytes);
    const end = at + layout.bytes + name.byteLength;
    const next = at + directoryEntryBytes(name);
    this.bytes.fill(0, end, next);
    return next;
  }

  u16(at: number, value: number): void {
    this.bytes.writeUInt16LE(value, at);
  }

  u32(at: number, value: number): void {
    this.#words[at / 4] = value;
  }

  /** Numbers below 2⁵³, and negative ones. */
  u64(at: number, value: number): void {
    this.#words[at / 4] = value;
    this.#words[at / 4 + 1] = Math.floor(value / WORD);
  }

  zeros(at: number, length: number): void {
    this.#words.fill(0, at / 4, (at + length) / 4);
  }

  #time(at: number, nanosecondsAt: number, { seconds, nanoseconds }: Timestamp): void {
    this.u64(at, seconds);
    this.u32(nanosecondsAt, nanoseconds);
  }
}

/** Entries begin on a multiple of eight. */
export function directoryEntryBytes(name: Uint8Array): number {
  return (REPLY.fuse_dirent.bytes + name.byteLength + 7) & ~7;
}
