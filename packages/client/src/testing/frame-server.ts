import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { StoreCalls } from '@stampede/server/api';
import { FrameServerConnection } from './frame-server-connection.js';

export interface FrameServerOptions {
  /** Serves https with this key and certificate. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Answers every request to connect with this instead. */
  readonly refusal?: string;
}

/** Where a connection is cut: after so many bytes, each way counted on its own. */
export interface Cut {
  readonly afterReceivedBytes?: number;
  readonly afterSentBytes?: number;
}

/**
 * A store's end of the framed transport over any calls, on the loopback interface, that can go wrong on demand: for
 * tests of what a client does when connections break.
 */
export class FrameServer implements AsyncDisposable {
  readonly accessKey = 'test-key';
  readonly secretKey = 'test-secret';
  /** For the next connections, one each, in this order. */
  readonly cuts: Cut[] = [];
  readonly #server: Server;
  readonly #connections = new Set<FrameServerConnection>();
  readonly #isTls: boolean;
  #connectionCount = 0;
  #isSilent = false;
  #callsInFlightMax = 0;

  private constructor(calls: StoreCalls, options: FrameServerOptions) {
    const serve = (socket: Socket) => this.#serve(socket, calls, options);
    this.#isTls = options.tls !== undefined;
    this.#server = options.tls ? createTlsServer(options.tls, serve) : createServer({ noDelay: true }, serve);
  }

  static async listen(calls: StoreCalls, options: FrameServerOptions = {}): Promise<FrameServer> {
    const server = new FrameServer(calls, options);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get endpoint(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${port}`;
  }

  /** What `createStoreClient` needs to reach it. */
  get connection(): { readonly endpoint: string; readonly accessKey: string; readonly secretKey: string } {
    return { endpoint: this.endpoint, accessKey: this.accessKey, secretKey: this.secretKey };
  }

  /** Connections accepted so far. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  get openConnectionCount(): number {
    return this.#connections.size;
  }

  /** Calls that run, or wait for an answer, now. */
  get callsInFlight(): number {
    return [...this.#connections].reduce((sum, { callCount }) => sum + callCount, 0);
  }

  get callsInFlightMax(): number {
    return this.#callsInFlightMax;
  }

  /** Cuts every connection now. */
  cutAll(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** From now on nothing is answered, as if the machine were gone. */
  fallSilent(): void {
    this.#isSilent = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket, calls: StoreCalls, { refusal }: FrameServerOptions): void {
    this.#connectionCount += 1;
    const connection = new FrameServerConnection({
      socket,
      calls,
      secretKeys: new Map([[this.accessKey, this.secretKey]]),
      cut: this.cuts.shift() ?? {},
      refusal,
      isSilent: () => this.#isSilent,
      onCall: () => {
        this.#callsInFlightMax = Math.max(this.#callsInFlightMax, this.callsInFlight);
      }
    });
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.delete(connection));
  }
}
