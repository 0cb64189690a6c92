import { connect, type Socket } from 'node:net';
import {
  encodeFrame,
  encodePreface,
  FRAME_KIND,
  FRAMED_PROTOCOL,
  type Frame,
  type FrameError,
  FrameReader,
  isErrorCode,
  StoreError
} from '@stampede/server/api';

export interface FrameClientOptions {
  readonly port: number;
  readonly token?: string | undefined;
  readonly path?: string;
  readonly protocol?: string;
  /** What is sent as the preface. */
  readonly preface?: Uint8Array;
}

/** The simplest client of the framed transport: for looking at the server, not for use. */
export class FrameClient implements Disposable {
  readonly socket: Socket;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  /** Every frame that came, in order. */
  readonly frames: Frame[] = [];
  #id = 0;
  #wake: (() => void)[] = [];
  #isClosed = false;

  /** @throws Error with the status and body of the answer when the server refuses. */
  static async open(options: FrameClientOptions): Promise<FrameClient> {
    const { port, token, path = '/trpc', protocol = FRAMED_PROTOCOL, preface = encodePreface() } = options;
    const socket = connect(port, '127.0.0.1');
    const lines = [`GET ${path} HTTP/1.1`, 'host: store', 'connection: upgrade', `upgrade: ${protocol}`];
    if (token !== undefined) lines.push(`authorization: Bearer ${token}`);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const { head, rest } = await readHead(socket);
    if (!head.startsWith('HTTP/1.1 101 ')) {
      let body = rest.toString();
      for await (const bytes of socket) body += String(bytes);
      throw new Error(`${head.split('\r\n')[0]}: ${body}`);
    }
    socket.write(preface);
    return new FrameClient(socket, rest);
  }

  private constructor(socket: Socket, rest: Uint8Array) {
    this.socket = socket;
    const reader = new FrameReader({
      allocate: (_, tailLength) => new Uint8Array(tailLength),
      frame: (frame) => {
        this.frames.push(frame);
        this.#notify();
      }
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true;
        this.#notify();
        resolve();
      });
    });
    socket.on('error', () => undefined);
    socket.on('end', () => socket.destroy());
    reader.push(rest);
    socket.on('data', (bytes: Buffer) => reader.push(bytes));
    socket.resume();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  nextId(): number {
    this.#id += 1;
    return this.#id;
  }

  send(frame: Frame): void {
    this.socket.cork();
    for (const part of encodeFrame(frame)) this.socket.write(part);
    this.socket.uncork();
  }

  /** Starts a call and returns its id. */
  start(
    kind: 'query' | 'mutation' | 'subscribe',
    path: string,
    payload?: unknown,
    deadlineMs?: number
  ): number {
    const id = this.nextId();
    this.send({ kind: FRAME_KIND[kind], id, path, payload, deadlineMs });
    return id;
  }

  /** Makes a call. Fails with the store's error. */
  async call(
    kind: 'query' | 'mutation',
    path: string,
    payload?: unknown,
    deadlineMs?: number
  ): Promise<unknown> {
    return this.answer(this.start(kind, path, payload, deadlineMs));
  }

  /** The answer of a call that was started. */
  async answer(id: number): Promise<unknown> {
    const frame = await this.next(
      (frame) => frame.id === id && (frame.kind === FRAME_KIND.data || frame.kind === FRAME_KIND.error)
    );
    if (frame.kind === FRAME_KIND.data) return frame.payload;
    const { code, message } = frame.payload as FrameError;
    throw new StoreError(isErrorCode(code) ? code : 'InternalError', message);
  }

  /** The first frame that is as wanted, among those that came and those that will. Takes it. */
  async next(isWanted: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const index = this.frames.findIndex(isWanted);
      if (index >= 0) return this.frames.splice(index, 1)[0]!;
      if (this.#isClosed) throw new Error('the server closed the connection');
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

async function readHead(socket: Socket): Promise<{ readonly head: string; readonly rest: Buffer }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf('\r\n\r\n');
    if (end >= 0) return { head: bytes.subarray(0, end).toString(), rest: bytes.subarray(end + 4) };
    bytes = Buffer.concat([bytes, await nextBytes(socket)]);
  }
}

function nextBytes(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off('data', take);
      socket.off('close', fail);
      socket.off('error', fail);
      socket.pause();
    };
    const take = (bytes: Buffer): void => {
      settle();
      resolve(bytes);
    };
    const fail = (): void => {
      settle();
      reject(new Error('the server closed the connection'));
    };
    socket.once('data', take);
    socket.once('close', fail);
    socket.once('error', fail);
    socket.resume();
  });
}
