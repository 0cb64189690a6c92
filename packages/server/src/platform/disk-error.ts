import { isStoreError, StoreError } from '../api/index.js';

const FULL_CODES = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Turns what the operating system reported into the error that crosses the disk's boundary. */
export function diskError(action: string, path: string, cause: unknown): StoreError {
  if (isStoreError(cause)) return cause;
  const code = systemCodeOf(cause);
  if (code !== undefined && FULL_CODES.has(code)) {
    return new StoreError('NoSpace', `Cannot ${action} ${path}: ${code}. Free space or raise the quota.`, {
      cause
    });
  }
  const reason = code ?? (cause instanceof Error ? cause.message : String(cause));
  return new StoreError('DiskFailed', `Cannot ${action} ${path}: ${reason}. ${adviceFor(code)}`, { cause });
}

export function systemCodeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function adviceFor(code: string | undefined): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'Give the process the right to use it.';
    case 'EROFS':
      return 'Mount the file system for writing.';
    case 'EMFILE':
    case 'ENFILE':
      return 'Raise the limit of open files.';
    case 'ENOENT':
      return 'Check that the folder still exists.';
    case 'EEXIST':
      return 'Remove what has the name, or choose another name.';
    default:
      return 'Check the disk and the system log.';
  }
}
