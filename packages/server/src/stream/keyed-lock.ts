/** Runs what concerns the same key one after the other, in order of the calls. */
export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  run<Result>(key: string, run: () => Promise<Result>): Promise<Result> {
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(run);
    const tail = result
      .catch(() => undefined)
      .then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
    this.#tails.set(key, tail);
    return result;
  }

  /** Holds two keys; in a fixed order, so that two such calls cannot wait for each other. */
  runBoth<Result>(keyA: string, keyB: string, run: () => Promise<Result>): Promise<Result> {
    if (keyA === keyB) return this.run(keyA, run);
    const [first, second] = keyA < keyB ? [keyA, keyB] : [keyB, keyA];
    return this.run(first, () => this.run(second, run));
  }
}
