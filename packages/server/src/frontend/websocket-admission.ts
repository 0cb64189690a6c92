import type { WebSocket } from 'ws';
import { LIMITS, StoreError } from '../api/index.js';
import type { HttpSocket } from '../platform/index.js';
import type { BytesInFlight } from './bytes-in-flight.js';

export interface WebSocketAdmissionOptions {
  readonly webSocket: WebSocket;
  /** The connection under it. */
  readonly socket: HttpSocket;
  readonly bytesInFlight: BytesInFlight;
}

/** A connection that has more unsent is not read, and its subscriptions wait. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/** Holds a WebSocket back: it is read only while its calls find room and the other side takes its answers. */
export class WebSocketAdmission {
  readonly #options: WebSocketAdmissionOptions;
  readonly #waiting = new Set<() => void>();
  #callCount = 0;
  #draining: Promise<void> | undefined;
  #isEnded = false;

  constructor(options: WebSocketAdmissionOptions) {
    this.#options = options;
  }

  /**
   * Waits for room for a call; call the result when its answer has been handed over.
   *
   * @throws StoreError `Cancelled` when the connection ends meanwhile.
   */
  async admit(bytes: number): Promise<() => void> {
    const { bytesInFlight } = this.#options;
    this.#callCount += 1;
    this.#hold();
    try {
      if (this.#isEnded) throw connectionLost();
      if (!bytesInFlight.tryTake(bytes)) await this.#wait(bytes);
    } catch (error) {
      this.#callCount -= 1;
      throw error;
    }
    return () => void this.#leave(bytes);
  }

  /** Resolves when the other side has taken what was sent, or is gone. */
  async drained(): Promise<void> {
    const { socket } = this.#options;
    if (socket.writableLength <= UNSENT_BYTES_MAX || socket.destroyed) return;
    this.#draining ??= new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off('drain', done);
        socket.off('close', done);
        this.#draining = undefined;
        resolve();
      };
      socket.once('drain', done);
      socket.once('close', done);
    });
    await this.#draining;
  }

  /** The connection is gone. */
  end(): void {
    this.#isEnded = true;
    for (const giveUp of this.#waiting) giveUp();
  }

  #wait(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        waiter[Symbol.dispose]();
        this.#waiting.delete(giveUp);
        reject(connectionLost());
      };
      const waiter = this.#options.bytesInFlight.wait(bytes, () => {
        this.#waiting.delete(giveUp);
        resolve();
      });
      this.#waiting.add(giveUp);
      this.#hold();
    });
  }

  async #leave(bytes: number): Promise<void> {
    // The answer is sent right after it was handed over.
    await new Promise((resolve) => setImmediate(resolve));
    this.#hold();
    await this.drained();
    this.#options.bytesInFlight.give(bytes);
    this.#callCount -= 1;
    this.#hold();
  }

  #hold(): void {
    const { webSocket, socket } = this.#options;
    const isFull =
      this.#waiting.size > 0 ||
      this.#callCount >= LIMITS.connectionCallsInFlightMax ||
      socket.writableLength > UNSENT_BYTES_MAX;
    if (isFull && !webSocket.isPaused) webSocket.pause();
    if (!isFull && webSocket.isPaused) webSocket.resume();
  }
}

function connectionLost(): StoreError {
  return new StoreError('Cancelled', 'The connection was lost before the call began.');
}
