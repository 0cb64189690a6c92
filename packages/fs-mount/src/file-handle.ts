import type { Attributes } from './attributes.js';
import { FileSystemError } from './errno.js';
import type { FileState } from './file-state.js';
import type { ServerLocks } from './locks/index.js';
import type { OpenFiles } from './open-files.js';
import type { ReadAhead } from './read-ahead.js';

export interface FileHandleOptions {
  readonly state: FileState;
  readonly files: OpenFiles;
  readonly readAhead: ReadAhead;
  /** Every write goes to the end of the file. */
  readonly append: boolean;
  readonly writable: boolean;
  /** Where locks hold for all mounts. */
  readonly locks?: ServerLocks | undefined;
  /** Another version than was known before it was opened. */
  readonly isNews?: boolean;
}

export interface CloneRange {
  readonly sourceOffset: number;
  readonly offset: number;
  readonly length: number;
}

/** Fewer bytes are sooner read and written than three calls are made. */
const CLONE_BYTES_MIN = 1024 * 1024;
/** What is said in an answer of 32 bits. */
const CLONE_BYTES_MAX = 2 ** 31;

/** One open(2) of a file. Bytes and attributes are those of the file's one state; only reading ahead is its own. */
export class FileHandle {
  readonly #options: FileHandleOptions;
  readonly #lockLossCount: number;
  #isReleased = false;

  constructor(options: FileHandleOptions) {
    this.#options = options;
    options.state.handleCount++;
    this.#lockLossCount = options.state.lockLossCount;
  }

  /** Undefined where the kernel keeps locks by itself. */
  get locks(): ServerLocks | undefined {
    return this.#options.locks;
  }

  get state(): FileState {
    return this.#options.state;
  }

  /** Whether what was told of the file before it was opened may be wrong. */
  get isNews(): boolean {
    return this.#options.isNews ?? false;
  }

  attributes(): Attributes {
    return this.state.attributes();
  }

  /** Copies bytes into `into`; returns how many. */
  async read(offset: number, into: Uint8Array): Promise<number> {
    this.assertKept();
    const count = await this.state.read(offset, into, this.#options.readAhead);
    this.assertKept();
    return count;
  }

  /** Copies `bytes` before it returns control for good; they may be reused once resolved. */
  async write(offset: number, bytes: Uint8Array): Promise<number> {
    this.#assertWritable();
    await this.#change(() => this.state.write(this.#options.append ? undefined : offset, bytes));
    return bytes.byteLength;
  }

  /** Whether writes go to the end of the file. */
  get isAppending(): boolean {
    return this.#options.append;
  }

  /** As `write`, for pages of a mapping: they go where they belong, whatever the handle was opened for. */
  async writeBack(offset: number, bytes: Uint8Array): Promise<number> {
    this.#assertWritable();
    await this.#change(() => this.state.write(offset, bytes));
    return bytes.byteLength;
  }

  async truncate(size: number): Promise<void> {
    this.#assertWritable();
    await this.#change(() => this.state.truncate(size));
  }

  /** Zeros [start, end) as far as they lie in the file, without storing any. */
  async punch(start: number, end: number): Promise<void> {
    this.#assertWritable();
    await this.#change(() => this.state.ranges.punch(start, end));
  }

  /** The first byte from `offset` on that is, or is not, in a hole; the end of the file is a hole. `ENXIO`: there is none. */
  async seek(offset: number, wanted: 'data' | 'hole'): Promise<number> {
    const found = await this.state.seek(offset, wanted);
    if (found === undefined) throw new FileSystemError('ENXIO', `there is no ${wanted} behind ${offset}`);
    return found;
  }

  /**
   * Copies bytes of another open file without moving them, as far as it has them.
   *
   * @returns How many, or undefined when they must be read and written instead.
   */
  async cloneFrom(source: FileHandle, range: CloneRange): Promise<number | undefined> {
    this.#assertWritable();
    const { state: from } = source;
    const lengthIn = (size: number) => Math.min(range.length, CLONE_BYTES_MAX, size - range.sourceOffset);
    if (lengthIn(from.size) < CLONE_BYTES_MIN) return undefined;
    await source.#options.files.commit(from);
    const head = from.base;
    if (!head || from.isDetached || lengthIn(head.size) < CLONE_BYTES_MIN) return undefined;
    const length = lengthIn(head.size);
    const part = { head, offset: range.sourceOffset, length };
    const isCloned = await this.#change(() => this.state.ranges.clone(range.offset, part));
    return isCloned ? length : undefined;
  }

  /** For each close(2) of the file: what was written is durable on return. */
  async flush(): Promise<void> {
    if (!this.#options.writable) return;
    this.assertKept();
    await this.#options.files.commit(this.state);
    this.assertKept();
  }

  async fsync(): Promise<void> {
    this.assertKept();
    await this.#options.files.commit(this.state);
    this.assertKept();
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#isDead) this.state.deadHandleCount--;
    await this.#options.files.released(this.state);
  }

  /** Fails with `EIO` once locks of the file were lost: the program does not know that others may have changed it. */
  assertKept(): void {
    this.#options.locks?.check();
    if (this.#isDead) throw new FileSystemError('EIO', `locks of ${this.state.key} were lost; open it again`);
  }

  get #isDead(): boolean {
    return this.state.lockLossCount !== this.#lockLossCount;
  }

  /** What was lost on the way must not stay. */
  async #change<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = await run();
    if (this.#options.locks && this.#isDead) await this.#options.locks.changedTooLate(this.state);
    this.assertKept();
    return result;
  }

  #assertWritable(): void {
    this.assertKept();
    if (!this.#options.writable) throw new FileSystemError('EBADF', 'the file was opened for reading');
  }
}
