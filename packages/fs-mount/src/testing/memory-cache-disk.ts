import type { CacheDisk, CacheFile, DiskSpace, ListedFile } from '../disk-cache/index.js';

interface MemoryFile {
  bytes: Uint8Array;
  usedAtMs: number;
}

/**
 * A cache's folder without a disk. Outlives the cache, as a folder does; tests change `files` as a bad disk would, set
 * `space`, and let calls fail by `failing`.
 */
export class MemoryCacheDisk implements CacheDisk {
  readonly files = new Map<string, MemoryFile>();
  readonly calls: string[] = [];
  space_: DiskSpace = { totalBytes: 2 ** 40, freeBytes: 2 ** 40 };
  failing: ((call: string, name: string) => boolean) | undefined;
  /** What writing waits for. */
  held: Promise<void> | undefined;
  /** Nothing can be read without waiting. */
  isCold = false;
  openCount = 0;
  /** Of every file, so that a kernel could be given one; none by default. */
  descriptor: number | undefined;
  isClosed = false;
  #now = 0;

  async *list(): AsyncGenerator<readonly ListedFile[]> {
    const names = [...this.files.keys()].sort();
    for (const start of new Set(names.map((name) => name.slice(0, 2))))
      yield names.filter((name) => name.startsWith(start)).map((name) => this.#listed(name));
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    this.#called('read', name);
    const file = this.files.get(name);
    return file && new Uint8Array(file.bytes);
  }

  async replace(name: string, bytes: Uint8Array): Promise<void> {
    this.#called('replace', name);
    this.files.set(name, { bytes: new Uint8Array(bytes), usedAtMs: ++this.#now });
  }

  async open(name: string): Promise<CacheFile | undefined> {
    this.#called('open', name);
    const file = this.files.get(name);
    return file && this.#opened(name, file);
  }

  async create(name: string, sizeBytes: number): Promise<CacheFile> {
    this.#called('create', name);
    const file = { bytes: new Uint8Array(sizeBytes), usedAtMs: ++this.#now };
    this.files.set(name, file);
    return this.#opened(name, file);
  }

  async remove(name: string): Promise<void> {
    this.#called('remove', name);
    this.files.delete(name);
  }

  async space(): Promise<DiskSpace> {
    this.#called('space', '');
    return this.space_;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  #opened(name: string, file: MemoryFile): CacheFile {
    this.openCount++;
    return {
      descriptor: this.descriptor,
      read: async (offset, into) => {
        this.#called('readAt', name);
        file.usedAtMs = ++this.#now;
        const part = file.bytes.subarray(offset, offset + into.byteLength);
        into.set(part);
        return part.byteLength;
      },
      readNow: (offset, into) => {
        this.#called('readNow', name);
        if (this.isCold) return 0;
        const part = file.bytes.subarray(offset, offset + into.byteLength);
        into.set(part);
        return part.byteLength;
      },
      write: async (offset, bytes) => {
        this.#called('writeAt', name);
        await this.held;
        if (offset + bytes.byteLength > file.bytes.byteLength) resize(file, offset + bytes.byteLength);
        file.bytes.set(bytes, offset);
      },
      truncate: async (sizeBytes) => resize(file, sizeBytes),
      close: async () => {
        this.openCount--;
      }
    };
  }

  #listed(name: string): ListedFile {
    const { bytes, usedAtMs } = this.files.get(name)!;
    return { name, sizeBytes: bytes.byteLength, usedBytes: bytes.byteLength, usedAtMs };
  }

  #called(call: string, name: string): void {
    this.calls.push(`${call} ${name}`);
    if (this.failing?.(call, name)) throw Object.assign(new Error(`${call} ${name}`), { code: 'EIO' });
  }
}

function resize(file: MemoryFile, sizeBytes: number): void {
  const resized = new Uint8Array(sizeBytes);
  resized.set(file.bytes.subarray(0, sizeBytes));
  file.bytes = resized;
}
