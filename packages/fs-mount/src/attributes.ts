import type { ObjectHead, PosixAttributes, StatResult, Timestamp } from '@stampede/client';
import { bytesOfName } from './path.js';

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** What programs read and write at once; the size they choose for their own buffers. */
const BLOCK_BYTES_PREFERRED = 128 * 1024;
const SECTOR_BYTES = 512;

/** What a file or directory is to stat(2). Times to the nanosecond. */
export interface Attributes {
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly linkCount: number;
  readonly rdev: number;
  readonly blockBytes: number;
  /** In units of 512 bytes; holes take none. */
  readonly sectorCount: number;
  /** There may be fewer sectors once what was written is stored: not to be remembered. */
  readonly isGuess: boolean;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

/** The space of one file, in bytes. */
export interface FileSpace {
  readonly size: number;
  /** Those that are no hole. */
  readonly takenBytes: number;
  readonly isGuess: boolean;
}

/** What objects without POSIX attributes of their own show. */
export interface AttributeDefaults {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  /** The times of directories that have no marker. */
  readonly mountedAtMs: number;
}

export function timestampOfMs(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)) };
}

export function attributesOfStat(
  stat: Exclude<StatResult, { readonly type: 'none' }>,
  defaults: AttributeDefaults
): Attributes {
  if (stat.type === 'directory') return attributesOfDirectory(stat.head, defaults);
  const { attributes, size, holeBytes = 0, modifiedAtMs } = stat.head;
  const space = { size, takenBytes: size - holeBytes, isGuess: false };
  return attributesOfFile(attributes, space, modifiedAtMs, defaults);
}

export function attributesOfFile(
  attributes: PosixAttributes,
  space: FileSpace,
  modifiedAtMs: number,
  defaults: AttributeDefaults
): Attributes {
  const type = (attributes.mode ?? 0) & S_IFMT || S_IFREG;
  const linkBytes = type === S_IFLNK ? bytesOfName(attributes.symlinkTarget ?? '').byteLength : undefined;
  const mode = type | ((attributes.mode ?? 0o666 & ~defaults.umask) & 0o7777);
  return withTimes(attributes, modifiedAtMs, {
    mode,
    size: linkBytes ?? space.size,
    takenBytes: linkBytes ?? space.takenBytes,
    isGuess: space.isGuess,
    defaults
  });
}

function attributesOfDirectory(head: ObjectHead | undefined, defaults: AttributeDefaults): Attributes {
  const attributes = head?.attributes ?? {};
  const mode = S_IFDIR | ((attributes.mode ?? 0o777 & ~defaults.umask) & 0o7777);
  const space = { size: 0, takenBytes: 0, isGuess: false };
  return withTimes(attributes, head?.modifiedAtMs ?? defaults.mountedAtMs, { mode, ...space, defaults });
}

/** One literal, as it is made for every stat(2): V8 keeps objects that are spread together until its next full collection. */
function withTimes(
  attributes: PosixAttributes,
  modifiedAtMs: number,
  {
    mode,
    size,
    takenBytes,
    isGuess,
    defaults
  }: FileSpace & { readonly mode: number; readonly defaults: AttributeDefaults }
): Attributes {
  const mtime = attributes.mtime ?? timestampOfMs(modifiedAtMs);
  return {
    mode,
    uid: attributes.uid ?? defaults.uid,
    gid: attributes.gid ?? defaults.gid,
    size,
    // For directories 1 says "not counted", so that find(1) looks into every one.
    linkCount: 1,
    rdev: attributes.rdev ?? 0,
    blockBytes: BLOCK_BYTES_PREFERRED,
    sectorCount: Math.ceil(takenBytes / SECTOR_BYTES),
    isGuess,
    atime: attributes.atime ?? mtime,
    mtime,
    ctime: attributes.ctime ?? timestampOfMs(modifiedAtMs)
  };
}
