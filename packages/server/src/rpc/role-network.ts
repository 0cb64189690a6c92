/*
 * Calls between the roles of a stamp, wherever they run: messages of plain values and byte strings, nothing shared.
 * Inside one process roles call each other directly; between processes over TCP; in a simulation over a network that
 * delays, drops and cuts.
 */

/** How the roles of one process (or one simulated machine) reach those of others. */
export interface RoleNetwork {
  /**
   * Serves calls until closed.
   *
   * @throws StoreError `InvalidArgument` when the address cannot be listened on.
   */
  listen(options: RoleListenOptions): Promise<RoleListener>;
  /** A connection that is made with the first call, and anew with the next call after it was lost. */
  connect(address: string): RoleConnection;
}

export interface RoleListenOptions {
  /** A name or address of this machine that the others can reach. */
  readonly host: string;
  /** 0 = any free port; the listener tells which. */
  readonly port: number;
  readonly service: RoleService;
}

export interface RoleListener {
  /** `host:port`, for `connect`. */
  readonly address: string;
  /** Takes no more calls, aborts those in flight and cuts the connections. */
  close(): Promise<void>;
}

/** Who answers calls. Paths are `<api>.<name>`. Payloads come from the network: parse them. */
export interface RoleService {
  /** Borrowed payload: its byte strings may be used until the promise settles. */
  call(path: string, payload: unknown, options: RoleCallOptions): Promise<unknown>;
  /** Ends when the signal aborts. */
  subscribe(path: string, payload: unknown, options: RoleCallOptions): AsyncIterable<unknown>;
}

export interface RoleCallOptions {
  readonly signal: AbortSignal;
}

export interface RoleConnection {
  /**
   * Makes one call. Byte strings of the payload are borrowed until the promise settles.
   *
   * @throws StoreError what the other side answered; `ServiceUnavailable` when it cannot be reached or the connection
   *         was lost, `DeadlineExceeded` after `deadlineMs`, `Cancelled` by the signal: in these three cases the call may
   *         have taken effect, or still take effect later.
   */
  call(path: string, payload: unknown, options: RoleConnectionOptions): Promise<unknown>;
  /** Events in order, none twice; ends with an error of `call` when the connection is lost. */
  subscribe(path: string, payload: unknown, options: RoleCallOptions): AsyncIterable<unknown>;
  /** Fails what is in flight. */
  close(): void;
}

export interface RoleConnectionOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}
