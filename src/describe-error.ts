import { isStoreError, type PublicErrorCode, publicCodeOf } from '@stampede/client';
import { FileSystemError } from '@stampede/fs-mount';
import { CommandError, UsageError } from './usage-error.js';

export interface DescribedError {
  /** What went wrong and what to do. */
  readonly message: string;
  readonly exitCode: 1 | 2;
}

/** What is known where the error is shown. */
export interface ErrorContext {
  readonly commandName: string;
  readonly endpoint: string | undefined;
  readonly credentialsSource: string | undefined;
}

/** What system calls say, without their names. */
const BY_ERRNO: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'the operation is not permitted',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is no directory',
  EEXIST: 'it exists already',
  ENOTEMPTY: 'the directory is not empty',
  ENOSPC: 'no space is left on the device; free some and try again',
  EDQUOT: 'the disk quota is used up; free some space and try again',
  EROFS: 'the file system is read-only',
  ELOOP: 'it is a symbolic link, or too many of them',
  ENAMETOOLONG: 'the name is too long',
  EMFILE: 'too many files are open; raise the limit with ulimit -n',
  ETXTBSY: 'the file is a program that runs',
  ENOTCONN: 'the drive it is on has ended; unmount it first',
  EIO: 'the disk or drive failed to read or write',
  ENXIO: 'it is a device or pipe that nobody listens to'
};

/** Anything that a command threw, as the one line that the user sees. */
export function describeError(error: unknown, context: ErrorContext): DescribedError {
  if (error instanceof UsageError) return { message: error.message, exitCode: 2 };
  if (error instanceof CommandError) return { message: error.message, exitCode: 1 };
  if (isStoreError(error)) {
    const code = publicCodeOf(error.code);
    return { message: `${error.message} (${code})${hintFor(code, context)}`, exitCode: 1 };
  }
  if (error instanceof FileSystemError) return { message: error.message, exitCode: 1 };
  const systemError = describeSystemError(error);
  if (systemError !== undefined) return { message: systemError, exitCode: 1 };
  const text = error instanceof Error ? error.message : String(error);
  return {
    message: `unexpected: ${text}; run it again with STAMPEDE_LOG=debug to see where, and report it`,
    exitCode: 1
  };
}

/** One failed file of many: the shortest text that says why. */
export function describeFailure(error: unknown): string {
  if (isStoreError(error)) return `${error.message} (${publicCodeOf(error.code)})`;
  return describeSystemError(error) ?? (error instanceof Error ? error.message : String(error));
}

/** Errors that are nobody's fault but a bug's: their stack is worth showing. */
export function isUnexpected(error: unknown): boolean {
  const isKnown =
    error instanceof UsageError ||
    error instanceof CommandError ||
    error instanceof FileSystemError ||
    describeSystemError(error) !== undefined;
  return !isKnown && (!isStoreError(error) || error.code === 'InternalError');
}

function describeSystemError(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const text = BY_ERRNO[error.code];
  if (text === undefined && !/^E[A-Z0-9]+$/.test(error.code)) return undefined;
  const path = 'path' in error && typeof error.path === 'string' ? `${error.path}: ` : '';
  return `${path}${text ?? error.message}`;
}

function hintFor(code: PublicErrorCode, { commandName, endpoint, credentialsSource }: ErrorContext): string {
  const at = endpoint === undefined ? '' : ` at ${endpoint}`;
  const from = credentialsSource === undefined ? '' : ` from ${credentialsSource}`;
  switch (code) {
    case 'NoSuchBucket':
      return `; "${commandName} bucket ls" lists the buckets`;
    case 'Unauthenticated':
      return `; the store${at} does not take the credentials${from}`;
    case 'AccessDenied':
      return `; the key${from} may not do this`;
    case 'DeadlineExceeded':
      return `; see whether the store${at} is overloaded and try again`;
    default:
      return '';
  }
}
