import type { CacheDisk } from './cache-disk.js';
import type { CacheEntry } from './cache-index.js';
import { bytesNameOf } from './cache-name.js';
import { CachedFile } from './cached-file.js';
import { WorkQueue } from './work-queue.js';

const OPEN_COUNT_MAX = 64;
const REMOVALS_AT_ONCE_MAX = 4;

/** A file that somebody uses, or that stays open for the next one. */
interface Use {
  readonly entry: CacheEntry;
  /** What must be over before it is opened. Never rejects. */
  ready: Promise<void>;
  opened: Promise<CachedFile | undefined> | undefined;
  /** What `opened` has become. */
  file: CachedFile | undefined;
  userCount: number;
  /** Its files, once they are to be removed. */
  removed: readonly string[] | undefined;
}

export interface CachedFilesOptions {
  readonly disk: CacheDisk;
  readonly onError: (error: unknown) => void;
}

/** Opens, closes and removes the files of the cache, each in its turn; a few stay open. */
export class CachedFiles {
  readonly #options: CachedFilesOptions;
  /** From the one used longest ago to the one used last. */
  readonly #uses = new Map<CacheEntry, Use>();
  readonly #closing = new Map<CacheEntry, Promise<void>>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #removals = new WorkQueue(REMOVALS_AT_ONCE_MAX);

  constructor(options: CachedFilesOptions) {
    this.#options = options;
  }

  /** The next use makes the file. */
  created(entry: CacheEntry): void {
    const use = this.#use(entry);
    use.opened = use.ready.then(() => CachedFile.create(this.#options.disk, entry));
    use.opened.catch(() => undefined);
  }

  /** Writes a file of one cell; who uses it meanwhile waits. */
  async writing(entry: CacheEntry, bytes: Uint8Array): Promise<void> {
    const use = this.#use(entry);
    use.userCount++;
    const written = this.#options.disk.replace(bytesNameOf(entry.id, entry.checksum), bytes);
    use.ready = written.catch(() => undefined);
    try {
      await written;
    } finally {
      use.userCount--;
      this.#settle(use);
    }
  }

  /** Runs with the open file, or with undefined where it is gone or was never whole. It is not removed meanwhile. */
  async using<Result>(
    entry: CacheEntry,
    run: (file: CachedFile | undefined) => Promise<Result>
  ): Promise<Result> {
    const use = this.#use(entry);
    use.userCount++;
    try {
      await use.ready;
      use.opened ??= CachedFile.open(this.#options.disk, entry);
      use.file = await use.opened;
      return await run(use.file);
    } finally {
      use.userCount--;
      this.#settle(use);
    }
  }

  /** For who does not wait in between. */
  findOpen(entry: CacheEntry): CachedFile | undefined {
    return this.#uses.get(entry)?.file;
  }

  /** Whether files of that id are still being removed. */
  isRemoving(id: string): boolean {
    return this.#removing.has(id);
  }

  /** Removes the files as soon as nobody uses them. */
  remove(entry: CacheEntry, names: readonly string[]): void {
    const use = this.#uses.get(entry) ?? this.#use(entry);
    use.removed = names;
    // Marked before it begins, so that no new file takes the name meanwhile.
    this.#removing.set(entry.id, Promise.resolve());
    this.#settle(use);
  }

  /** Nobody uses any file any more. */
  async close(): Promise<void> {
    for (const use of this.#uses.values()) this.#close(use);
    await Promise.all([...this.#closing.values(), ...this.#removing.values()]);
  }

  #use(entry: CacheEntry): Use {
    const known = this.#uses.get(entry);
    const use = known ?? {
      entry,
      ready: this.#closing.get(entry) ?? Promise.resolve(),
      opened: undefined,
      file: undefined,
      userCount: 0,
      removed: undefined
    };
    if (known) this.#uses.delete(entry);
    this.#uses.set(entry, use);
    return use;
  }

  #settle(use: Use): void {
    if (use.userCount > 0) return;
    if (use.removed) {
      this.#remove(use, use.removed);
    } else if (!use.opened) {
      this.#uses.delete(use.entry);
    } else if (this.#uses.size > OPEN_COUNT_MAX) {
      const idle = this.#findIdle();
      if (idle) this.#close(idle);
    }
  }

  #findIdle(): Use | undefined {
    for (const use of this.#uses.values()) if (use.userCount === 0) return use;
    return undefined;
  }

  #remove({ entry, ready, opened }: Use, names: readonly string[]): void {
    this.#uses.delete(entry);
    const removing = this.#removals
      .run(async () => {
        await ready;
        const file = await opened?.catch(() => undefined);
        await file?.close();
        for (const name of names) await this.#options.disk.remove(name);
      })
      .catch(this.#options.onError)
      .finally(() => this.#removing.delete(entry.id));
    this.#removing.set(entry.id, removing);
  }

  #close({ entry, opened }: Use): void {
    this.#uses.delete(entry);
    const closing = closeFile(opened)
      .catch(this.#options.onError)
      .finally(() => this.#closing.delete(entry));
    this.#closing.set(entry, closing);
  }
}

async function closeFile(opened: Promise<CachedFile | undefined> | undefined): Promise<void> {
  const file = await opened?.catch(() => undefined);
  try {
    await file?.save();
  } finally {
    await file?.close();
  }
}
