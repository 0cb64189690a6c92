import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StoreError } from '../api/index.js';
import { type Disk, type DiskSpace, SMALL_FILE_BYTES_MAX } from './disk.js';
import { diskError, systemCodeOf } from './disk-error.js';
import { SystemFile } from './system-file.js';

/** The disks of this machine, through the operating system. */
export function systemDisk(): Disk {
  let temporaryCount = 0;
  return {
    createFile: (path) => attempt('create', path, async () => new SystemFile(path, await open(path, 'wx+'))),
    findFile: (path) =>
      attempt('open', path, async () => {
        const handle = await findHandle(path, 'r+');
        return handle && new SystemFile(path, handle);
      }),
    list: (directory) => attempt('list', directory, () => listNames(directory)),
    createDirectory: (path) => attempt('create directory', path, () => createDirectory(path)),
    rename: (from, to) => attempt('rename', from, () => rename(from, to)),
    remove: (path) => attempt('remove', path, () => rm(path, { force: true })),
    removeDirectory: (path) => attempt('remove', path, () => rm(path, { force: true, recursive: true })),
    syncDirectory: (path) => attempt('sync directory', path, () => syncDirectory(path)),
    findBytes: (path) => attempt('read', path, () => findBytes(path)),
    writeBytes: (path, bytes, modeBits = 0o644) => {
      // A name of its own, so that two concurrent replacements do not write into one file.
      const temporaryPath = `${path}.${temporaryCount++}.tmp`;
      return attempt('write', path, () => replaceBytes({ path, temporaryPath, bytes, modeBits }));
    },
    space: (path) => attempt('measure the space of', path, () => spaceOf(path))
  };
}

async function attempt<Result>(action: string, path: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (cause) {
    throw diskError(action, path, cause);
  }
}

async function findHandle(path: string, flags: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, flags);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function listNames(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Syncs from the new directory's parent up to the parent of the topmost directory that was missing. */
async function createDirectory(path: string): Promise<void> {
  const topmost = (await mkdir(path, { recursive: true })) ?? path;
  let parent = dirname(path);
  await syncDirectory(parent);
  while (parent.length > dirname(topmost).length) {
    parent = dirname(parent);
    await syncDirectory(parent);
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using handle = await open(path, 'r');
  await handle.sync();
}

async function findBytes(path: string): Promise<Uint8Array | undefined> {
  const handle = await findHandle(path, 'r');
  if (!handle) return undefined;
  await using file = handle;
  const { size } = await file.stat();
  if (size > SMALL_FILE_BYTES_MAX) {
    throw new StoreError('DiskFailed', `${path} has ${size} bytes and is no small file. Check the folder.`);
  }
  return await file.readFile();
}

interface Replacement {
  readonly path: string;
  readonly temporaryPath: string;
  readonly bytes: Uint8Array;
  readonly modeBits: number;
}

async function replaceBytes({ path, temporaryPath, bytes, modeBits }: Replacement): Promise<void> {
  try {
    {
      await using handle = await open(temporaryPath, 'w', modeBits);
      // The mode above does not change a file that an earlier crash left, and the umask may have narrowed it.
      await handle.chmod(modeBits);
      await handle.writeFile(bytes);
      await handle.datasync();
    }
    await rename(temporaryPath, path);
  } catch (error) {
    // Best effort: the error that matters is the one above, and the next replacement overwrites the file.
    await rm(temporaryPath, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function spaceOf(path: string): Promise<DiskSpace> {
  const { bsize, blocks, bavail } = await statfs(path);
  return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
}
