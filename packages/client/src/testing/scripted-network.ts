import assert from 'node:assert/strict';
import { encodeFrame, encodePreface, FRAMED_PROTOCOL, type Frame, FrameReader } from '@stampede/server/api';
import type { Connect, SocketEvents, StoreSocket } from '../transport/socket-seam.js';

const ACCEPTED = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${FRAMED_PROTOCOL}\r\n\r\n`;

/** One write that the network has not taken yet. */
interface WaitingWrite {
  readonly bytes: number;
  readonly onWritten: () => void;
}

/** The other end of a connection, played by a test step by step. */
export class ScriptedSocket implements StoreSocket {
  readonly events: SocketEvents;
  /** What the client wrote, one entry for each write. */
  readonly writes: Uint8Array[] = [];
  /** What it wrote after the request to upgrade, as frames. */
  readonly frames: Frame[] = [];
  readonly #reader = new FrameReader({
    allocate: (_frame, length) => new Uint8Array(length),
    frame: (frame) => this.frames.push(frame)
  });
  readonly #waiting: WaitingWrite[] = [];
  /** Whether writes are taken at once. */
  isFast = true;
  isDestroyed = false;

  constructor(events: SocketEvents) {
    this.events = events;
  }

  get bufferedBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  write(parts: readonly Uint8Array[], onWritten: () => void): void {
    const bytes = Buffer.concat(parts);
    if (this.writes.push(bytes) > 1) this.#reader.push(bytes);
    this.#waiting.push({ bytes: bytes.length, onWritten });
    if (this.isFast) setImmediate(() => this.takeWrites());
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    setImmediate(() => this.events.closed(undefined));
  }

  /** The network takes everything that waits. */
  takeWrites(): void {
    for (const { onWritten } of this.#waiting.splice(0)) onWritten();
  }

  /** Bytes arrive. */
  give(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length; ) {
      const buffer = this.events.buffer();
      const part = bytes.subarray(offset, offset + buffer.length);
      buffer.set(part);
      offset += part.length;
      this.events.received(part.length);
    }
  }

  giveFrame(frame: Frame): void {
    this.give(Buffer.concat(encodeFrame(frame)));
  }

  /** Connects and accepts the upgrade. */
  async open(): Promise<void> {
    this.events.connected();
    await turns();
    this.give(Buffer.concat([Buffer.from(ACCEPTED), encodePreface()]));
    await turns();
  }
}

const CONNECT_MS_MAX = 30_000;

/** A network whose connections a test plays. */
export function scriptedNetwork() {
  const sockets: ScriptedSocket[] = [];
  const connect: Connect = ({ events }) => {
    const socket = new ScriptedSocket(events);
    sockets.push(socket);
    return socket;
  };
  /** The socket of the next connection, once the client has begun it. */
  const nextSocket = async (index: number): Promise<ScriptedSocket> => {
    // Real time: what the client signs is made by threads beside the loop.
    const endMs = performance.now() + CONNECT_MS_MAX;
    while (!sockets[index] && performance.now() < endMs) await turns();
    const socket = sockets[index];
    assert(socket, `the client has begun connection ${index}`);
    return socket;
  };
  return { connect, sockets, nextSocket };
}

/** Lets everything that can happen without new bytes happen. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
