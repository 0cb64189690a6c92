/** By how much buckets will grow when what is under way is applied. */
export class GrowingBytes {
  readonly #bytes = new Map<string, number>();

  of(bucket: string): number {
    return this.#bytes.get(bucket) ?? 0;
  }

  add(bucket: string, bytes: number): void {
    const growing = this.of(bucket) + bytes;
    if (growing === 0) this.#bytes.delete(bucket);
    else this.#bytes.set(bucket, growing);
  }
}
