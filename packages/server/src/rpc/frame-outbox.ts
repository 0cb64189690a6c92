import type { Writable } from 'node:stream';
import { encodeFrame, encodePreface, type Frame } from '../api/index.js';

/** Frames of one turn up to this size are copied together: one buffer costs less to write than many. */
const JOIN_BYTES_MAX = 64 * 1024;
/** Longest write at once, so that a slow reader is told from one that does not read: a body of 1 MiB and its head. */
const WRITE_BYTES_MAX = 1024 * 1024 + JOIN_BYTES_MAX;

interface Part {
  readonly bytes: Uint8Array;
  /** With the last part of a frame. */
  readonly onWritten?: (() => void) | undefined;
}

/**
 * Frames on their way out of a connection, in order. Those of one turn leave in one write; what the connection does
 * not take waits here.
 */
export class FrameOutbox {
  readonly #socket: Writable;
  #parts: Part[] = [];
  #waitingBytes = 0;
  #isScheduled = false;
  #isWriting = false;
  #isEnded = false;
  /** How many writes the connection has taken: stands still when the other side does not read. */
  #writeCount = 0;
  #onDrained: (() => void)[] = [];

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0 && !this.#isWriting;
  }

  /** Bytes that no write has begun for. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get writeCount(): number {
    return this.#writeCount;
  }

  sendPreface(): void {
    this.#add([encodePreface()]);
  }

  /**
   * @param onWritten   Called once, when the bytes of the payload are no longer needed.
   * @returns How many bytes the frame has.
   * @throws StoreError when the frame cannot be encoded; nothing is sent then, and `onWritten` is not called.
   */
  send(frame: Frame, onWritten?: () => void): number {
    return this.sendEncoded(encodeFrame(frame), onWritten);
  }

  /** The same for a frame that is encoded already. */
  sendEncoded(parts: readonly Uint8Array[], onWritten?: () => void): number {
    if (this.#isEnded) {
      onWritten?.();
      return 0;
    }
    return this.#add(parts, onWritten);
  }

  /** Resolves when everything is written or the outbox has ended. */
  async drained(): Promise<void> {
    if (this.isEmpty || this.#isEnded) return;
    await new Promise<void>((resolve) => this.#onDrained.push(resolve));
  }

  /** Drops what waits. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const { onWritten } of this.#take(Number.POSITIVE_INFINITY)) onWritten?.();
    this.#drain();
  }

  #add(parts: readonly Uint8Array[], onWritten?: () => void): number {
    let length = 0;
    for (const [index, bytes] of parts.entries()) {
      length += bytes.length;
      this.#parts.push({ bytes, onWritten: index === parts.length - 1 ? onWritten : undefined });
    }
    this.#waitingBytes += length;
    if (!this.#isScheduled && !this.#isWriting) {
      this.#isScheduled = true;
      // When everything that is ready has been dealt with: reads of the disk end one by one, and a write for each of
      // their answers would wake the client as often.
      setImmediate(() => this.#write());
    }
    return length;
  }

  #write(): void {
    this.#isScheduled = false;
    if (this.#isWriting || this.#isEnded || this.#parts.length === 0) return;
    const parts = this.#take(WRITE_BYTES_MAX);
    this.#isWriting = true;
    this.#writeAll(parts, (error) => {
      this.#isWriting = false;
      this.#writeCount += 1;
      for (const { onWritten } of parts) onWritten?.();
      if (error) this.end();
      else if (this.#parts.length > 0) this.#write();
      else this.#drain();
    });
  }

  #writeAll(parts: readonly Part[], done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    const length = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (parts.length > 1 && length <= JOIN_BYTES_MAX) {
      const joined = Buffer.concat(
        parts.map(({ bytes }) => bytes),
        length
      );
      socket.write(joined, done);
      return;
    }
    const last = parts.length - 1;
    socket.cork();
    for (const [index, { bytes }] of parts.entries()) {
      if (index === last) socket.write(bytes, done);
      else socket.write(bytes);
    }
    socket.uncork();
  }

  /** Takes parts from the front, cutting the one that would make them longer than `bytesMax`. */
  #take(bytesMax: number): readonly Part[] {
    let length = 0;
    let count = 0;
    for (const { bytes } of this.#parts) {
      if (length + bytes.length > bytesMax) break;
      length += bytes.length;
      count += 1;
    }
    const taken = this.#parts.splice(0, count);
    const next = this.#parts[0];
    const room = bytesMax - length;
    if (next && room > 0) {
      taken.push({ bytes: next.bytes.subarray(0, room) });
      this.#parts[0] = { ...next, bytes: next.bytes.subarray(room) };
      length += room;
    }
    this.#waitingBytes -= length;
    return taken;
  }

  #drain(): void {
    for (const resolve of this.#onDrained.splice(0)) resolve();
  }
}
