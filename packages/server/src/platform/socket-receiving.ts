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
  return byCopies(socket, receiver);
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
