/** Buffers for reads, used again; as many as reads were under way at once, of which a few are kept. */
export class ReadBuffers {
  readonly #sizeBytes: number;
  readonly #keptCountMax: number;
  readonly #free: Buffer[] = [];

  constructor(sizeBytes: number, keptCountMax: number) {
    this.#sizeBytes = sizeBytes;
    this.#keptCountMax = keptCountMax;
  }

  take(bytes: number): Buffer {
    if (bytes > this.#sizeBytes) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#sizeBytes);
  }

  give(buffer: Buffer): void {
    if (buffer.byteLength === this.#sizeBytes && this.#free.length < this.#keptCountMax)
      this.#free.push(buffer);
  }
}
