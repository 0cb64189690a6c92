import type { Attributes } from './attributes.js';
import { FileSystemError } from './errno.js';
import type { FileState } from './file-state.js';
import type { OpenFiles } from './open-files.js';
import type { ReadAhead } from './read-ahead.js';

export interface FileHandleOptions {
  readonly state: FileState;
  readonly files: OpenFiles;
  readonly readAhead: ReadAhead;
  /** Every write goes to the end of the file. */
  readonly append: boolean;
  readonly writable: boolean;
}

/** One open(2) of a file. Bytes and attributes are those of the file's one state; only reading ahead is its own. */
export class FileHandle {
  readonly #options: FileHandleOptions;
  #isReleased = false;

  constructor(options: FileHandleOptions) {
    this.#options = options;
    options.state.handleCount++;
  }

  get state(): FileState {
    return this.#options.state;
  }

  attributes(): Attributes {
    return this.state.attributes();
  }

  /** Copies bytes into `into`; returns how many. */
  read(offset: number, into: Uint8Array): Promise<number> {
    return this.state.read(offset, into, this.#options.readAhead);
  }

  /** Copies `bytes` before it returns control for good; they may be reused once resolved. */
  async write(offset: number, bytes: Uint8Array): Promise<number> {
    this.#assertWritable();
    await this.state.write(this.#options.append ? undefined : offset, bytes);
    return bytes.byteLength;
  }

  /** Whether writes go to the end of the file. */
  get isAppending(): boolean {
    return this.#options.append;
  }

  /** As `write`, for pages of a mapping: they go where they belong, whatever the handle was opened for. */
  async writeBack(offset: number, bytes: Uint8Array): Promise<number> {
    this.#assertWritable();
    await this.state.write(offset, bytes);
    return bytes.byteLength;
  }

  async truncate(size: number): Promise<void> {
    this.#assertWritable();
    await this.state.truncate(size);
  }

  /** For each close(2) of the file: what was written is durable on return. */
  async flush(): Promise<void> {
    if (this.#options.writable) await this.#options.files.commit(this.state);
  }

  async fsync(): Promise<void> {
    await this.#options.files.commit(this.state);
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    await this.#options.files.released(this.state);
  }

  #assertWritable(): void {
    if (!this.#options.writable) throw new FileSystemError('EBADF', 'the file was opened for reading');
  }
}
