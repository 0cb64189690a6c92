import { type ErrorCode, StoreError } from '@stampede/client';
import t from 'tap';
import { ERRNO, ERRNO_BY_CODE, type ErrnoName, FileSystemError, findErrno, isTransient } from './errno.js';

/** What a program sees of each answer of the store, and whether what it wrote is kept for another try. */
const EXPECTED: Readonly<Record<ErrorCode, readonly [errno: ErrnoName, isKept: boolean]>> = {
  InvalidArgument: ['EINVAL', false],
  InvalidRange: ['EINVAL', false],
  InvalidPart: ['EIO', false],
  EntityTooLarge: ['EFBIG', false],
  EntityTooSmall: ['EINVAL', false],
  BadDigest: ['EIO', false],
  Unauthenticated: ['EACCES', false],
  AccessDenied: ['EACCES', false],
  QuotaExceeded: ['EDQUOT', false],
  NoSuchBucket: ['ENOENT', false],
  NoSuchKey: ['ENOENT', false],
  NoSuchUpload: ['ESTALE', false],
  NoSuchVersion: ['ESTALE', false],
  BucketAlreadyExists: ['EEXIST', false],
  BucketNotEmpty: ['ENOTEMPTY', false],
  PrefixNotEmpty: ['ENOTEMPTY', false],
  PreconditionFailed: ['ESTALE', false],
  SlowDown: ['ETIMEDOUT', true],
  ServiceUnavailable: ['EIO', true],
  DeadlineExceeded: ['ETIMEDOUT', true],
  Cancelled: ['EINTR', true],
  NoSpace: ['ENOSPC', false],
  ChecksumMismatch: ['EIO', false],
  InternalError: ['EIO', true],
  WrongPartition: ['EIO', true],
  StaleEpoch: ['EIO', true],
  ExtentSealed: ['EIO', true],
  ExtentNotFound: ['EIO', true],
  ReplicaUnavailable: ['EIO', true],
  MetaCompacted: ['EIO', true],
  DiskFailed: ['EIO', false]
};

t.test('each code of the store has an errno', (t) => {
  t.same(Object.keys(ERRNO_BY_CODE).sort(), Object.keys(EXPECTED).sort());
  for (const [code, [errno, isKept]] of Object.entries(EXPECTED)) {
    const error = new StoreError(code as ErrorCode, 'as the store says');
    t.equal(findErrno(error), ERRNO[errno], code);
    t.equal(isTransient(error), isKept, `${code}: kept`);
  }
  t.end();
});

t.test('an answer of the file system is its own errno, and a bug is none', (t) => {
  t.equal(findErrno(new FileSystemError('ENOTEMPTY', 'full')), ERRNO.ENOTEMPTY);
  t.equal(findErrno(new TypeError('a bug')), undefined);
  t.notOk(isTransient(new TypeError('a bug')));
  t.end();
});
