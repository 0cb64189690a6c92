import { LRUCache } from 'lru-cache';

export interface BoundedMapOptions<Value> {
  /** Most entries, or most bytes when `bytesOf` is given. */
  readonly limit: number;
  readonly bytesOf?: (value: Value) => number;
  /** Called for values that had to go because of the limit, were replaced or deleted. */
  readonly onRemoved?: (value: Value) => void;
}

/** A map that forgets what was used longest ago when it is full. */
export class BoundedMap<Key extends {}, Value extends {}> {
  readonly #cache: LRUCache<Key, Value>;

  constructor(options: BoundedMapOptions<Value>) {
    const { limit, bytesOf, onRemoved } = options;
    // A count would be given to `max`, but then the library clears lists of that length when the last entry is deleted.
    this.#cache = new LRUCache<Key, Value>({
      maxSize: limit,
      sizeCalculation: bytesOf ?? (() => 1),
      ...(onRemoved && { dispose: (value: Value) => onRemoved(value) })
    });
  }

  get size(): number {
    return this.#cache.size;
  }

  get bytes(): number {
    return this.#cache.calculatedSize;
  }

  get(key: Key): Value | undefined {
    return this.#cache.get(key);
  }

  set(key: Key, value: Value): void {
    this.#cache.set(key, value);
  }

  delete(key: Key): void {
    this.#cache.delete(key);
  }

  keys(): Iterable<Key> {
    return this.#cache.keys();
  }

  clear(): void {
    this.#cache.clear();
  }
}
