import { FileSystemError } from '../errno.js';

const READER_COUNT_MAX = 16;
/** What waits for one reader. A line has a few hundred bytes at most, save for long paths. */
const WAITING_BYTES_MAX = 256 * 1024;

/** Operations as lines, for those who read along. While nobody does, nothing is written. */
export class OperationLog {
  readonly #readers = new Set<OperationLogReader>();
  #droppedCount = 0;

  get isRead(): boolean {
    return this.#readers.size > 0;
  }

  get readerCount(): number {
    return this.#readers.size;
  }

  /** Lines that some reader did not get, being too slow. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  append(line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    for (const reader of this.#readers) this.#droppedCount += reader.append(bytes);
  }

  /** Gets what happens from now on, until it is closed. Fails with `EMFILE` where too many read already. */
  open(): OperationLogReader {
    if (this.#readers.size >= READER_COUNT_MAX)
      throw new FileSystemError('EMFILE', `at most ${READER_COUNT_MAX} read the log at a time`);
    const reader = new OperationLogReader(() => this.#readers.delete(reader));
    this.#readers.add(reader);
    return reader;
  }

  /** Every reader comes to its end. */
  close(): void {
    for (const reader of this.#readers) reader.close();
  }
}

/** The lines that wait for one reader; when they are too many the oldest go, and a line says how many. */
export class OperationLogReader {
  readonly #onClose: () => void;
  #lines: Buffer[] = [];
  #bytes = 0;
  #droppedCount = 0;
  #isClosed = false;
  /** Reads that wait for a line: a handle may have several. */
  readonly #waiting = new Set<() => void>();

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  get hasDropped(): boolean {
    return this.#droppedCount > 0;
  }

  /** Returns how many lines had to go. */
  append(line: Buffer): number {
    this.#lines.push(line);
    this.#bytes += line.byteLength;
    let dropped = 0;
    while (this.#bytes > WAITING_BYTES_MAX && dropped < this.#lines.length - 1)
      this.#bytes -= this.#lines[dropped++]!.byteLength;
    if (dropped > 0) this.#lines = this.#lines.slice(dropped);
    this.#droppedCount += dropped;
    for (const wake of [...this.#waiting]) wake();
    return dropped;
  }

  /** What is there, up to `bytesMax`, without waiting. A line that does not fit whole comes in parts. */
  take(bytesMax: number): Uint8Array {
    if (this.#droppedCount > 0) {
      const said = Buffer.from(
        `# ${this.#droppedCount} lines dropped: they came faster than they were read\n`
      );
      this.#droppedCount = 0;
      this.#lines.unshift(said);
      this.#bytes += said.byteLength;
    }
    const taken: Buffer[] = [];
    let room = bytesMax;
    while (room > 0 && this.#lines.length > 0) {
      const first = this.#lines[0]!;
      taken.push(first.subarray(0, room));
      if (first.byteLength > room) this.#lines[0] = first.subarray(room);
      else this.#lines.shift();
      this.#bytes -= Math.min(room, first.byteLength);
      room -= Math.min(room, first.byteLength);
    }
    return Buffer.concat(taken);
  }

  /** Waits for a line; nothing when there is none once the reader is closed or `signal` aborts. */
  async read(bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
    while (this.#lines.length === 0 && !this.#isClosed && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    return this.take(bytesMax);
  }

  close(): void {
    this.#isClosed = true;
    this.#onClose();
    for (const wake of [...this.#waiting]) wake();
  }
}
