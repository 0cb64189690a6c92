import type { ObjectHead, PosixAttributes, StatResult, Timestamp } from '@stampede/client';

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
  /** In units of 512 bytes. */
  readonly sectorCount: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
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
  return attributesOfFile(stat.head.attributes, stat.head.size, stat.head.modifiedAtMs, defaults);
}

export function attributesOfFile(
  attributes: PosixAttributes,
  sizeBytes: number,
  modifiedAtMs: number,
  defaults: AttributeDefaults
): Attributes {
  const type = (attributes.mode ?? 0) & S_IFMT || S_IFREG;
  const size = type === S_IFLNK ? Buffer.byteLength(attributes.symlinkTarget ?? '') : sizeBytes;
  return {
    ...common(attributes, modifiedAtMs, defaults),
    mode: type | ((attributes.mode ?? 0o666 & ~defaults.umask) & 0o7777),
    size,
    linkCount: 1,
    sectorCount: Math.ceil(size / SECTOR_BYTES)
  };
}

function attributesOfDirectory(head: ObjectHead | undefined, defaults: AttributeDefaults): Attributes {
  const attributes = head?.attributes ?? {};
  return {
    ...common(attributes, head?.modifiedAtMs ?? defaults.mountedAtMs, defaults),
    mode: S_IFDIR | ((attributes.mode ?? 0o777 & ~defaults.umask) & 0o7777),
    size: 0,
    // 1 says "not counted", so that find(1) looks into every directory.
    linkCount: 1,
    sectorCount: 0
  };
}

function common(attributes: PosixAttributes, modifiedAtMs: number, defaults: AttributeDefaults) {
  const modified = timestampOfMs(modifiedAtMs);
  const mtime = attributes.mtime ?? modified;
  return {
    uid: attributes.uid ?? defaults.uid,
    gid: attributes.gid ?? defaults.gid,
    rdev: attributes.rdev ?? 0,
    blockBytes: BLOCK_BYTES_PREFERRED,
    mtime,
    atime: attributes.atime ?? mtime,
    ctime: attributes.ctime ?? modified
  };
}
