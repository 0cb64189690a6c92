import type { Logger } from 'pino';
import { FRAMED_PROTOCOL, isStoreError, LIMITS, StoreError } from '../api/index.js';
import type { Clock, HttpRequest, HttpSocket } from '../platform/index.js';
import { TailMemory } from '../rpc/index.js';
import type { AccessKeys } from './access-keys.js';
import { type Authenticator, findBearerToken } from './authenticator.js';
import type { BytesInFlight } from './bytes-in-flight.js';
import type { Dispatcher } from './dispatcher.js';
import { FramedConnection } from './framed-connection.js';
import { refuse } from './http-answers.js';
import type { Metrics } from './metrics.js';

export interface FramedServerOptions {
  readonly keys: AccessKeys;
  readonly authenticator: Authenticator;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly bytesInFlight: BytesInFlight;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const TRANSPORT = 'framed';
const ACCEPTED = `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${FRAMED_PROTOCOL}\r\nconnection: Upgrade\r\n\r\n`;

/** Opens framed connections: HTTP upgrades whose bearer token tells who calls. */
export class FramedServer {
  readonly #options: FramedServerOptions;
  readonly #connections = new Set<FramedConnection>();
  readonly #tailMemory = new TailMemory(LIMITS.frontEndBytesInFlightMax / 4);
  #isClosing = false;

  constructor(options: FramedServerOptions) {
    this.#options = options;
  }

  /** Owns the socket from here on; its errors are heard already. */
  async accept(request: HttpRequest, socket: HttpSocket, head: Uint8Array): Promise<void> {
    const { authenticator, metrics, ...options } = this.#options;
    const { clock, logger } = options;
    let accessKey: string;
    try {
      accessKey = await authenticator.authenticate(findBearerToken(request));
    } catch (error) {
      logger.info({ transport: TRANSPORT }, isStoreError(error) ? error.message : 'A token was refused.');
      refuse(socket, { status: 401, error, clock });
      return;
    }
    if (this.#isClosing) {
      const error = new StoreError('SlowDown', 'The store is being stopped. Try again when it is back.');
      refuse(socket, { status: 503, error, clock });
      return;
    }
    if (socket.destroyed) return;
    const connection = new FramedConnection({
      ...options,
      socket,
      head,
      accessKey,
      tailMemory: this.#tailMemory,
      onClosed: () => {
        this.#connections.delete(connection);
        metrics.connectionClosed(TRANSPORT);
      }
    });
    this.#connections.add(connection);
    metrics.connectionOpened(TRANSPORT);
    connection.start(ACCEPTED);
  }

  /** Cuts the connections, after what has been answered has left, or after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    await Promise.all([...this.#connections].map((connection) => connection.close(graceMs)));
  }
}
