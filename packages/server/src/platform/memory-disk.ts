import { dirname } from 'node:path/posix';
import { StoreError } from '../api/index.js';
import { type Disk, type DiskFile, type DiskSpace, SMALL_FILE_BYTES_MAX } from './disk.js';
import { MemoryFileContent } from './memory-file-content.js';
import { MemoryNames } from './memory-names.js';
import type { Random } from './random.js';

export interface MemoryDiskOptions {
  /** Bytes of all files together; a write that would exceed it writes what fits and fails with `NoSpace`. */
  readonly capacityBytes?: number;
}

export interface CrashOptions {
  /** Decides what of the unsynced changes survives; absent = nothing does. */
  readonly random?: Random;
}

const CAPACITY_BYTES_DEFAULT = 2 ** 40;

/**
 * A disk in memory that knows exactly what a crash would lose. Tolerated faults that it shows: unsynced bytes of a
 * file kept, lost or torn, each write on its own; unsynced names lost from some point on; a full disk.
 */
export class MemoryDisk implements Disk {
  #names = new MemoryNames<MemoryFileContent>();
  #capacityBytes: number;
  #temporaryCount = 0;
  /** Grows with each crash; files opened before it are dead. */
  #life = 0;

  constructor(options: MemoryDiskOptions = {}) {
    this.#capacityBytes = options.capacityBytes ?? CAPACITY_BYTES_DEFAULT;
  }

  /** Turns this disk into what a power cut leaves; files that were open fail from now on. */
  crash(options: CrashOptions = {}): void {
    this.#names = this.#namesAfterCrash(options);
    this.#life += 1;
  }

  /** The disk that a power cut at this moment would leave; this one goes on. */
  snapshotAfterCrash(options: CrashOptions = {}): MemoryDisk {
    const left = new MemoryDisk({ capacityBytes: this.#capacityBytes });
    left.#names = this.#namesAfterCrash(options);
    return left;
  }

  /**
   * Bytes of a file that a power cut cannot take any more; `undefined` when it can take the whole file.
   * @returns A view, fewer bytes where the file ends; good only until the file changes.
   */
  findDurableBytes(path: string, start = 0, end = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    return this.#names.findDurable(path)?.durableBytes(start, end);
  }

  get usedBytes(): number {
    let usedBytes = 0;
    for (const content of this.#names.contents()) usedBytes += content.lengthBytes;
    return usedBytes;
  }

  setCapacity(capacityBytes: number): void {
    this.#capacityBytes = capacityBytes;
  }

  async createFile(path: string): Promise<DiskFile> {
    this.#requireParent('create', path);
    if (this.#names.find(path) || this.#names.hasDirectory(path)) {
      throw new StoreError('DiskFailed', `Cannot create ${path}: the name is taken. Choose another name.`);
    }
    const content = new MemoryFileContent();
    this.#names.change({ type: 'link', path, content });
    return this.#open(path, content);
  }

  async findFile(path: string): Promise<DiskFile | undefined> {
    this.#requireNoDirectory('open', path);
    const content = this.#names.find(path);
    return content && this.#open(path, content);
  }

  async list(directory: string): Promise<readonly string[]> {
    return this.#names.list(directory);
  }

  async createDirectory(path: string): Promise<void> {
    for (let parent = path; parent !== '/'; parent = dirname(parent)) {
      if (!this.#names.find(parent)) continue;
      throw new StoreError(
        'DiskFailed',
        `Cannot create directory ${path}: ${parent} is a file. Choose another name.`
      );
    }
    this.#names.createDirectory(path);
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.#names.find(from);
    if (!content)
      throw new StoreError('DiskFailed', `Cannot rename ${from}: there is no such file. Check the folder.`);
    this.#requireParent('rename', to);
    this.#requireNoDirectory('rename', to);
    if (from !== to) this.#names.change({ type: 'rename', from, path: to, content });
  }

  async remove(path: string): Promise<void> {
    this.#requireNoDirectory('remove', path);
    if (this.#names.find(path)) this.#names.change({ type: 'unlink', path });
  }

  async removeDirectory(path: string): Promise<void> {
    if (this.#names.hasDirectory(path)) this.#names.change({ type: 'removeTree', path });
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.#names.hasDirectory(path)) {
      throw new StoreError('DiskFailed', `Cannot sync directory ${path}: there is none. Check the folder.`);
    }
    this.#names.syncDirectory(path);
  }

  async findBytes(path: string): Promise<Uint8Array | undefined> {
    this.#requireNoDirectory('read', path);
    const content = this.#names.find(path);
    if (!content) return undefined;
    if (content.lengthBytes > SMALL_FILE_BYTES_MAX) {
      throw new StoreError('DiskFailed', `${path} is no small file. Check the folder.`);
    }
    return bytesOf(content);
  }

  async writeBytes(path: string, bytes: Uint8Array): Promise<void> {
    this.#requireParent('write', path);
    this.#requireNoDirectory('write', path);
    const temporaryPath = `${path}.${this.#temporaryCount++}.tmp`;
    const content = new MemoryFileContent();
    this.#requireSpace(path, bytes.byteLength);
    content.write(bytes, 0);
    content.sync();
    this.#names.change({ type: 'link', path: temporaryPath, content });
    this.#names.change({ type: 'rename', from: temporaryPath, path, content });
    this.#names.syncDirectory(dirname(path));
  }

  async space(path: string): Promise<DiskSpace> {
    if (!this.#names.find(path) && !this.#names.hasDirectory(path)) {
      throw new StoreError(
        'DiskFailed',
        `Cannot measure the space of ${path}: there is none. Check the folder.`
      );
    }
    return { totalBytes: this.#capacityBytes, freeBytes: this.#freeBytes() };
  }

  #open(path: string, content: MemoryFileContent): DiskFile {
    const life = this.#life;
    let isClosed = false;
    const requireOpen = (action: string): void => {
      if (!isClosed && life === this.#life) return;
      const reason = isClosed ? 'it was closed' : 'the machine crashed';
      throw new StoreError('DiskFailed', `Cannot ${action} ${path}: ${reason}. Reopen it.`);
    };
    return {
      read: async (into, offset) => {
        requireOpen('read');
        return content.read(into, offset);
      },
      write: async (parts, offset) => {
        requireOpen('write');
        this.#writeParts({ path, content, parts, offset });
      },
      sync: async () => {
        requireOpen('sync');
        content.sync();
      },
      truncate: async (lengthBytes) => {
        requireOpen('truncate');
        content.truncate(lengthBytes);
      },
      size: async () => {
        requireOpen('measure');
        return content.lengthBytes;
      },
      close: async () => {
        isClosed = true;
      }
    };
  }

  #writeParts(write: PartsWrite): void {
    const { path, content, parts, offset } = write;
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    if (bytes.byteLength === 0) return;
    const growthBytes = Math.max(0, offset + bytes.byteLength - content.lengthBytes);
    const missingBytes = Math.max(0, growthBytes - this.#freeBytes());
    const fitting = bytes.subarray(0, Math.max(0, bytes.byteLength - missingBytes));
    if (fitting.byteLength > 0) content.write(fitting, offset);
    if (missingBytes > 0) this.#requireSpace(path, growthBytes);
  }

  #requireSpace(path: string, lengthBytes: number): void {
    if (lengthBytes <= this.#freeBytes()) return;
    throw new StoreError('NoSpace', `Cannot write ${path}: the disk is full. Free space.`);
  }

  #freeBytes(): number {
    return Math.max(0, this.#capacityBytes - this.usedBytes);
  }

  #requireParent(action: string, path: string): void {
    if (this.#names.hasDirectory(dirname(path))) return;
    throw new StoreError('DiskFailed', `Cannot ${action} ${path}: its directory is absent. Create it first.`);
  }

  #requireNoDirectory(action: string, path: string): void {
    if (!this.#names.hasDirectory(path)) return;
    throw new StoreError('DiskFailed', `Cannot ${action} ${path}: it is a directory. Choose another name.`);
  }

  #namesAfterCrash({ random }: CrashOptions): MemoryNames<MemoryFileContent> {
    const left = this.#names.afterCrash(random);
    left.mapContents((content) => content.afterCrash(random));
    return left;
  }
}

function bytesOf(content: MemoryFileContent): Uint8Array {
  const bytes = new Uint8Array(content.lengthBytes);
  content.read(bytes, 0);
  return bytes;
}

interface PartsWrite {
  readonly path: string;
  readonly content: MemoryFileContent;
  readonly parts: readonly Uint8Array[];
  readonly offset: number;
}
