import type { WebSocket } from 'ws';
import { LIMITS, StoreError } from '../api/index.js';
import type { HttpSocket } from '../platform/index.js';
import type { BytesInFlight } from './bytes-in-flight.js';
import { CONNECTION_BYTES_MAX } from './call-admission.js';

export interface WebSocketAdmissionOptions {
  readonly webSocket: Pick<WebSocket, 'isPaused' | 'pause' | 'resume'>;
  /** The connection under it. */
  readonly socket: Pick<HttpSocket, 'writableLength' | 'destroyed' | 'once' | 'off'>;
  readonly bytesInFlight: BytesInFlight;
}

/** A connection that has more unsent is not read, and its subscriptions wait. */
const UNSENT_BYTES_MAX = 1024 * 1024;

/** Holds a WebSocket back: it is read only while its calls find room and the other side takes its answers. */
export class WebSocketAdmission {
  readonly #options: WebSocketAdmissionOptions;
  /** Calls that have arrived and are not answered. */
  #callCount = 0;
  #waitingCount = 0;
  /** Of the calls that were admitted. */
  #bytes = 0;
  /** Settles when the last call that arrived has been admitted or refused. */
  #last: Promise<unknown> = Promise.resolve();
  #onRoom = (): void => undefined;
  #giveUp = (): void => undefined;
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
    this.#callCount += 1;
    this.#waitingCount += 1;
    this.#hold();
    const admitted = this.#last.then(() => this.#admit(bytes));
    this.#last = admitted.catch(() => undefined);
    try {
      await admitted;
    } catch (error) {
      this.#callCount -= 1;
      throw error;
    } finally {
      this.#waitingCount -= 1;
      this.#hold();
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
    this.#onRoom();
    this.#giveUp();
  }

  /** One call after the other. */
  async #admit(bytes: number): Promise<void> {
    const { bytesInFlight } = this.#options;
    while (this.#bytes > 0 && this.#bytes + bytes > CONNECTION_BYTES_MAX && !this.#isEnded) {
      await new Promise<void>((resolve) => {
        this.#onRoom = resolve;
      });
    }
    if (this.#isEnded) throw connectionLost();
    if (!bytesInFlight.tryTake(bytes)) {
      await new Promise<void>((resolve, reject) => {
        const waiting = bytesInFlight.wait(bytes, resolve);
        this.#giveUp = () => {
          waiting[Symbol.dispose]();
          reject(connectionLost());
        };
      });
      this.#giveUp = () => undefined;
    }
    this.#bytes += bytes;
  }

  async #leave(bytes: number): Promise<void> {
    // The answer is sent right after it was handed over.
    await new Promise((resolve) => setImmediate(resolve));
    this.#hold();
    await this.drained();
    this.#options.bytesInFlight.give(bytes);
    this.#bytes -= bytes;
    this.#callCount -= 1;
    this.#onRoom();
    this.#hold();
  }

  #hold(): void {
    const { webSocket, socket } = this.#options;
    const isFull =
      this.#waitingCount > 0 ||
      this.#callCount >= LIMITS.connectionCallsInFlightMax ||
      socket.writableLength > UNSENT_BYTES_MAX;
    if (isFull && !webSocket.isPaused) webSocket.pause();
    if (!isFull && webSocket.isPaused) webSocket.resume();
  }
}

function connectionLost(): StoreError {
  return new StoreError('Cancelled', 'The connection was lost before the call began.');
}
