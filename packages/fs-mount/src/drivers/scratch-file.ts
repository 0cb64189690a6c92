import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scratch } from '../scratch.js';

/** A scratch in `folder` (default: the system's folder for temporary files), without a name as soon as it is open. */
export async function openScratchFile(folder: string = tmpdir()): Promise<Scratch> {
  const path = join(folder, `stampede-scratch-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await unlink(path);
  return new ScratchFile(file);
}

class ScratchFile implements Scratch {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    let position = 0;
    while (position < into.byteLength) {
      const { bytesRead } = await this.#file.read(
        into,
        position,
        into.byteLength - position,
        offset + position
      );
      if (bytesRead === 0) break;
      position += bytesRead;
    }
    into.fill(0, position);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    let position = 0;
    while (position < bytes.byteLength) {
      const rest = bytes.byteLength - position;
      position += (await this.#file.write(bytes, position, rest, offset + position)).bytesWritten;
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#file.truncate(size);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
