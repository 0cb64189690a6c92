const LINES_KEPT = 20_000;

/** What happened, line by line: all of it as a hash, the latest lines as text. */
export class Trace {
  readonly #lines: string[] = [];
  #count = 0;
  #high = 0x6a09e667;
  #low = 0xbb67ae85;

  add(atMs: number, text: string): void {
    const line = `${atMs.toFixed(3)} ${text}`;
    this.#mix(line);
    this.#lines[this.#count % LINES_KEPT] = line;
    this.#count += 1;
  }

  get count(): number {
    return this.#count;
  }

  /** Two runs with the same hash and count did the same. */
  get hash(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }

  /** The last lines, oldest first. */
  tail(count: number): readonly string[] {
    const start = Math.max(0, this.#count - Math.min(count, LINES_KEPT));
    return Array.from(
      { length: this.#count - start },
      (_, index) => this.#lines[(start + index) % LINES_KEPT]!
    );
  }

  #mix(line: string): void {
    let high = this.#high;
    let low = this.#low;
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      high = Math.imul(high ^ code, 0x01000193);
      low = Math.imul(low ^ code ^ (high >>> 13), 0x85ebca6b);
    }
    this.#high = high;
    this.#low = low;
  }
}
