import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { KEEPALIVE_INTERVAL_MS, KEEPALIVE_TIMEOUT_MS, LIMITS, StoreError } from '../api/index.js';
import type { Clock, HttpRequest, HttpSocket } from '../platform/index.js';
import type { AccessKeys } from './access-keys.js';
import { type Authenticator, findBearerToken } from './authenticator.js';
import type { BytesInFlight } from './bytes-in-flight.js';
import { callerOf } from './caller-of.js';
import type { Dispatcher } from './dispatcher.js';
import { logRefusals } from './log-refusals.js';
import type { Metrics } from './metrics.js';
import { appRouter, type RouterContext, trpcErrorOf } from './router.js';
import { WebSocketAdmission } from './websocket-admission.js';

export interface TrpcWebSocketOptions {
  readonly keys: AccessKeys;
  readonly authenticator: Authenticator;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly bytesInFlight: BytesInFlight;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const TRANSPORT = 'websocket';
/** "Going away", as the protocol numbers it. */
const GOING_AWAY = 1001;
/** A connection that has not said in time who it is has no business here. */
const AUTHENTICATION_MS_MAX = 10_000;

/** What tRPC knows of a connection. */
interface ConnectionInfo {
  readonly connectionParams: Readonly<Record<string, string | undefined>> | null;
  readonly signal: AbortSignal;
}

interface Connection {
  readonly admission: WebSocketAdmission;
  /** Ends it unless disposed in time. */
  readonly authenticationTimer: Disposable;
}

/** Serves tRPC over WebSocket. The token comes in the connection parameters (`token`), or in a header as over HTTP. */
export class TrpcWebSocket {
  readonly #options: TrpcWebSocketOptions;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.httpBodyBytesMax,
    // Costs more time than any network that a store is used over.
    perMessageDeflate: false
  });
  readonly #connections = new Map<WebSocket, Connection>();
  readonly #serve: (socket: WebSocket, request: HttpRequest) => void;

  constructor(options: TrpcWebSocketOptions) {
    this.#options = options;
    this.#serve = getWSConnectionHandler({
      wss: this.#server,
      router: appRouter,
      keepAlive: {
        enabled: true,
        pingMs: KEEPALIVE_INTERVAL_MS,
        pongWaitMs: KEEPALIVE_TIMEOUT_MS - KEEPALIVE_INTERVAL_MS
      },
      maxBatchSize: LIMITS.connectionCallsInFlightMax,
      onError: logRefusals(options.logger, TRANSPORT),
      createContext: ({ req, res, info }) => this.#context(res, req, info)
    });
  }

  /** Owns the socket from here on. */
  accept(request: HttpRequest, socket: HttpSocket, head: Uint8Array): void {
    const { clock, metrics, bytesInFlight } = this.#options;
    this.#server.handleUpgrade(request, socket, Buffer.from(head), (webSocket) => {
      const authenticationTimer = clock.setTimer(AUTHENTICATION_MS_MAX, () => webSocket.terminate());
      const admission = new WebSocketAdmission({ webSocket, socket, bytesInFlight });
      this.#connections.set(webSocket, { admission, authenticationTimer });
      metrics.connectionOpened(TRANSPORT);
      webSocket.once('close', () => {
        authenticationTimer[Symbol.dispose]();
        admission.end();
        this.#connections.delete(webSocket);
        metrics.connectionClosed(TRANSPORT);
      });
      this.#serve(webSocket, request);
    });
  }

  /** Says goodbye; the listener cuts who does not listen. */
  close(): void {
    for (const socket of this.#connections.keys()) socket.close(GOING_AWAY, 'The store is being stopped.');
  }

  async #context(webSocket: WebSocket, request: HttpRequest, info: ConnectionInfo): Promise<RouterContext> {
    const { connectionParams, signal } = info;
    const caller = await this.#identify(webSocket, connectionParams?.token ?? findBearerToken(request));
    const connection = this.#connections.get(webSocket);
    if (!connection) throw trpcErrorOf(new StoreError('Cancelled', 'The connection was lost.'));
    const { admission } = connection;
    return {
      dispatcher: this.#options.dispatcher,
      caller,
      signal,
      admit: ({ input, answerMax }) => admission.admit(input + answerMax),
      drained: () => admission.drained()
    };
  }

  /** What gives or refuses each call its caller. Refused here, tRPC would close at once, and a call might see only that. */
  async #identify(webSocket: WebSocket, token: string | undefined): Promise<RouterContext['caller']> {
    const { keys, authenticator } = this.#options;
    try {
      const accessKey = await authenticator.authenticate(token);
      this.#connections.get(webSocket)?.authenticationTimer[Symbol.dispose]();
      return () => callerOf(keys, accessKey, TRANSPORT);
    } catch (error) {
      return () => {
        throw error;
      };
    }
  }
}
