import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { listenError } from './listen-error.js';

export type HttpRequest = IncomingMessage;
export type HttpResponse = ServerResponse;
export type HttpServer = Server;
/** The raw connection of an upgraded request. */
export type HttpSocket = Duplex;

/** Where HTTP connections come from; a simulation replaces it by queues. */
export interface Network {
  /**
   * Serves HTTP until closed.
   *
   * @throws StoreError `InvalidArgument` when the address cannot be listened on, with what to do about it.
   */
  listen(options: ListenOptions): Promise<Listener>;
}

export interface ListenOptions {
  /** A name or address of this machine. */
  readonly host: string;
  /** 0 = any free port; the listener tells which. */
  readonly port: number;
  readonly onRequest: (request: HttpRequest, response: HttpResponse) => void;
  /** Owns the socket from here on; without it upgrades are refused by closing the connection. */
  readonly onUpgrade?: (request: HttpRequest, socket: HttpSocket, head: Uint8Array) => void;
  /** A complete answer of which nothing leaves for so long ends its connection: nobody reads it. Default: never. */
  readonly unsentMsMax?: number;
  /** Absent = plain HTTP. */
  readonly tls?: ServerTls | undefined;
  /** Limits of the protocol, such as `headersTimeout`, `requestTimeout`, `keepAliveTimeout`, `maxHeaderSize`. */
  readonly http?: ServerOptions;
}

/** PEM texts. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly isEncrypted: boolean;
  /** For libraries that attach themselves to a server. */
  readonly server: HttpServer;
  /** How many connections are open, upgraded ones included. */
  connectionCount(): number;
  /**
   * Accepts nothing new, lets requests in progress end for `graceMs` (default 0), then cuts all connections.
   * Resolves when every socket is closed. Closing twice is fine.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** The network of this machine. */
export function systemNetwork(): Network {
  return { listen };
}

async function listen(options: ListenOptions): Promise<Listener> {
  const { http = {}, tls } = options;
  const server = tls ? createTlsServer({ ...http, ...tls }) : createServer(http);
  // First, as the other may answer at once.
  server.on('request', (_request, response) => endUnsent(response, options.unsentMsMax));
  server.on('request', options.onRequest satisfies RequestListener);
  if (options.onUpgrade) server.on('upgrade', options.onUpgrade);
  /** The server itself forgets connections once they are upgraded. */
  const sockets = new Set<Duplex>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await bind(server, options);
  const { address, port } = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  server.on('request', (_request, response) => {
    response.once('close', () => {
      // A connection that was busy when the closing began would otherwise be kept for the client's next request.
      if (closing) setImmediate(() => server.closeIdleConnections());
    });
  });
  return {
    host: address,
    port,
    server,
    isEncrypted: tls !== undefined,
    connectionCount: () => sockets.size,
    close: ({ graceMs = 0 } = {}) => {
      closing ??= closeServer(server, sockets, graceMs);
      return closing;
    }
  };
}

function endUnsent(response: HttpResponse, unsentMsMax: number | undefined): void {
  if (unsentMsMax === undefined) return;
  // The server sets its own time-out again once the answer has left.
  response.once('prefinish', () => response.socket?.setTimeout(unsentMsMax));
}

function bind(server: HttpServer, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => reject(listenError(host, port, cause));
    server.once('error', fail);
    server.listen({ host, port }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

async function closeServer(server: HttpServer, sockets: ReadonlySet<Duplex>, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const timer = setTimeout(cut, graceMs);
  await closed;
  clearTimeout(timer);
  // Upgraded connections do not hold the server open.
  cut();
  await Promise.all(
    [...sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())))
  );
}
