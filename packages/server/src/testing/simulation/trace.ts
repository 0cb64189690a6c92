/** A line, or what makes it when somebody wants to read it. */
export type TraceText = string | (() => string);

const LINES_KEPT = 200_000;

/**
 * What happened, event by event: as a hash that costs little, and, where lines are kept, as text. Two runs with the same
 * hashes and count did the same.
 */
export class Trace {
  readonly #keepsLines: boolean;
  readonly #lines: string[] = [];
  readonly #order = new RunningHash();
  readonly #text = new RunningHash();
  #count = 0;

  constructor(keepsLines: boolean) {
    this.#keepsLines = keepsLines;
  }

  /** An event happens: `order` is its number in the order of their registration. */
  happened(atMs: number, order: number): void {
    // Microseconds, of which the upper digits follow from the events before.
    this.#order.mix(Math.round(atMs * 1000) | 0);
    this.#order.mix(order);
  }

  add(atMs: number, text: TraceText): void {
    this.#count += 1;
    if (!this.#keepsLines) return;
    const line = `${atMs.toFixed(3)} ${typeof text === 'string' ? text : text()}`;
    for (let at = 0; at < line.length; at++) this.#text.mix(line.charCodeAt(at));
    this.#lines[(this.#count - 1) % LINES_KEPT] = line;
  }

  get count(): number {
    return this.#count;
  }

  /** Of the events' times and order; the same with and without lines. */
  get hash(): string {
    return this.#order.toString();
  }

  /** Of every character of every line. */
  get textHash(): string {
    return this.#text.toString();
  }

  /** The last lines, oldest first; none when they are not kept. */
  tail(count: number): readonly string[] {
    if (!this.#keepsLines) return [];
    const start = Math.max(0, this.#count - Math.min(count, LINES_KEPT));
    return Array.from(
      { length: this.#count - start },
      (_, index) => this.#lines[(start + index) % LINES_KEPT]!
    );
  }
}

class RunningHash {
  #high = 0x6a09e667;
  #low = 0xbb67ae85;

  mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193);
    this.#low = Math.imul(this.#low ^ value ^ (this.#high >>> 13), 0x85ebca6b);
  }

  toString(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }
}
