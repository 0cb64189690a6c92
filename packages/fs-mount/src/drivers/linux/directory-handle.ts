import type { NamedEntry } from '../../entries.js';
import type { FileSystem } from '../../file-system.js';

/**
 * One opendir(2). Names are numbered in the order they are listed; what the kernel has passed is dropped, so that a
 * directory of any size can be read. Seeking back begins the listing again, and so does another path of the directory.
 */
export class DirectoryHandle {
  readonly #fileSystem: FileSystem;
  readonly #path: () => string;
  #pages: AsyncGenerator<NamedEntry[]> | undefined;
  /** Where the names were listed: elsewhere they stand for other files. */
  #listedAt: string | undefined;
  /** The names from number `#start` on. */
  #names: NamedEntry[] = [];
  #start = 0;
  #isComplete = false;

  constructor(fileSystem: FileSystem, path: () => string) {
    this.#fileSystem = fileSystem;
    this.#path = path;
  }

  /** The number of the first name that `from` returned last. */
  get position(): number {
    return this.#start;
  }

  /** The names from `position` on that are there already, at least one unless the listing ends. */
  async from(position: number): Promise<readonly NamedEntry[]> {
    if (position < this.#start || this.#path() !== this.#listedAt) await this.rewind();
    for (;;) {
      const skipped = Math.min(position - this.#start, this.#names.length);
      if (skipped > 0) {
        this.#names = this.#names.slice(skipped);
        this.#start += skipped;
      }
      if (this.#names.length > 0 || this.#isComplete) return this.#names;
      await this.#load();
    }
  }

  /** What is read next is listed anew. */
  async rewind(): Promise<void> {
    if (!this.#pages) return;
    await this.close();
    this.#pages = undefined;
    this.#names = [];
    this.#start = 0;
    this.#isComplete = false;
  }

  async close(): Promise<void> {
    await this.#pages?.return(undefined);
  }

  async #load(): Promise<void> {
    if (!this.#pages) {
      this.#listedAt = this.#path();
      this.#pages = this.#fileSystem.readdir(this.#listedAt);
    }
    const { value, done } = await this.#pages.next();
    if (done) this.#isComplete = true;
    else this.#names = value;
  }
}
