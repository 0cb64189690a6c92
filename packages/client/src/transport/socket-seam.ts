import type { Endpoint } from '../endpoint.js';

/** How an `https` endpoint is trusted; as the options of the same names of Node's TLS. */
export interface TlsOptions {
  /** Certificates in PEM that the store's certificate must lead to. Default: those that come with Node. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** The name that the store's certificate must have. Default: the host of the endpoint. */
  readonly servername?: string;
}

export interface ConnectOptions {
  readonly endpoint: Endpoint;
  readonly tls: TlsOptions;
  readonly events: SocketEvents;
}

/** Begins to connect. What comes of it arrives as events after this has returned; only `buffer` may be called at once. */
export type Connect = (options: ConnectOptions) => StoreSocket;

/** A connection as a stream of bytes each way: that of the machine's network, or what a test puts in its place. */
export interface StoreSocket {
  /** Bytes that were given to `write` and that the network has not taken yet. */
  readonly bufferedBytes: number;
  /** Sends the parts back to back. They are borrowed until `onWritten` or `closed`. */
  write(parts: readonly Uint8Array[], onWritten: () => void): void;
  /** Ends the connection at once. */
  destroy(): void;
}

export interface SocketEvents {
  /** Bytes can be written from now on. */
  connected(): void;
  /** Where the next bytes that arrive are to be put. */
  buffer(): Uint8Array;
  /** So many bytes were put there. Must not throw. */
  received(count: number): void;
  /** The last event, also of a connection that never came to be; `cause` is the network's error if there is one. */
  closed(cause: Error | undefined): void;
}
