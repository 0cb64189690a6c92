export interface QueuedCall {
  /** With many bytes: it lets others pass. */
  readonly isBulk: boolean;
}

/** Calls that wait to be sent. Small ones pass those with many bytes; among their like they keep their order. */
export class CallQueue<Call extends QueuedCall> {
  readonly #small = new Set<Call>();
  readonly #bulk = new Set<Call>();

  get size(): number {
    return this.#small.size + this.#bulk.size;
  }

  add(call: Call): void {
    (call.isBulk ? this.#bulk : this.#small).add(call);
  }

  /** The next call, if there is one that may go. */
  take(options: { readonly withBulk: boolean }): Call | undefined {
    return takeFirst(this.#small) ?? (options.withBulk ? takeFirst(this.#bulk) : undefined);
  }

  /** @returns Whether it was waiting. */
  delete(call: Call): boolean {
    return this.#small.delete(call) || this.#bulk.delete(call);
  }

  takeAll(): readonly Call[] {
    const all = [...this.#small, ...this.#bulk];
    this.#small.clear();
    this.#bulk.clear();
    return all;
  }
}

function takeFirst<Call>(calls: Set<Call>): Call | undefined {
  for (const call of calls) {
    calls.delete(call);
    return call;
  }
  return undefined;
}
