import type { Socket } from 'node:net';
import {
  encodeFrame,
  encodePreface,
  FRAME_KIND,
  FRAMED_PROTOCOL,
  type Frame,
  FrameReader,
  LIMITS,
  type StoreCalls,
  SUBSCRIPTION_CREDIT,
  verifyToken,
  type WatchEvent,
  type WatchInput
} from '@stampede/server/api';
import { type Invoker, invokerOver, type UnaryCallName } from '../call-table.js';
import { storeErrorFrom } from '../errors.js';
import { systemClock } from '../system-clock.js';
import type { Cut } from './frame-server.js';

export interface FrameServerConnectionOptions {
  readonly socket: Socket;
  readonly calls: StoreCalls;
  readonly secretKeys: ReadonlyMap<string, string>;
  readonly cut: Cut;
  readonly refusal: string | undefined;
  readonly isSilent: () => boolean;
  readonly onCall: () => void;
}

interface Running {
  readonly stop: AbortController;
  /** Events that a subscription may still send. */
  credit: number;
  wake: () => void;
}

/** One connection of a `FrameServer`. */
export class FrameServerConnection {
  readonly #options: FrameServerConnectionOptions;
  readonly #invoker: Invoker;
  readonly #reader: FrameReader;
  readonly #running = new Map<number, Running>();
  #request = '';
  #isOpen = false;
  #receivedBytes = 0;
  #sentBytes = 0;

  constructor(options: FrameServerConnectionOptions) {
    this.#options = options;
    this.#invoker = invokerOver(options.calls);
    this.#reader = new FrameReader({
      allocate: (_frame, length) => Buffer.allocUnsafeSlow(length),
      frame: (frame) => this.#take(frame)
    });
    const { socket } = options;
    socket.on('data', (bytes) => this.#received(bytes));
    socket.on('error', () => {});
    socket.once('close', () => {
      for (const { stop } of this.#running.values()) stop.abort();
    });
  }

  get callCount(): number {
    return this.#running.size;
  }

  cut(): void {
    this.#options.socket.destroy();
  }

  #received(bytes: Buffer): void {
    const { cut, isSilent } = this.#options;
    if (isSilent()) return;
    const room = (cut.afterReceivedBytes ?? Number.POSITIVE_INFINITY) - this.#receivedBytes;
    const taken = bytes.subarray(0, Math.min(bytes.length, room));
    this.#receivedBytes += taken.length;
    if (this.#isOpen) this.#reader.push(taken);
    else void this.#requested(taken);
    if (room <= bytes.length) this.cut();
  }

  async #requested(bytes: Buffer): Promise<void> {
    this.#request += bytes.toString('latin1');
    if (!this.#request.startsWith('GET'.slice(0, this.#request.length))) {
      this.#options.socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      return;
    }
    if (!this.#request.endsWith('\r\n\r\n')) return;
    const answer = this.#options.refusal ?? (await this.#answer());
    this.#write([Buffer.from(answer)]);
    if (!answer.startsWith('HTTP/1.1 101')) {
      this.#options.socket.end();
      return;
    }
    this.#write([encodePreface()]);
    this.#isOpen = true;
  }

  async #answer(): Promise<string> {
    const token = /\r\nAuthorization: Bearer (\S+)\r\n/.exec(this.#request)?.[1] ?? '';
    const { secretKeys } = this.#options;
    try {
      await verifyToken(token, {
        nowMs: systemClock.nowMs(),
        findSecretKey: (accessKey) => secretKeys.get(accessKey)
      });
    } catch (error) {
      const { code, message } = storeErrorFrom(error);
      const body = JSON.stringify({ code, message });
      return `HTTP/1.1 401 Unauthorized\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
    }
    return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${FRAMED_PROTOCOL}\r\n\r\n`;
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case FRAME_KIND.query:
      case FRAME_KIND.mutation:
        void this.#call(frame);
        return;
      case FRAME_KIND.subscribe:
        void this.#subscribe(frame);
        return;
      case FRAME_KIND.cancel:
        this.#running.get(frame.id)?.stop.abort();
        return;
      case FRAME_KIND.credit:
        this.#credit(frame.id, frame.payload as number);
        return;
      case FRAME_KIND.ping:
        this.#send({ kind: FRAME_KIND.pong, id: 0 });
        return;
      default:
    }
  }

  async #call({ id, path, payload, deadlineMs }: Frame): Promise<void> {
    const { stop } = this.#begin(id);
    const options = { signal: stop.signal, ...(deadlineMs !== undefined && { deadlineMs }) };
    try {
      const answer = await this.#invoker.call(path as UnaryCallName, payload, options);
      this.#last({ kind: FRAME_KIND.data, id, payload: answer });
    } catch (error) {
      this.#last(errorFrame(id, error));
    }
  }

  async #subscribe({ id, payload }: Frame): Promise<void> {
    const running = this.#begin(id);
    const { signal } = running.stop;
    this.#send({ kind: FRAME_KIND.started, id });
    try {
      for await (const event of this.#invoker.watch(payload as WatchInput, { signal })) {
        while (running.credit === 0 && !signal.aborted)
          await new Promise<void>((resolve) => {
            running.wake = resolve;
          });
        running.credit -= 1;
        this.#sendEvent(id, event);
      }
      this.#last({ kind: FRAME_KIND.stopped, id });
    } catch (error) {
      this.#last(errorFrame(id, error));
    }
  }

  #sendEvent(id: number, event: WatchEvent): void {
    this.#send({ kind: FRAME_KIND.data, id, payload: { id: event.resumeToken, data: event } });
  }

  #begin(id: number): Running {
    const running: Running = { stop: new AbortController(), credit: SUBSCRIPTION_CREDIT, wake: () => {} };
    running.stop.signal.addEventListener('abort', () => running.wake());
    this.#running.set(id, running);
    this.#options.onCall();
    if (this.#running.size > LIMITS.connectionCallsInFlightMax) this.cut();
    return running;
  }

  #credit(id: number, count: number): void {
    const running = this.#running.get(id);
    if (!running) return;
    running.credit += count;
    running.wake();
  }

  #last(frame: Frame): void {
    this.#running.delete(frame.id);
    this.#send(frame);
  }

  #send(frame: Frame): void {
    this.#write(encodeFrame(frame));
  }

  #write(parts: readonly Uint8Array[]): void {
    const { socket, cut, isSilent } = this.#options;
    if (isSilent() || !socket.writable) return;
    socket.cork();
    for (const part of parts) {
      const room = (cut.afterSentBytes ?? Number.POSITIVE_INFINITY) - this.#sentBytes;
      const sent = part.subarray(0, Math.min(part.length, room));
      this.#sentBytes += sent.length;
      socket.write(sent);
      if (room <= part.length) {
        // What was sent before the cut arrives.
        socket.end();
        break;
      }
    }
    socket.uncork();
  }
}

function errorFrame(id: number, error: unknown): Frame {
  const { code, message, retryAfterMs } = storeErrorFrom(error);
  return { kind: FRAME_KIND.error, id, payload: { code, message, retryAfterMs } };
}
