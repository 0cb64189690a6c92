/**
 * Remembers at least the last `countMin` entries that were set, and at most twice as many. Two generations: when the
 * newer one is full it becomes the older one, so that nothing is moved or deleted one by one.
 */
export class RecentMap<Key, Value> {
  readonly #countMin: number;
  #newer = new Map<Key, Value>();
  #older = new Map<Key, Value>();

  constructor(countMin: number) {
    this.#countMin = countMin;
  }

  has(key: Key): boolean {
    return this.#newer.has(key) || this.#older.has(key);
  }

  get(key: Key): Value | undefined {
    return this.#newer.has(key) ? this.#newer.get(key) : this.#older.get(key);
  }

  set(key: Key, value: Value): void {
    this.#newer.set(key, value);
    if (this.#newer.size < this.#countMin) return;
    this.#older = this.#newer;
    this.#newer = new Map();
  }

  delete(key: Key): void {
    this.#newer.delete(key);
    this.#older.delete(key);
  }
}
