/** A file of the cache. */
export interface CacheEntry {
  readonly id: string;
  readonly sizeBytes: number;
  /** Of a file of one cell: the CRC32C of its bytes. */
  readonly checksum: number | undefined;
  /** What it takes on the disk. */
  usedBytes: number;
  /** This process has written all that is there, or has read it and compared it with its checksums. */
  isTrusted: boolean;
}

/** Every file of the cache, by id, from the one used longest ago to the one used last. */
export class CacheIndex {
  readonly #entries = new Map<string, CacheEntry>();
  #usedBytes = 0;

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get count(): number {
    return this.#entries.size;
  }

  find(id: string): CacheEntry | undefined {
    return this.#entries.get(id);
  }

  add(entry: CacheEntry): void {
    this.#entries.set(entry.id, entry);
    this.#usedBytes += entry.usedBytes;
  }

  /** It was used now. */
  touch(entry: CacheEntry): void {
    if (!this.has(entry)) return;
    this.#entries.delete(entry.id);
    this.#entries.set(entry.id, entry);
  }

  has(entry: CacheEntry): boolean {
    return this.#entries.get(entry.id) === entry;
  }

  grow(entry: CacheEntry, bytes: number): void {
    entry.usedBytes += bytes;
    if (this.has(entry)) this.#usedBytes += bytes;
  }

  /** False when it was removed before. */
  remove(entry: CacheEntry): boolean {
    if (!this.has(entry)) return false;
    this.#entries.delete(entry.id);
    this.#usedBytes -= entry.usedBytes;
    return true;
  }

  /** The one used longest ago that is not `kept`. */
  findOldest(kept?: CacheEntry): CacheEntry | undefined {
    for (const entry of this.#entries.values()) if (entry !== kept) return entry;
    return undefined;
  }
}
