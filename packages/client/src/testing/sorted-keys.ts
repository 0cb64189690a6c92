import { compareUtf8 } from '../utf8-order.js';

/** Keys in the byte order of their UTF-8. */
export class SortedKeys {
  readonly #keys: string[] = [];

  /** The number of keys before `key`. */
  #position(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareUtf8(this.#keys[middle]!, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(key: string): void {
    const position = this.#position(key);
    if (this.#keys[position] !== key) this.#keys.splice(position, 0, key);
  }

  delete(key: string): void {
    const position = this.#position(key);
    if (this.#keys[position] === key) this.#keys.splice(position, 1);
  }

  /** Keys from `start` on, `start` included. */
  *from(start: string): Generator<string> {
    for (let position = this.#position(start); position < this.#keys.length; position++)
      yield this.#keys[position]!;
  }

  /** Every key that starts with `prefix`, as a list of its own. */
  withPrefix(prefix: string): string[] {
    const found: string[] = [];
    for (const key of this.from(prefix)) {
      if (!key.startsWith(prefix)) break;
      found.push(key);
    }
    return found;
  }
}
