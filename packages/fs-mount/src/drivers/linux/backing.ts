import type { ObjectHead } from '@stampede/client';
import type { CacheFile } from '../../disk-cache/index.js';
import type { FileMirror } from '../../file-mirror.js';
import type { FileState } from '../../file-state.js';

export interface BackingOptions {
  readonly state: FileState;
  /** The version whose bytes the file has. */
  readonly head: ObjectHead;
  /** Becomes the backing's. */
  readonly file: CacheFile;
  /** What the kernel calls the file. */
  readonly id: number;
  /** The file is about to be changed: from now on it is nobody else's. */
  readonly onChange: () => void;
  readonly onClosed: () => void;
  readonly onError: (error: unknown) => void;
}

/**
 * A file of the disk cache that the kernel reads in the place of an open inode. When the inode is changed through other
 * handles the file is taken out of the cache and changed alike, so that who reads it sees what was written.
 */
export class Backing implements FileMirror {
  readonly #options: BackingOptions;
  readonly #foreignChangeCount: number;
  #work: Promise<void> = Promise.resolve();
  #isChanged = false;
  #hasFailed = false;

  constructor(options: BackingOptions) {
    this.#options = options;
    this.#foreignChangeCount = options.state.foreignChangeCount;
    options.state.mirror = this;
  }

  get id(): number {
    return this.#options.id;
  }

  /** Whether it has the bytes of the file as they are now. */
  reflects(state: FileState): boolean {
    const isSame = state === this.#options.state && state.foreignChangeCount === this.#foreignChangeCount;
    return isSame && state.mirror === this && !this.#hasFailed;
  }

  wrote(offset: number, bytes: Uint8Array): void {
    const copy = new Uint8Array(bytes);
    this.#change(() => this.#options.file.write(offset, copy));
  }

  cut(sizeBytes: number): void {
    this.#change(() => this.#options.file.truncate(sizeBytes));
  }

  settled(): Promise<void> {
    return this.#work;
  }

  /** No handle reads it any more. */
  async close(): Promise<void> {
    const { state, file, onClosed, onError } = this.#options;
    if (state.mirror === this) state.mirror = undefined;
    await this.#work;
    onClosed();
    await file.close().catch(onError);
  }

  #change(run: () => Promise<void>): void {
    if (!this.#isChanged) this.#options.onChange();
    this.#isChanged = true;
    this.#work = this.#work.then(run).catch((error: unknown) => {
      this.#hasFailed = true;
      this.#options.onError(error);
    });
  }
}
