import type { Socket } from 'node:net';
import {
  encodeFrame,
  FRAME_KIND,
  type Frame,
  FrameReader,
  type FrameSink,
  isStoreError,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  StoreError
} from '../api/index.js';
import { type Clock, type HttpSocket, receiveInto, type SocketReceiving } from '../platform/index.js';
import { FrameOutbox } from './frame-outbox.js';

export interface FramePeerOptions extends FrameSink {
  /** Both sides have proven who they are. */
  readonly socket: Socket;
  readonly clock: Clock;
  /** Once, with why. */
  readonly onEnd: (reason: StoreError) => void;
}

/** One end of a connection between members: sends and takes frames, and notices when the other end is gone. */
export class FramePeer {
  readonly #options: FramePeerOptions;
  readonly #reader: FrameReader;
  readonly #receiving: SocketReceiving;
  readonly #outbox: FrameOutbox;
  #isEnded = false;
  #keepalive: Disposable;
  #lastHeardMs: number;

  constructor(options: FramePeerOptions) {
    this.#options = options;
    const { clock } = options;
    this.#reader = new FrameReader({
      allocate: (frame, length) => options.allocate(frame, length),
      frame: (frame) => this.#take(frame)
    });
    this.#lastHeardMs = clock.monotonicMs();
    this.#receiving = receiveInto(options.socket as HttpSocket, {
      buffer: () => this.#reader.buffer(),
      received: (count) => this.#read(() => this.#reader.received(count)),
      push: (bytes) => this.#read(() => this.#reader.push(bytes)),
      isBlocked: () => this.#reader.isBlocked
    });
    const { socket } = this.#receiving;
    this.#outbox = new FrameOutbox(socket);
    const lost = (why: string): void =>
      this.end(new StoreError('ServiceUnavailable', `The connection was lost: ${why}. Try again.`));
    socket.on('error', (error) => lost(error.message));
    socket.once('close', () => lost('the other side closed it'));
    socket.once('end', () => lost('the other side closed it'));
    this.#keepalive = clock.setTimer(KEEPALIVE_INTERVAL_MS, () => this.#keepAlive());
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  start(): void {
    this.#outbox.sendPreface();
    this.#receiving.start();
  }

  /**
   * @param onWritten   Called once, when the bytes of the payload are no longer needed, also when the connection ends.
   * @returns Whether bytes of the payload are borrowed until then.
   * @throws StoreError when the frame cannot be encoded; nothing is sent then.
   */
  send(frame: Frame, onWritten?: () => void): boolean {
    const parts = encodeFrame(frame);
    this.#outbox.sendEncoded(parts, onWritten);
    return parts.length > 1;
  }

  /** After `allocate` had refused: asks it again. */
  resume(): void {
    if (this.#isEnded) return;
    this.#read(() => this.#reader.resume());
    if (!this.#isEnded && !this.#reader.isBlocked) this.#receiving.resume();
  }

  end(reason: StoreError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#keepalive[Symbol.dispose]();
    this.#outbox.end();
    this.#receiving.socket.destroy();
    this.#options.onEnd(reason);
  }

  #take(frame: Frame): void {
    if (frame.kind === FRAME_KIND.ping) this.#outbox.send({ kind: FRAME_KIND.pong, id: 0 });
    else if (frame.kind !== FRAME_KIND.pong) this.#options.frame(frame);
  }

  #read(take: () => void): void {
    if (this.#isEnded) return;
    this.#lastHeardMs = this.#options.clock.monotonicMs();
    try {
      take();
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.end(new StoreError('ServiceUnavailable', `The connection was ended: ${error.message}`));
    }
  }

  #keepAlive(): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    // Nothing is heard while nothing is read.
    if (this.#reader.isBlocked) this.#lastHeardMs = nowMs;
    if (nowMs - this.#lastHeardMs >= KEEPALIVE_TIMEOUT_MS) {
      this.end(new StoreError('ServiceUnavailable', 'The other side is silent. Check it and the network.'));
      return;
    }
    if (this.#outbox.isEmpty) this.#outbox.send({ kind: FRAME_KIND.ping, id: 0 });
    this.#keepalive = clock.setTimer(KEEPALIVE_INTERVAL_MS, () => this.#keepAlive());
  }
}
