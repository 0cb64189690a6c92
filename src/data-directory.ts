import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { CommandError, UsageError } from './usage-error.js';

/** Makes the folder of a store, or says why it cannot be one. */
export async function prepareDataDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CommandError(`${path} cannot hold a store: ${reasonOf(error)}`);
  }
}

/** A store below its own drive would wait for itself. */
export function assertApart(data: string, mount: string): void {
  if (data === mount || data.startsWith(`${mount}/`))
    throw new UsageError(`the store ${data} lies on its drive ${mount}; choose another --mount or --data`);
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return 'you may not write there; choose another --data, or change its owner';
    case 'EROFS':
      return 'the file system is read-only; choose another --data';
    case 'EEXIST':
    case 'ENOTDIR':
      return 'it is, or lies below, a file; choose another --data';
    case 'ENOSPC':
      return 'no space is left on the disk; free some';
    default:
      return code ?? String(error);
  }
}
