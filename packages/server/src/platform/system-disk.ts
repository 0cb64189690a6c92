import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError } from '../api/index.js';
import type { Disk, DiskFile, DiskSpace } from './disk.js';

/** The machine's own disk. */
export function systemDisk(): Disk {
  return new SystemDisk();
}

class SystemDisk implements Disk {
  async createFile(path: string): Promise<DiskFile> {
    return guarded(`create ${path}`, async () => new SystemFile(path, await fs.open(path, 'wx+')));
  }

  async findFile(path: string): Promise<DiskFile | undefined> {
    return guarded(`open ${path}`, async () => {
      const handle = await unlessAbsent(fs.open(path, 'r+'));
      return handle && new SystemFile(path, handle);
    });
  }

  async list(directory: string): Promise<readonly string[]> {
    return guarded(`list ${directory}`, async () =>
      ((await unlessAbsent(fs.readdir(directory))) ?? []).sort()
    );
  }

  async createDirectory(path: string): Promise<void> {
    await guarded(`create folder ${path}`, async () => {
      const first = await fs.mkdir(path, { recursive: true });
      if (first === undefined) return;
      for (let created = path; ; created = dirname(created)) {
        await this.syncDirectory(dirname(created));
        if (created === first || created === dirname(created)) break;
      }
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await guarded(`rename ${from}`, () => fs.rename(from, to));
  }

  async remove(path: string): Promise<void> {
    await guarded(`remove ${path}`, () => fs.rm(path, { force: true }));
  }

  async removeDirectory(path: string): Promise<void> {
    await guarded(`remove ${path}`, () => fs.rm(path, { recursive: true, force: true }));
  }

  async syncDirectory(path: string): Promise<void> {
    await guarded(`sync folder ${path}`, async () => {
      const handle = await fs.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  }

  async findBytes(path: string): Promise<Uint8Array | undefined> {
    return guarded(`read ${path}`, () => unlessAbsent(fs.readFile(path)));
  }

  async writeBytes(path: string, bytes: Uint8Array, modeBits = 0o644): Promise<void> {
    await guarded(`write ${path}`, async () => {
      const temporary = join(dirname(path), `.${process.pid}.${Math.random().toString(36).slice(2)}.new`);
      try {
        const handle = await fs.open(temporary, 'wx', modeBits);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await fs.rename(temporary, path);
      } catch (error) {
        await fs.rm(temporary, { force: true });
        throw error;
      }
      await this.syncDirectory(dirname(path));
    });
  }

  async space(path: string): Promise<DiskSpace> {
    return guarded(`statfs ${path}`, async () => {
      const { bsize, blocks, bavail } = await fs.statfs(path);
      return { totalBytes: bsize * blocks, freeBytes: bsize * bavail };
    });
  }
}

class SystemFile implements DiskFile {
  constructor(
    readonly path: string,
    readonly handle: fs.FileHandle
  ) {}

  async read(into: Uint8Array, offset: number): Promise<number> {
    return guarded(`read ${this.path}`, async () => {
      let done = 0;
      while (done < into.byteLength) {
        const { bytesRead } = await this.handle.read(into, done, into.byteLength - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  async write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    await guarded(`write ${this.path}`, async () => {
      // writev takes at most 1,024 buffers.
      let at = offset;
      for (let first = 0; first < parts.length; first += 1024)
        at = await this.#writeAll(parts.slice(first, first + 1024), at);
    });
  }

  async #writeAll(parts: readonly Uint8Array[], offset: number): Promise<number> {
    let rest = parts;
    let at = offset;
    while (rest.length > 0) {
      const { bytesWritten } = await this.handle.writev(rest, at);
      at += bytesWritten;
      rest = without(rest, bytesWritten);
    }
    return at;
  }

  async sync(): Promise<void> {
    await guarded(`sync ${this.path}`, () => this.handle.datasync());
  }
  async truncate(lengthBytes: number): Promise<void> {
    await guarded(`truncate ${this.path}`, () => this.handle.truncate(lengthBytes));
  }
  async size(): Promise<number> {
    return guarded(`stat ${this.path}`, async () => (await this.handle.stat()).size);
  }
  async close(): Promise<void> {
    await guarded(`close ${this.path}`, () => this.handle.close());
  }
}

function without(parts: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let rest = count;
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index]!;
    if (rest < part.byteLength) return [part.subarray(rest), ...parts.slice(index + 1)];
    rest -= part.byteLength;
  }
  return [];
}

async function unlessAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function guarded<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError) throw error;
    const code = codeOf(error);
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new StoreError('NoSpace', `${what}: the disk is full; free some space`, { cause: error });
    throw new StoreError('DiskFailed', `${what} failed with ${code ?? error}`, { cause: error });
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
