import { constants } from 'node:os';
import { type ErrorCode, isStoreError } from '@stampede/client';

/** Positive numbers of this platform; drivers negate them where their kernel interface wants that. */
export const ERRNO = constants.errno;
export type ErrnoName = keyof typeof ERRNO;

/** What a program that called read(2), open(2), … sees when the store answers with a code. Total by type. */
export const ERRNO_BY_CODE = {
  InvalidArgument: ERRNO.EINVAL,
  InvalidRange: ERRNO.EINVAL,
  InvalidPart: ERRNO.EIO,
  EntityTooLarge: ERRNO.EFBIG,
  EntityTooSmall: ERRNO.EINVAL,
  BadDigest: ERRNO.EIO,
  Unauthenticated: ERRNO.EACCES,
  AccessDenied: ERRNO.EACCES,
  QuotaExceeded: ERRNO.EDQUOT,
  NoSuchBucket: ERRNO.ENOENT,
  NoSuchKey: ERRNO.ENOENT,
  NoSuchUpload: ERRNO.ESTALE,
  NoSuchVersion: ERRNO.ESTALE,
  BucketAlreadyExists: ERRNO.EEXIST,
  BucketNotEmpty: ERRNO.ENOTEMPTY,
  PrefixNotEmpty: ERRNO.ENOTEMPTY,
  PreconditionFailed: ERRNO.ESTALE,
  // Programs do not expect EAGAIN of a file; by now the client has already waited and tried again.
  SlowDown: ERRNO.ETIMEDOUT,
  ServiceUnavailable: ERRNO.EIO,
  DeadlineExceeded: ERRNO.ETIMEDOUT,
  Cancelled: ERRNO.EINTR,
  NoSpace: ERRNO.ENOSPC,
  ChecksumMismatch: ERRNO.EIO,
  InternalError: ERRNO.EIO,
  WrongPartition: ERRNO.EIO,
  StaleEpoch: ERRNO.EIO,
  ExtentSealed: ERRNO.EIO,
  ExtentNotFound: ERRNO.EIO,
  ReplicaUnavailable: ERRNO.EIO,
  MetaCompacted: ERRNO.EIO,
  DiskFailed: ERRNO.EIO
} as const satisfies Record<ErrorCode, number>;

/** The answer of a file operation that did not succeed, as errno(3) names it. */
export class FileSystemError extends Error {
  override readonly name = 'FileSystemError';
  readonly code: ErrnoName;

  constructor(code: ErrnoName, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }

  get errno(): number {
    return ERRNO[this.code];
  }
}

/** The errno of anything an operation threw. What is neither an answer nor a store error is a bug: undefined. */
export function findErrno(error: unknown): number | undefined {
  if (error instanceof FileSystemError) return error.errno;
  if (isStoreError(error)) return ERRNO_BY_CODE[error.code];
  return undefined;
}

/** True when the same call may succeed later, so that data which could not be stored is kept for another try. */
export function isTransient(error: unknown): boolean {
  if (!isStoreError(error)) return false;
  return error.traits.retry !== 'never' || error.code === 'InternalError' || error.code === 'Cancelled';
}
