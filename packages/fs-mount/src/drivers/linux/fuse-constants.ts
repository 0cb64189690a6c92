/*
 * Numbers of <linux/fuse.h> under its own names; the test beside compares them with it. What is newer than that header on
 * the machine is left out there.
 */

export const PROTOCOL = {
  FUSE_KERNEL_VERSION: 7,
  FUSE_ROOT_ID: 1
} as const;

/** The newest minor version whose structures are described here. */
export const MINOR_VERSION = 38;
/** Since then the answer to INIT has all its fields. */
export const LONG_INIT_MINOR_VERSION = 23;
/** Linux 4.20. Older kernels are left to the other driver. */
export const MINOR_VERSION_MIN = 28;

export const OPCODE = {
  FUSE_LOOKUP: 1,
  FUSE_FORGET: 2,
  FUSE_GETATTR: 3,
  FUSE_SETATTR: 4,
  FUSE_READLINK: 5,
  FUSE_SYMLINK: 6,
  FUSE_MKNOD: 8,
  FUSE_MKDIR: 9,
  FUSE_UNLINK: 10,
  FUSE_RMDIR: 11,
  FUSE_RENAME: 12,
  FUSE_LINK: 13,
  FUSE_OPEN: 14,
  FUSE_READ: 15,
  FUSE_WRITE: 16,
  FUSE_STATFS: 17,
  FUSE_RELEASE: 18,
  FUSE_FSYNC: 20,
  FUSE_SETXATTR: 21,
  FUSE_GETXATTR: 22,
  FUSE_LISTXATTR: 23,
  FUSE_REMOVEXATTR: 24,
  FUSE_FLUSH: 25,
  FUSE_INIT: 26,
  FUSE_OPENDIR: 27,
  FUSE_READDIR: 28,
  FUSE_RELEASEDIR: 29,
  FUSE_FSYNCDIR: 30,
  FUSE_GETLK: 31,
  FUSE_SETLK: 32,
  FUSE_SETLKW: 33,
  FUSE_ACCESS: 34,
  FUSE_CREATE: 35,
  FUSE_INTERRUPT: 36,
  FUSE_DESTROY: 38,
  FUSE_BATCH_FORGET: 42,
  FUSE_FALLOCATE: 43,
  FUSE_READDIRPLUS: 44,
  FUSE_RENAME2: 45,
  FUSE_LSEEK: 46,
  FUSE_COPY_FILE_RANGE: 47
} as const;

/** Linux 6.1 and later; newer than the header of many machines, so that the test does not compare it. */
export const NEWER_OPCODE = { FUSE_TMPFILE: 51 } as const;

/** What a driver and a kernel may agree on. */
export const INIT_FLAG = {
  FUSE_ASYNC_READ: 1 << 0,
  FUSE_ATOMIC_O_TRUNC: 1 << 3,
  FUSE_BIG_WRITES: 1 << 5,
  FUSE_DO_READDIRPLUS: 1 << 13,
  FUSE_READDIRPLUS_AUTO: 1 << 14,
  FUSE_ASYNC_DIO: 1 << 15,
  FUSE_PARALLEL_DIROPS: 1 << 18,
  FUSE_MAX_PAGES: 1 << 22,
  FUSE_HANDLE_KILLPRIV_V2: 1 << 28,
  FUSE_INIT_EXT: 1 << 30
} as const;

/** Wanted where the store keeps the locks; without, the kernel does. */
export const LOCK_INIT_FLAG = {
  FUSE_POSIX_LOCKS: 1 << 1,
  FUSE_FLOCK_LOCKS: 1 << 10
} as const;

/** Of <fcntl.h>. */
export const LOCK_TYPE = { F_RDLCK: 0, F_WRLCK: 1, F_UNLCK: 2 } as const;

/*
 * Newer than the header of many machines, so that the test does not compare them: Linux 6.9 and later have them. Of the
 * second word of flags.
 */
export const NEWER_INIT_FLAG = { FUSE_PASSTHROUGH: 1 << 5 } as const;
export const NEWER_FOPEN = { FOPEN_PASSTHROUGH: 1 << 7 } as const;

/** Which fields of a SETATTR request count. */
export const FATTR = {
  FATTR_MODE: 1 << 0,
  FATTR_UID: 1 << 1,
  FATTR_GID: 1 << 2,
  FATTR_SIZE: 1 << 3,
  FATTR_ATIME: 1 << 4,
  FATTR_MTIME: 1 << 5,
  FATTR_FH: 1 << 6,
  FATTR_ATIME_NOW: 1 << 7,
  FATTR_MTIME_NOW: 1 << 8,
  FATTR_KILL_SUIDGID: 1 << 11
} as const;

export const FOPEN = {
  FOPEN_DIRECT_IO: 1 << 0,
  FOPEN_KEEP_CACHE: 1 << 1,
  FOPEN_STREAM: 1 << 4,
  FOPEN_NOFLUSH: 1 << 5
} as const;

export const REQUEST_FLAG = {
  /** Pages of a mapping: which of the file's handles wrote them is a guess. */
  FUSE_WRITE_CACHE: 1 << 0,
  FUSE_WRITE_KILL_SUIDGID: 1 << 2,
  FUSE_OPEN_KILL_SUIDGID: 1 << 0,
  FUSE_RELEASE_FLOCK_UNLOCK: 1 << 1,
  FUSE_LK_FLOCK: 1 << 0
} as const;

export const NOTIFY = {
  FUSE_NOTIFY_INVAL_INODE: 2,
  FUSE_NOTIFY_INVAL_ENTRY: 3,
  /** A name is looked up again instead of being dropped with all that is in use below it. Older kernels drop it. */
  FUSE_EXPIRE_ONLY: 1
} as const;

/** All names at once, since minor version 44. */
export const FUSE_NOTIFY_INC_EPOCH = 8;
export const EPOCH_MINOR_VERSION = 44;
