import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { Connect, ConnectOptions, SocketEvents, StoreSocket } from './socket-seam.js';

/* The machine's network: the only place of the client that touches it. */

/** Connects by TCP, with TLS for `https`. */
export const systemConnect: Connect = ({ endpoint, tls, events }) => {
  const { host, port } = endpoint;
  const onread = readingInto(events);
  const socket = endpoint.tls
    ? connectTls({ host, port, onread, ...tlsOptionsOf({ endpoint, tls }) } as ConnectionOptions)
    : connectTcp({ host, port, onread });
  // Calls are small and somebody waits for each: none is held back to fill a packet.
  socket.setNoDelay(true);
  socket.once(endpoint.tls ? 'secureConnect' : 'connect', () => events.connected());
  let cause: Error | undefined;
  socket.once('error', (error) => {
    cause = error;
  });
  // A store that has said its last word answers nothing more.
  socket.once('end', () => socket.destroy());
  socket.once('close', () => events.closed(cause));
  return storeSocket(socket);
};

/** The socket puts what it reads straight where the frames want it. */
function readingInto(events: SocketEvents): OnReadOpts {
  return {
    buffer: () => events.buffer(),
    callback: (count) => {
      events.received(count);
      return true;
    }
  };
}

function tlsOptionsOf({ endpoint, tls }: Pick<ConnectOptions, 'endpoint' | 'tls'>): ConnectionOptions {
  return {
    servername: tls.servername ?? serverNameOf(endpoint.host),
    ALPNProtocols: ['http/1.1'],
    ...(tls.ca !== undefined && { ca: [tls.ca].flat() as (string | Buffer)[] })
  };
}

/** Addresses are no names to ask for (RFC 6066, section 3); the certificate is checked against the host all the same. */
function serverNameOf(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host;
}

function storeSocket(socket: Socket): StoreSocket {
  return {
    get bufferedBytes() {
      return socket.writableLength;
    },
    write(parts, onWritten) {
      if (!socket.writable) return;
      const last = parts.length - 1;
      // Corked, all parts go to the kernel in one call.
      socket.cork();
      for (const [index, part] of parts.entries())
        socket.write(part, index === last ? (error) => !error && onWritten() : undefined);
      socket.uncork();
    },
    destroy: () => {
      socket.destroy();
    }
  };
}
