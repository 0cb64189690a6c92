import { type Notice, NoticeWriter } from './notices.js';

/** Notices that wait one by one; when more would, everything is taken back instead. */
const WAITING_COUNT_MAX = 10_000;
const SWEEP_COUNT_MAX = 16;
/** One hand-over to the other thread. */
const BATCH_BYTES = 64 * 1024;

/** Hands messages to another thread. Returns 0, or a negative errno, after which `onDone` is not called. */
export type SendMessages = (messages: Uint8Array, onDone: () => void) => number;

export interface NoticeLaneOptions {
  readonly send: SendMessages;
  /** More waits than is good: all of it is to be said in a shorter way. */
  readonly onOverflow: () => void;
}

interface Waiting {
  readonly notice: Notice;
  readonly onTaken: (() => void)[];
}

/** Notices that the kernel takes one after the other, on a thread of its own: in order, and each once. */
export class NoticeLane {
  readonly #options: NoticeLaneOptions;
  readonly #writer = new NoticeWriter(BATCH_BYTES);
  readonly #waiting = new Map<string, Waiting>();
  /** Names of those that the kernel is being told. */
  readonly #sending = new Set<string>();
  #sweeps: Iterator<Notice>[] = [];
  /** Read from a sweep, and not yet sent. */
  #next: Notice | undefined;
  #isSending = false;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(options: NoticeLaneOptions) {
    this.#options = options;
  }

  add(notice: Notice): void {
    if (this.#waiting.size >= WAITING_COUNT_MAX) this.#options.onOverflow();
    else this.#add(notice);
  }

  /** As `add`; resolves when the kernel has taken it. */
  async addAndWait(notice: Notice): Promise<void> {
    await new Promise<void>((resolve) => this.#add(notice, resolve));
  }

  /** Sends many, as they are read, after what waits already. */
  sweep(notices: Iterator<Notice>): void {
    if (this.#sweeps.length >= SWEEP_COUNT_MAX) return void this.#options.onOverflow();
    this.#sweeps.push(notices);
    this.#pump();
  }

  /** Drops what waits, for who is about to say it anew. */
  clear(): void {
    for (const { onTaken } of this.#waiting.values()) for (const taken of onTaken) taken();
    this.#waiting.clear();
    this.#sweeps = [];
    this.#next = undefined;
  }

  /** Whether the kernel is yet to be told; of what is read from sweeps nobody knows. */
  isWaiting(notice: Notice): boolean {
    const name = nameOf(notice);
    return this.#sweeps.length > 0 || this.#waiting.has(name) || this.#sending.has(name);
  }

  /** Sends no more; resolves when the kernel has taken what was handed over. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.clear();
    if (!this.#isSending) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  #add(notice: Notice, taken?: () => void): void {
    if (this.#isClosed) return void taken?.();
    const name = nameOf(notice);
    const known = this.#waiting.get(name) ?? { notice, onTaken: [] };
    if (taken) known.onTaken.push(taken);
    this.#waiting.set(name, known);
    this.#pump();
  }

  #pump(): void {
    if (this.#isSending || this.#isClosed) return;
    const onTaken = this.#fill();
    if (this.#writer.isEmpty) return;
    this.#isSending = true;
    const done = () => {
      this.#isSending = false;
      this.#sending.clear();
      for (const taken of onTaken) taken();
      this.#onIdle?.();
      this.#pump();
    };
    // It fails when the mount is gone, which forgets everything.
    if (this.#options.send(this.#writer.take(), done) === 0) return;
    this.#isClosed = true;
    done();
  }

  /** Writes what there is room for; returns who waits for it. */
  #fill(): (() => void)[] {
    const all: (() => void)[] = [];
    for (const [name, { notice, onTaken }] of this.#waiting) {
      if (!this.#writer.add(notice)) return all;
      this.#waiting.delete(name);
      this.#sending.add(name);
      all.push(...onTaken);
    }
    for (;;) {
      this.#next ??= this.#nextOfSweeps();
      if (!this.#next || !this.#writer.add(this.#next)) return all;
      this.#sending.add(nameOf(this.#next));
      this.#next = undefined;
    }
  }

  #nextOfSweeps(): Notice | undefined {
    for (let sweep = this.#sweeps[0]; sweep; sweep = this.#sweeps[0]) {
      const { value, done } = sweep.next();
      if (!done) return value;
      this.#sweeps.shift();
    }
    return undefined;
  }
}

function nameOf(notice: Notice): string {
  if (notice.type === 'entry') return `${notice.parentId}/${notice.name}`;
  if (notice.type === 'bytes') return `${notice.id} ${notice.offset} ${notice.length}`;
  return notice.type === 'allEntries' ? '' : String(notice.id);
}
