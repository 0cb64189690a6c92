import type { StoreSocket } from './socket-seam.js';

/** Parts up to this size are joined: copying them costs less than a part of a write does. */
const JOINED_PART_BYTES_MAX = 4096;

/** Gathers the frames of one tick and hands them to the socket as one write. */
export class FrameOutbox {
  readonly #socket: StoreSocket;
  readonly #onWritten: () => void;
  #parts: Uint8Array[] = [];
  #gatheredBytes = 0;

  /** @param onWritten   Called when the network has taken a write. */
  constructor(socket: StoreSocket, onWritten: () => void) {
    this.#socket = socket;
    this.#onWritten = onWritten;
  }

  /** Bytes that the network has not taken yet. */
  get waitingBytes(): number {
    return this.#gatheredBytes + this.#socket.bufferedBytes;
  }

  /** @param parts   Borrowed until they are written or the socket is closed. */
  add(parts: readonly Uint8Array[]): void {
    // After the callbacks that are running now: each may add more.
    if (this.#parts.length === 0) process.nextTick(() => this.#flush());
    for (const part of parts) {
      this.#parts.push(part);
      this.#gatheredBytes += part.length;
    }
  }

  #flush(): void {
    const parts = joined(this.#parts);
    this.#parts = [];
    this.#gatheredBytes = 0;
    this.#socket.write(parts, this.#onWritten);
  }
}

/** The same bytes with each run of small parts as one. */
function joined(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  if (parts.length === 1) return parts;
  const result: Uint8Array[] = [];
  let run: Uint8Array[] = [];
  const endRun = () => {
    if (run.length > 0) result.push(run.length === 1 ? run[0]! : Buffer.concat(run));
    run = [];
  };
  for (const part of parts) {
    if (part.length <= JOINED_PART_BYTES_MAX) run.push(part);
    else {
      endRun();
      result.push(part);
    }
  }
  endRun();
  return result;
}
