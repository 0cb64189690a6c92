import { LIMITS, StoreError, type WatchEvent } from '../api/index.js';
import { decodeObjectRecord, headOf } from './object-record.js';

/** One visible change, as mutations tell it. */
export type ChangeEvent =
  | { readonly type: 'put'; readonly bucket: string; readonly key: string; readonly row: Uint8Array }
  | { readonly type: 'delete'; readonly bucket: string; readonly key: string }
  | { readonly type: 'renamePrefix'; readonly bucket: string; readonly prefix: string; readonly to: string }
  | { readonly type: 'deletePrefix'; readonly bucket: string; readonly prefix: string };

export interface ChangeHistoryOptions {
  /** Of this life of the partition: tokens of another one say nothing here. */
  readonly lifeId: string;
  readonly countMax?: number;
}

export interface WatchedPrefix {
  readonly bucket: string;
  readonly prefix: string;
  readonly resumeToken: string | undefined;
}

/** The latest changes in order, and those who wait for the next one. Starts empty with each life of the partition. */
export class ChangeHistory {
  readonly #lifeId: string;
  readonly #countMax: number;
  /** A ring: the change of number n is at n modulo its length. */
  readonly #ring: ChangeEvent[] = [];
  /** How many changes there were. */
  #count = 0;
  readonly #waiting = new Set<() => void>();
  #failure: StoreError | undefined;

  constructor({ lifeId, countMax = LIMITS.changeHistoryCountMax }: ChangeHistoryOptions) {
    this.#lifeId = lifeId;
    this.#countMax = countMax;
  }

  add(events: readonly ChangeEvent[]): void {
    if (events.length === 0) return;
    for (const event of events) {
      this.#ring[this.#count % this.#countMax] = event;
      this.#count += 1;
    }
    this.#wakeAll();
  }

  /** Changes below a prefix, from the call on or after a token; `reset` when some of them are not known any more. */
  watch(watched: WatchedPrefix, signal: AbortSignal): AsyncIterable<WatchEvent> {
    return this.#events(watched, this.#startOf(watched.resumeToken), signal);
  }

  /** Ends all watches. */
  close(reason: StoreError): void {
    this.#failure = reason;
    this.#wakeAll();
  }

  /** The number of the next change to tell; `undefined` when nobody knows what was missed. */
  #startOf(token: string | undefined): number | undefined {
    if (token === undefined) return this.#count;
    const [lifeId, text] = token.split('.');
    const position = Number.parseInt(text ?? '', 36);
    if (lifeId !== this.#lifeId || !(position >= 0 && position <= this.#count)) return undefined;
    return position;
  }

  async *#events(
    { bucket, prefix }: WatchedPrefix,
    start: number | undefined,
    signal: AbortSignal
  ): AsyncGenerator<WatchEvent> {
    let position = start;
    for (;;) {
      if (signal.aborted) throw cancelled(signal);
      if (this.#failure) throw this.#failure;
      if (position === undefined || position < this.#count - this.#countMax) {
        position = this.#count;
        yield { type: 'reset', resumeToken: this.#tokenOf(position) };
      } else if (position === this.#count) await this.#nextChange(signal);
      else {
        const event = this.#ring[position % this.#countMax]!;
        position += 1;
        if (event.bucket === bucket && concerns(event, prefix))
          yield watchEventOf(event, this.#tokenOf(position));
      }
    }
  }

  #tokenOf(position: number): string {
    return `${this.#lifeId}.${position.toString(36)}`;
  }

  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        this.#waiting.delete(wake);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      this.#waiting.add(wake);
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function watchEventOf(event: ChangeEvent, resumeToken: string): WatchEvent {
  switch (event.type) {
    case 'put': {
      const head = headOf(event.bucket, event.key, decodeObjectRecord(event.row));
      return { type: 'put', head, resumeToken };
    }
    case 'delete':
      return { type: 'delete', key: event.key, resumeToken };
    case 'renamePrefix':
      return { type: 'renamePrefix', prefix: event.prefix, to: event.to, resumeToken };
    case 'deletePrefix':
      return { type: 'deletePrefix', prefix: event.prefix, resumeToken };
  }
}

function concerns(event: ChangeEvent, prefix: string): boolean {
  switch (event.type) {
    case 'put':
    case 'delete':
      return event.key.startsWith(prefix);
    case 'renamePrefix':
      return overlap(event.prefix, prefix) || overlap(event.to, prefix);
    case 'deletePrefix':
      return overlap(event.prefix, prefix);
  }
}

function overlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

function cancelled({ reason }: AbortSignal): StoreError {
  if (reason instanceof StoreError) return reason;
  return new StoreError('Cancelled', 'The watch was ended by its caller.', { cause: reason });
}
