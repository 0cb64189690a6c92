import { nameOfBytes } from '../../path.js';

/*
 * What the kernel asks: offsets of <linux/fuse.h> within each structure, after the header. Little-endian, as every
 * platform the addon is built for. `bytes` is the size; names and data lie behind it.
 */
export const REQUEST = {
  fuse_in_header: { bytes: 40, len: 0, opcode: 4, unique: 8, nodeid: 16, uid: 24, gid: 28, pid: 32 },
  fuse_forget_in: { bytes: 8, nlookup: 0 },
  fuse_forget_one: { bytes: 16, nodeid: 0, nlookup: 8 },
  fuse_batch_forget_in: { bytes: 8, count: 0 },
  fuse_setattr_in: {
    bytes: 88,
    valid: 0,
    fh: 8,
    size: 16,
    atime: 32,
    mtime: 40,
    atimensec: 56,
    mtimensec: 60,
    mode: 68,
    uid: 76,
    gid: 80
  },
  fuse_mknod_in: { bytes: 16, mode: 0, rdev: 4 },
  fuse_mkdir_in: { bytes: 8, mode: 0 },
  fuse_rename_in: { bytes: 8, newdir: 0 },
  fuse_rename2_in: { bytes: 16, newdir: 0, flags: 8 },
  fuse_open_in: { bytes: 8, flags: 0, open_flags: 4 },
  fuse_create_in: { bytes: 16, flags: 0, mode: 4, open_flags: 12 },
  fuse_release_in: { bytes: 24, fh: 0, release_flags: 12, lock_owner: 16 },
  fuse_flush_in: { bytes: 24, fh: 0, lock_owner: 16 },
  fuse_fsync_in: { bytes: 16, fh: 0 },
  fuse_read_in: { bytes: 40, fh: 0, offset: 8, size: 16, flags: 32 },
  fuse_write_in: { bytes: 40, fh: 0, offset: 8, size: 16, write_flags: 20 },
  fuse_lk_in: {
    bytes: 48,
    fh: 0,
    owner: 8,
    'lk.start': 16,
    'lk.end': 24,
    'lk.type': 32,
    'lk.pid': 36,
    lk_flags: 40
  },
  fuse_setxattr_in: { bytes: 16, size: 0, flags: 4 },
  fuse_getxattr_in: { bytes: 8, size: 0 },
  fuse_init_in: { bytes: 64, major: 0, minor: 4, max_readahead: 8, flags: 12, flags2: 16 },
  fuse_interrupt_in: { bytes: 8, unique: 0 },
  fuse_fallocate_in: { bytes: 32, fh: 0, offset: 8, length: 16, mode: 24 },
  fuse_lseek_in: { bytes: 24, fh: 0, offset: 8, whence: 16 },
  fuse_copy_file_range_in: { bytes: 56, fh_in: 0, off_in: 8, fh_out: 24, off_out: 32, len: 40 }
} as const;

/** SETXATTR of a driver that did not ask for the longer structure. */
export const SETXATTR_BYTES = 8;

const UNDECODABLE = '\ufffd';
const HEADER = REQUEST.fuse_in_header;
const WORD = 2 ** 32;

/** One of the buffers that requests are read into. */
export interface RequestSlot {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
}

/** The largest request is a write of `dataBytesMax`. */
export function allocateSlot(dataBytesMax: number): RequestSlot {
  const bytes = Buffer.allocUnsafeSlow(dataBytesMax + 4096);
  return { bytes, words: new Uint32Array(bytes.buffer, 0, bytes.byteLength / 4) };
}

/** A request in its slot. Only the fields of the object hold longer than the handler's first turn. */
export class Request {
  readonly opcode: number;
  /** Counted up by the kernel, far below 2⁵³. */
  readonly unique: number;
  readonly nodeId: number;
  readonly uid: number;
  readonly gid: number;
  readonly slotIndex: number;
  /** Set before a handler first waits by who needs the slot longer, and gives it back then. */
  isKept = false;
  readonly #slot: RequestSlot;
  readonly #length: number;

  constructor(slot: RequestSlot, slotIndex: number, length: number) {
    const { words } = slot;
    this.#slot = slot;
    this.#length = length;
    this.slotIndex = slotIndex;
    this.opcode = words[HEADER.opcode / 4]!;
    this.unique = words[HEADER.unique / 4]! + words[HEADER.unique / 4 + 1]! * WORD;
    this.nodeId = words[HEADER.nodeid / 4]! + words[HEADER.nodeid / 4 + 1]! * WORD;
    this.uid = words[HEADER.uid / 4]!;
    this.gid = words[HEADER.gid / 4]!;
  }

  /** How many bytes follow the header. */
  get bodyBytes(): number {
    return this.#length - HEADER.bytes;
  }

  u32(offset: number): number {
    this.#check(offset + 4);
    return this.#slot.words[(HEADER.bytes + offset) / 4]!;
  }

  u64(offset: number): number {
    this.#check(offset + 8);
    const index = (HEADER.bytes + offset) / 4;
    return this.#slot.words[index]! + this.#slot.words[index + 1]! * WORD;
  }

  /** A signed number, as seconds before 1970 are. */
  i64(offset: number): number {
    this.#check(offset + 8);
    const index = (HEADER.bytes + offset) / 4;
    return this.#slot.words[index]! + (this.#slot.words[index + 1]! | 0) * WORD;
  }

  /** The text from `offset` to the next NUL. */
  text(offset: number): string {
    const start = HEADER.bytes + offset;
    const end = this.#endOfText(offset);
    const text = this.#slot.bytes.toString('utf8', start, end);
    // What is not UTF-8 arrives as this character, and seldom anything else.
    return text.includes(UNDECODABLE) ? nameOfBytes(this.#slot.bytes.subarray(start, end)) : text;
  }

  /** Two texts, one behind the other. */
  texts(offset: number): readonly [string, string] {
    const second = this.#endOfText(offset) + 1 - HEADER.bytes;
    return [this.text(offset), this.text(second)];
  }

  /** Where what follows a text begins. */
  afterText(offset: number): number {
    return this.#endOfText(offset) + 1 - HEADER.bytes;
  }

  /** Bytes in the slot itself: they hold until it is released. */
  view(offset: number, length: number): Uint8Array {
    this.#check(offset + length);
    return this.#slot.bytes.subarray(HEADER.bytes + offset, HEADER.bytes + offset + length);
  }

  #endOfText(offset: number): number {
    this.#check(offset + 1);
    const end = this.#slot.bytes.indexOf(0, HEADER.bytes + offset);
    if (end < 0 || end >= this.#length) throw new RangeError('a name of the kernel has no end');
    return end;
  }

  /** A request that is shorter than its kind says is a fault of the kernel or ours: it is answered with EIO. */
  #check(end: number): void {
    if (end > this.#length - HEADER.bytes) throw new RangeError(`request ${this.opcode} is too short`);
  }
}
