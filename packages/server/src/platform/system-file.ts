import type { FileHandle } from 'node:fs/promises';
import { StoreError } from '../api/index.js';
import type { DiskFile } from './disk.js';
import { diskError } from './disk-error.js';

/** Linux accepts at most this many parts in one vectored write. */
const PARTS_PER_WRITE_MAX = 1024;

/**
 * A file of the operating system. After a failed `sync` the kernel may have dropped what it could not write and
 * would report success the next time, so every later `write` and `sync` of this file fails too: reopen it and read
 * back what is there.
 */
export class SystemFile implements DiskFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #closing: Promise<void> | undefined;
  #syncFailure: StoreError | undefined;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#run('read', async () => {
      let length = 0;
      while (length < into.byteLength) {
        const { bytesRead } = await this.#handle.read(
          into,
          length,
          into.byteLength - length,
          offset + length
        );
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      return length;
    });
  }

  write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    return this.#run('write', async () => {
      if (this.#syncFailure) throw this.#syncFailure;
      let rest = parts.filter((part) => part.byteLength > 0);
      let position = offset;
      while (rest.length > 0) {
        const { bytesWritten } = await this.#handle.writev(rest.slice(0, PARTS_PER_WRITE_MAX), position);
        if (bytesWritten === 0) throw new Error('the system wrote nothing');
        position += bytesWritten;
        rest = withoutFirstBytes(rest, bytesWritten);
      }
    });
  }

  sync(): Promise<void> {
    return this.#run('sync', async () => {
      if (this.#syncFailure) throw this.#syncFailure;
      try {
        await this.#handle.datasync();
      } catch (cause) {
        this.#syncFailure = diskError('sync', this.#path, cause);
        throw this.#syncFailure;
      }
    });
  }

  truncate(lengthBytes: number): Promise<void> {
    return this.#run('truncate', () => this.#handle.truncate(lengthBytes));
  }

  size(): Promise<number> {
    return this.#run('measure', async () => (await this.#handle.stat()).size);
  }

  close(): Promise<void> {
    this.#closing ??= this.#handle.close().catch((cause: unknown) => {
      throw diskError('close', this.#path, cause);
    });
    return this.#closing;
  }

  async #run<Result>(action: string, operation: () => Promise<Result>): Promise<Result> {
    if (this.#closing)
      throw new StoreError('DiskFailed', `Cannot ${action} ${this.#path}: it was closed. Reopen it.`);
    try {
      return await operation();
    } catch (cause) {
      throw diskError(action, this.#path, cause);
    }
  }
}

function withoutFirstBytes(parts: readonly Uint8Array[], length: number): Uint8Array[] {
  let skipped = 0;
  let rest = length;
  while (skipped < parts.length && rest >= parts[skipped]!.byteLength) {
    rest -= parts[skipped]!.byteLength;
    skipped += 1;
  }
  const remaining = parts.slice(skipped);
  if (rest > 0) remaining[0] = remaining[0]!.subarray(rest);
  return remaining;
}
