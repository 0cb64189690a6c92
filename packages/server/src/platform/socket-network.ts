import {
  type AddressInfo,
  connect as connectTcp,
  createServer as createTcpServer,
  type Server,
  type Socket
} from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { StoreError } from '../api/index.js';
import { listenError } from './listen-error.js';

/** Plain connections between the processes of a stamp; a simulation replaces whole calls instead. */
export interface SocketNetwork {
  /** @throws StoreError `InvalidArgument` when the address cannot be listened on. */
  listen(options: SocketListenOptions): Promise<SocketListener>;
  /** @throws StoreError `ServiceUnavailable` when nobody answers in time. */
  connect(options: SocketConnectOptions): Promise<Socket>;
}

export interface SocketListenOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly tls?: SocketTls | undefined;
  /** Owns the socket, which is not read yet. */
  readonly onSocket: (socket: Socket) => void;
}

export interface SocketListener {
  readonly host: string;
  readonly port: number;
  /** Accepts nothing new; connections are their owners'. */
  close(): Promise<void>;
}

export interface SocketConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: SocketTls | undefined;
  readonly timeoutMs: number;
}

/** Both sides show a certificate of the same authority. PEM texts. */
export interface SocketTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const CONNECTION_COUNT_MAX = 1024;

/** The network of this machine. */
export function systemSocketNetwork(): SocketNetwork {
  return { listen, connect };
}

async function listen({ host, port, tls, onSocket }: SocketListenOptions): Promise<SocketListener> {
  const accept = (socket: Socket): void => {
    socket.setNoDelay(true);
    onSocket(socket);
  };
  const server: Server = tls
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, accept)
    : createTcpServer({ pauseOnConnect: true, noDelay: true }, accept);
  server.maxConnections = CONNECTION_COUNT_MAX;
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void => reject(listenError(host, port, cause));
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      resolve();
    });
  });
  const { address, port: bound } = server.address() as AddressInfo;
  return {
    host: address,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      })
  };
}

function connect({ host, port, tls, timeoutMs }: SocketConnectOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // The certificates are of members, whose addresses change: the authority vouches for them, not the name.
    const socket: Socket = tls
      ? connectTls({ host, port, ...tls, checkServerIdentity: () => undefined })
      : connectTcp({ host, port, noDelay: true });
    const end = (cause: Error): void => {
      socket.destroy();
      const message = `${host}:${port} cannot be reached: ${cause.message}. Check that it runs and the network.`;
      reject(new StoreError('ServiceUnavailable', message, { cause }));
    };
    socket.setNoDelay(true);
    socket.setTimeout(timeoutMs, () => end(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', end);
    socket.once(tls ? 'secureConnect' : 'connect', () => {
      socket.setTimeout(0);
      socket.off('error', end);
      resolve(socket);
    });
  });
}
