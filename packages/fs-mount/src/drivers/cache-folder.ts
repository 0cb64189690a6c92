import { lstatSync, readdirSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheDisk, CacheFile, DiskSpace, ListedFile } from '../disk-cache/index.js';
import { FileSystemError } from '../errno.js';
import { type Addon, loadAddon } from './linux/addon.js';

/** Of everything below: another version of the format has another folder. */
const FILES = 'stampede-cache-1';
const LOCK = 'lock';
const SECTOR_BYTES = 512;
/** By the first two characters of a name. */
const FOLDERS = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'));

/**
 * The folder of a disk cache, made where it is not there; nobody else has it until it is closed or the process ends.
 *
 * @throws FileSystemError `EBUSY` while another mount has it, `ENOSYS` where files cannot be locked, `EACCES`.
 */
export async function openCacheFolder(folder: string): Promise<CacheDisk> {
  const addon = loadAddon();
  if (typeof addon === 'string')
    throw new FileSystemError('ENOSYS', `the disk cache cannot lock its folder: ${addon}`);
  const files = join(folder, FILES);
  const lock = await openLock(folder, files);
  const errno = addon.lockFile(lock.fd);
  if (errno === 0) return new CacheFolder(files, lock, addon);
  await lock.close();
  throw new FileSystemError('EBUSY', `${folder} is the disk cache of another mount; give each its own`);
}

async function openLock(folder: string, files: string): Promise<FileHandle> {
  try {
    await mkdir(files, { recursive: true, mode: 0o700 });
    for (const folder of FOLDERS) await mkdir(join(files, folder), { mode: 0o700 }).catch(unlessThere);
    return await open(join(files, LOCK), 'a', 0o600);
  } catch (error) {
    throw new FileSystemError('EACCES', `${folder} cannot be the disk cache: ${String(error)}`, {
      cause: error
    });
  }
}

class CacheFolder implements CacheDisk {
  readonly #folder: string;
  readonly #lock: FileHandle;
  readonly #addon: Addon;
  #draftCount = 0;

  constructor(folder: string, lock: FileHandle, addon: Addon) {
    this.#folder = folder;
    this.#lock = lock;
    this.#addon = addon;
  }

  /** A few thousand names at a time, for which synchronous calls take a tenth of what the others do. */
  async *list(): AsyncGenerator<readonly ListedFile[]> {
    for (const folder of FOLDERS) {
      yield readdirSync(join(this.#folder, folder)).map((name) => listed(join(this.#folder, folder), name));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return readFile(this.#pathOf(name)).catch(unlessMissing);
  }

  async replace(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(name);
    const draft = `${path}.draft-${++this.#draftCount}`;
    const file = await open(draft, 'w', 0o600);
    try {
      await writeAll(file, 0, bytes);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  }

  async open(name: string): Promise<CacheFile | undefined> {
    const file = await open(this.#pathOf(name), 'r+').catch(unlessMissing);
    return file && new OpenCacheFile(file, this.#addon);
  }

  async create(name: string, sizeBytes: number): Promise<CacheFile> {
    // Not the file that is there, which a kernel may be reading.
    await this.remove(name);
    const file = new OpenCacheFile(await open(this.#pathOf(name), 'wx+', 0o600), this.#addon);
    await file.truncate(sizeBytes);
    return file;
  }

  async remove(name: string): Promise<void> {
    await unlink(this.#pathOf(name)).catch(unlessMissing);
  }

  async space(): Promise<DiskSpace> {
    const { bsize, blocks, bavail } = await statfs(this.#folder);
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
  }

  async close(): Promise<void> {
    await this.#lock.close();
  }

  #pathOf(name: string): string {
    return join(this.#folder, name.slice(0, 2), name);
  }
}

class OpenCacheFile implements CacheFile {
  readonly #file: FileHandle;
  readonly #addon: Addon;

  constructor(file: FileHandle, addon: Addon) {
    this.#file = file;
    this.#addon = addon;
  }

  get descriptor(): number {
    return this.#file.fd;
  }

  async read(offset: number, into: Uint8Array): Promise<number> {
    let position = 0;
    while (position < into.byteLength) {
      const rest = into.byteLength - position;
      const { bytesRead } = await this.#file.read(into, position, rest, offset + position);
      if (bytesRead === 0) break;
      position += bytesRead;
    }
    return position;
  }

  readNow(offset: number, into: Uint8Array): number {
    return this.#addon.readNow(this.#file.fd, into, offset);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await writeAll(this.#file, offset, bytes);
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#file.truncate(sizeBytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function writeAll(file: FileHandle, offset: number, bytes: Uint8Array): Promise<void> {
  let position = 0;
  while (position < bytes.byteLength) {
    const rest = bytes.byteLength - position;
    position += (await file.write(bytes, position, rest, offset + position)).bytesWritten;
  }
}

function listed(folder: string, name: string): ListedFile {
  const { size, blocks, atimeMs, mtimeMs } = lstatSync(join(folder, name));
  return {
    name,
    sizeBytes: size,
    usedBytes: blocks * SECTOR_BYTES,
    usedAtMs: Math.max(atimeMs, mtimeMs)
  };
}

function unlessMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

function unlessThere(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
}
