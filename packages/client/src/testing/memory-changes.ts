import { LIMITS, StoreError, type WatchEvent } from '@stampede/server/api';
import { cancelledError } from '../errors.js';

/** An event before it has its token. */
export type Change = WatchEvent extends infer Event
  ? Event extends unknown
    ? Omit<Event, 'resumeToken'>
    : never
  : never;

interface Entry {
  readonly sequence: number;
  readonly bucket: string;
  readonly event: WatchEvent;
}

/** The latest changes of the whole store in order, and those who wait for the next one. */
export class MemoryChanges {
  readonly #countMax: number;
  readonly #entries: Entry[] = [];
  #sequence = 0;
  #wake: (() => void)[] = [];

  constructor(countMax: number = LIMITS.changeHistoryCountMax) {
    this.#countMax = countMax;
  }

  add(bucket: string, change: Change): void {
    this.#sequence += 1;
    const event = { ...change, resumeToken: String(this.#sequence) } as WatchEvent;
    this.#entries.push({ sequence: this.#sequence, bucket, event });
    if (this.#entries.length > this.#countMax) this.#entries.shift();
    for (const wake of this.#wake.splice(0)) wake();
  }

  watch(
    watched: { readonly bucket: string; readonly prefix: string; readonly resumeToken?: string | undefined },
    signal: AbortSignal
  ): AsyncIterable<WatchEvent> {
    const after = this.#start(watched.resumeToken);
    return this.#events(watched, after, signal);
  }

  /** The sequence to go on after; undefined when the token is unknown or too old. */
  #start(token: string | undefined): number | undefined {
    if (token === undefined) return this.#sequence;
    const sequence = Number(token);
    if (!Number.isSafeInteger(sequence) || sequence < this.#oldest() - 1 || sequence > this.#sequence)
      return undefined;
    return sequence;
  }

  async *#events(
    { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
    start: number | undefined,
    signal: AbortSignal
  ): AsyncGenerator<WatchEvent> {
    let position = start;
    while (!signal.aborted) {
      if (position === undefined || position < this.#oldest() - 1) {
        position = this.#sequence;
        yield { type: 'reset', resumeToken: String(position) };
        continue;
      }
      const entry = this.#entries[position + 1 - this.#oldest()];
      if (!entry) await this.#nextChange(signal);
      else {
        position = entry.sequence;
        if (entry.bucket === bucket && concerns(entry.event, prefix)) yield structuredClone(entry.event);
      }
    }
    throw cancelledError(signal);
  }

  #oldest(): number {
    return this.#entries[0]?.sequence ?? this.#sequence + 1;
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        const position = this.#wake.indexOf(wake);
        if (position >= 0) this.#wake.splice(position, 1);
        resolve();
      };
      signal.addEventListener('abort', wake);
      this.#wake.push(wake);
    });
  }
}

function concerns(event: WatchEvent, prefix: string): boolean {
  switch (event.type) {
    case 'put':
      return event.head.key.startsWith(prefix);
    case 'delete':
      return event.key.startsWith(prefix);
    case 'renamePrefix':
      return overlaps(event.prefix, prefix) || overlaps(event.to, prefix);
    case 'deletePrefix':
      return overlaps(event.prefix, prefix);
    case 'reset':
      return true;
    default:
      throw new StoreError('InternalError', `unknown event ${JSON.stringify(event satisfies never)}`);
  }
}

function overlaps(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}
