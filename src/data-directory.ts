import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, UsageError } from './usage-error.js';

/** Makes the folder of a store, or says why it cannot be one. */
export async function prepareDataDirectory(path: string): Promise<void> {
  try {
    await makeDirectories(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CommandError(`${path} cannot hold a store: ${reasonOf(error)}`);
  }
}

/** Node's own recursive mkdir never ends where a parent exists and refuses with ENOENT, as /proc does. */
export async function makeDirectories(path: string): Promise<void> {
  const make = () =>
    mkdir(path).catch(async (error: NodeJS.ErrnoException) => {
      const isThere = error.code === 'EEXIST' && (await stat(path)).isDirectory();
      if (!isThere) throw error;
    });
  try {
    await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || path === dirname(path)) throw error;
    await makeDirectories(dirname(path));
    await make();
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
    case 'ENOENT':
      return 'no folder can be made there; choose another --data';
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
