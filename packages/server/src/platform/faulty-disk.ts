import { dirname } from 'node:path/posix';
import { StoreError } from '../api/index.js';
import type { Disk, DiskFile, DiskSpace } from './disk.js';
import { type DiskOperation, type DiskRule, DiskRules } from './disk-rules.js';
import type { Random } from './random.js';
import { UnsyncedWrites } from './unsynced-writes.js';

export interface FaultyDiskOptions {
  readonly random: Random;
  readonly rules?: readonly DiskRule[];
}

/**
 * Wraps any disk and lets operations fail by rules; without rules it adds nothing. A failed sync loses some of what was
 * written since the last one and ends the file's use for writes, as the system's does.
 */
export class FaultyDisk implements Disk {
  readonly rules: DiskRules;
  readonly #disk: Disk;
  readonly #random: Random;

  constructor(disk: Disk, options: FaultyDiskOptions) {
    this.#disk = disk;
    this.#random = options.random;
    this.rules = new DiskRules(options.random, options.rules);
  }

  async createFile(path: string): Promise<DiskFile> {
    await this.#pass('create', path);
    return this.#wrap(path, await this.#disk.createFile(path));
  }

  async findFile(path: string): Promise<DiskFile | undefined> {
    await this.#pass('open', path);
    const file = await this.#disk.findFile(path);
    return file && this.#wrap(path, file);
  }

  async list(directory: string): Promise<readonly string[]> {
    await this.#pass('list', directory);
    return await this.#disk.list(directory);
  }

  async createDirectory(path: string): Promise<void> {
    await this.#pass('createDirectory', path);
    await this.#disk.createDirectory(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#pass('rename', from);
    await this.#disk.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await this.#pass('remove', path);
    await this.#disk.remove(path);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#pass('removeDirectory', path);
    await this.#disk.removeDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#pass('syncDirectory', path);
    await this.#disk.syncDirectory(path);
  }

  async findBytes(path: string): Promise<Uint8Array | undefined> {
    await this.#pass('open', path);
    const isFlipped = await this.#pass('read', path);
    const bytes = await this.#disk.findBytes(path);
    if (bytes && isFlipped) this.#flipBit(bytes, bytes.byteLength);
    return bytes;
  }

  async writeBytes(path: string, bytes: Uint8Array, modeBits?: number): Promise<void> {
    for (const operation of ['create', 'write', 'sync', 'rename'] as const) await this.#pass(operation, path);
    await this.#disk.writeBytes(path, bytes, modeBits);
    // The new bytes are there although the caller is told otherwise, as after a failed sync of the directory.
    await this.#pass('syncDirectory', dirname(path));
  }

  async space(path: string): Promise<DiskSpace> {
    await this.#pass('space', path);
    return await this.#disk.space(path);
  }

  #wrap(path: string, file: DiskFile): DiskFile {
    const unsynced = new UnsyncedWrites();
    let syncFailure: unknown;
    const requireSynced = (): void => {
      if (syncFailure) throw syncFailure;
    };
    return {
      read: async (into, offset) => {
        const isFlipped = await this.#pass('read', path);
        const length = await file.read(into, offset);
        if (isFlipped) this.#flipBit(into, length);
        return length;
      },
      write: async (parts, offset) => {
        requireSynced();
        const fault = this.rules.findFault('write', path);
        if (!this.rules.isEmpty) await unsynced.note(file, parts, offset);
        if (fault && fault !== 'hang') await this.#writeFirstPart(file, parts, offset);
        await this.#suffer(fault, 'write', path);
        await file.write(parts, offset);
      },
      sync: async () => {
        requireSynced();
        try {
          await this.#pass('sync', path);
        } catch (error) {
          await unsynced.loseSome(file, this.#random);
          syncFailure = error;
          throw error;
        }
        await unsynced.sync(file);
      },
      truncate: async (lengthBytes) => {
        await this.#pass('truncate', path);
        await file.truncate(lengthBytes);
      },
      size: async () => {
        await this.#pass('size', path);
        return await file.size();
      },
      close: async () => {
        // Closed in any case, so that a faulty close leaks nothing.
        await file.close();
        await this.#pass('close', path);
      }
    };
  }

  /** Resolves to whether the bytes read shall be damaged. */
  async #pass(operation: DiskOperation, path: string): Promise<boolean> {
    return await this.#suffer(this.rules.findFault(operation, path), operation, path);
  }

  async #suffer(
    fault: DiskRule['fail'] | undefined,
    operation: DiskOperation,
    path: string
  ): Promise<boolean> {
    switch (fault) {
      case undefined:
        return false;
      case 'flip':
        return true;
      case 'hang':
        return await new Promise<never>(() => undefined);
      case 'ENOSPC':
        throw new StoreError('NoSpace', `Cannot ${operation} ${path}: ENOSPC (by a fault rule). Free space.`);
      case 'EIO':
        throw new StoreError(
          'DiskFailed',
          `Cannot ${operation} ${path}: EIO (by a fault rule). Check the disk.`
        );
    }
  }

  async #writeFirstPart(file: DiskFile, parts: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = Buffer.concat(parts);
    const length = Math.floor(this.#random.fraction() * bytes.byteLength);
    if (length > 0) await file.write([bytes.subarray(0, length)], offset);
  }

  #flipBit(bytes: Uint8Array, length: number): void {
    if (length === 0) return;
    const index = Math.floor(this.#random.fraction() * length);
    bytes[index]! ^= 1 << Math.floor(this.#random.fraction() * 8);
  }
}
