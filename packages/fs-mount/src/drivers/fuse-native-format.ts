import type { Timestamp } from '@stampede/client';
import type { Attributes } from '../attributes.js';
import type { Space } from '../space.js';

/*
 * The words fuse-native's C code reads and writes. Stat, 18 × u32: mode uid gid size(2) dev nlink ino rdev blksize
 * blocks(2) atime(2) mtime(2) ctime(2); 64-bit values low word first, times in milliseconds.
 */
const STAT_WORDS = 18;
const WORD = 2 ** 32;

/** Offsets in `fuse_thread_locals_t` on 64-bit platforms: after pointers, lengths and ids, at their natural alignment. */
const ATIME_OFFSET = 104;
const MTIME_OFFSET = 112;

export function encodeStat(attributes: Attributes): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = attributes.mode;
  words[1] = attributes.uid;
  words[2] = attributes.gid;
  setDouble(words, 3, attributes.size);
  words[6] = attributes.linkCount;
  words[8] = attributes.rdev;
  words[9] = attributes.blockBytes;
  setDouble(words, 10, attributes.sectorCount);
  setDouble(words, 12, millisecondsOf(attributes.atime));
  setDouble(words, 14, millisecondsOf(attributes.mtime));
  setDouble(words, 16, millisecondsOf(attributes.ctime));
  return words;
}

/** For listings, of which the kernel takes only the type. */
export function encodeType(type: number): Uint32Array {
  const words = new Uint32Array(STAT_WORDS);
  words[0] = type;
  return words;
}

/** Block counts are 32 bits wide: the block grows with the drive. */
export function encodeSpace({ totalBytes, freeBytes, fileCount }: Space) {
  let blockBytes = 4096;
  while (totalBytes / blockBytes >= WORD) blockBytes *= 2;
  const free = Math.floor(freeBytes / blockBytes);
  const freeFiles = 0x7fffffff - Math.min(fileCount, 0x40000000);
  return {
    bsize: blockBytes,
    frsize: blockBytes,
    blocks: Math.floor(totalBytes / blockBytes),
    bfree: free,
    bavail: free,
    files: freeFiles + Math.min(fileCount, 0x40000000),
    ffree: freeFiles,
    favail: freeFiles,
    namemax: 255
  };
}

/**
 * The times of a utimens request. The C code passes atime twice, but both are in the request's native memory. Where that
 * does not begin as expected (another platform or version) mtime falls back to what was passed.
 */
export function readUtimens(native: Buffer, atimeMs: number): { atime: Timestamp; mtime: Timestamp } {
  const atimeBits = native.length >= MTIME_OFFSET + 8 ? native.readBigUInt64LE(ATIME_OFFSET) : undefined;
  const isKnownLayout = atimeBits !== undefined && Number(atimeBits) === atimeMs;
  if (!isKnownLayout) return { atime: timestampOf(atimeMs), mtime: timestampOf(atimeMs) };
  const atime = Number(native.readBigInt64LE(ATIME_OFFSET));
  const mtime = Number(native.readBigInt64LE(MTIME_OFFSET));
  return { atime: timestampOf(atime), mtime: timestampOf(mtime) };
}

function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 };
}

function millisecondsOf({ seconds, nanoseconds }: Timestamp): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
}

function setDouble(words: Uint32Array, index: number, value: number): void {
  words[index] = value % WORD;
  words[index + 1] = Math.floor(value / WORD);
}
