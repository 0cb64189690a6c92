import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { HttpSocket } from './network.js';

/** Who takes the bytes of a connection. */
export interface SocketReceiver {
  /** Where the next bytes go. */
  buffer(): Uint8Array;
  /** `count` bytes were put where `buffer` said. */
  received(count: number): void;
  /** Takes bytes that it may look at until it returns. */
  push(bytes: Uint8Array): void;
  /** True when it takes no more for now. */
  isBlocked(): boolean;
}

export interface SocketReceiving {
  /** Use this one from now on; the one that was given ends with it. */
  readonly socket: HttpSocket;
  /** Begins to read. */
  start(): void;
  /** Reads on after the receiver was blocked. */
  resume(): void;
}

/**
 * Takes over an upgraded connection, to read it straight into memory that the receiver chooses where the runtime can
 * do that, and by copies where it cannot. Reading stops by itself while the receiver is blocked.
 */
export function receiveInto(socket: HttpSocket, receiver: SocketReceiver): SocketReceiving {
  const handle = takeHandle(socket);
  return handle ? directly(socket, handle, receiver) : byCopies(socket, receiver);
}

function byCopies(socket: HttpSocket, receiver: SocketReceiver): SocketReceiving {
  return {
    socket,
    start() {
      socket.on('data', (bytes: Uint8Array) => {
        receiver.push(bytes);
        if (receiver.isBlocked()) socket.pause();
      });
    },
    resume: () => void socket.resume()
  };
}

/** The runtime's own end of a connection. Not documented: whatever is not as expected means that copies are made. */
interface Handle {
  reading: boolean;
  readStop(): number;
  useUserBuffer(buffer: Uint8Array): void;
}

/** Only sockets that were just made can be told where to put what they read, so the connection gets a new one. */
function takeHandle(socket: HttpSocket): Handle | undefined {
  // Not for TLS, whose handle is tied to its socket.
  const isPlain = (socket.constructor as unknown) === Socket;
  if (!isPlain || socket.destroyed || socket.writableLength > 0) return undefined;
  const owner = socket as unknown as { _handle: Partial<Handle> | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== 'function' || typeof handle.readStop !== 'function') return undefined;
  if (handle.readStop() !== 0) return undefined;
  handle.reading = false;
  owner._handle = null;
  return handle as Handle;
}

/** For bytes that arrive while the receiver has no place for them. */
const SPARE_BYTES = 16 * 1024;

function directly(old: HttpSocket, handle: Handle, receiver: SocketReceiver): SocketReceiving {
  const early = old.read() as Uint8Array | null;
  const spare: Uint8Array = Buffer.allocUnsafeSlow(SPARE_BYTES);
  let isStarted = false;
  let isSpareLent = true;
  const onread: OnReadOpts = {
    // Lent until the next bytes come. What a blocked receiver gives would be elsewhere by then.
    buffer() {
      isSpareLent = !isStarted || receiver.isBlocked();
      return isSpareLent ? spare : receiver.buffer();
    },
    callback(count) {
      if (isSpareLent) receiver.push(spare.subarray(0, count));
      else receiver.received(count);
      return !receiver.isBlocked();
    }
  };
  const options = { handle, onread, allowHalfOpen: true, pauseOnCreate: true };
  const socket = new Socket(options as SocketConstructorOpts);
  // The server counts the old one.
  socket.once('close', () => old.destroy());
  old.once('close', () => socket.destroy());
  old.once('end', () => socket.destroy());
  return {
    socket,
    start() {
      isStarted = true;
      if (early) receiver.push(early);
      if (!receiver.isBlocked()) socket.resume();
    },
    resume: () => void socket.resume()
  };
}
