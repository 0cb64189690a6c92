import type { Socket } from 'node:net';
import { LIMITS, StoreError } from '../api/index.js';
import type { Clock, Random, SocketNetwork, SocketTls } from '../platform/index.js';
import { proveAccepting, proveConnecting } from './cluster-secret.js';
import { RoleClient } from './role-client.js';
import type {
  RoleCallOptions,
  RoleConnection,
  RoleConnectionOptions,
  RoleListener,
  RoleListenOptions,
  RoleNetwork
} from './role-network.js';
import { RoleServerConnection } from './role-server-connection.js';
import { TailMemory } from './tail-memory.js';

export interface TcpRoleNetworkOptions {
  readonly sockets: SocketNetwork;
  readonly clock: Clock;
  readonly random: Random;
  /** The same for all members of the stamp; who has it may do everything. */
  readonly secret: string;
  /** Encrypts, and has both sides show certificates. Absent = plain: only for networks that nobody else is on. */
  readonly tls?: SocketTls | undefined;
}

const CONNECT_TIMEOUT_MS = 2000;
const KEPT_BYTES_MAX = LIMITS.frontEndBytesInFlightMax / 4;

/** Calls between processes over TCP, between members that prove to know the cluster's secret. */
export function tcpRoleNetwork(options: TcpRoleNetworkOptions): RoleNetwork {
  const tailMemory = new TailMemory(KEPT_BYTES_MAX);
  return {
    listen: (listenOptions) => listen(options, listenOptions, tailMemory),
    connect: (address) => new TcpRoleConnection(options, address)
  };
}

async function listen(
  { sockets, clock, random, secret, tls }: TcpRoleNetworkOptions,
  { host, port, service }: RoleListenOptions,
  tailMemory: TailMemory
): Promise<RoleListener> {
  const connections = new Set<RoleServerConnection>();
  /** Not proven yet. */
  const strangers = new Set<Socket>();
  let isClosed = false;
  const accept = async (socket: Socket): Promise<void> => {
    strangers.add(socket);
    const ignore = (): void => undefined;
    socket.on('error', ignore);
    try {
      await proveAccepting({ socket, secret, clock, random });
    } catch {
      socket.destroy();
      return;
    } finally {
      strangers.delete(socket);
    }
    if (isClosed || socket.destroyed) {
      socket.destroy();
      return;
    }
    const connection: RoleServerConnection = new RoleServerConnection({
      socket,
      service,
      clock,
      tailMemory,
      onEnd: () => connections.delete(connection)
    });
    connections.add(connection);
  };
  const listener = await sockets.listen({ host, port, tls, onSocket: (socket) => void accept(socket) });
  return {
    address: `${host.includes(':') ? `[${host}]` : host}:${listener.port}`,
    async close() {
      isClosed = true;
      const reason = new StoreError('ServiceUnavailable', 'The member is being stopped. Try another one.');
      for (const socket of strangers) socket.destroy();
      for (const connection of connections) connection.end(reason);
      await listener.close();
    }
  };
}

class TcpRoleConnection implements RoleConnection {
  readonly #options: TcpRoleNetworkOptions;
  readonly #address: string;
  #client: RoleClient | undefined;
  #connecting: Promise<RoleClient> | undefined;
  #isClosed = false;

  constructor(options: TcpRoleNetworkOptions, address: string) {
    this.#options = options;
    this.#address = address;
  }

  call(path: string, payload: unknown, options: RoleConnectionOptions): Promise<unknown> {
    const client = this.#findClient();
    // Without an await: calls leave in the order in which they are made.
    if (client) return client.call(path, payload, options);
    return this.#connect().then((connected) => connected.call(path, payload, options));
  }

  async *subscribe(path: string, payload: unknown, options: RoleCallOptions): AsyncIterable<unknown> {
    const client = this.#findClient() ?? (await this.#connect());
    yield* client.subscribe(path, payload, options);
  }

  close(): void {
    this.#isClosed = true;
    this.#client?.end(closedError());
  }

  #findClient(): RoleClient | undefined {
    return this.#client && !this.#client.isEnded ? this.#client : undefined;
  }

  #connect(): Promise<RoleClient> {
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #open(): Promise<RoleClient> {
    if (this.#isClosed) throw closedError();
    const { sockets, clock, random, secret, tls } = this.#options;
    const { host, port } = splitAddress(this.#address);
    const socket = await sockets.connect({ host, port, tls, timeoutMs: CONNECT_TIMEOUT_MS });
    try {
      await proveConnecting({ socket, secret, clock, random });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    const client = new RoleClient(socket, clock);
    this.#client = client;
    if (this.#isClosed) client.end(closedError());
    return client;
  }
}

/** @throws StoreError `InvalidArgument` for anything but `host:port`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (!match || port > 65535)
    throw new StoreError('InvalidArgument', `${address} is no address. Write it as host:port.`);
  return { host: match[1] ?? match[2]!, port };
}

function closedError(): StoreError {
  return new StoreError('ServiceUnavailable', 'The connection was closed. Make another one.');
}
