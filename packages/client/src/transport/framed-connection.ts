import assert from 'node:assert/strict';
import {
  encodeFrame,
  encodePreface,
  FRAME_KIND,
  type Frame,
  FrameReader,
  isErrorCode,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  StoreError
} from '@stampede/server/api';
import type { Clock } from '../clock.js';
import type { Endpoint } from '../endpoint.js';
import { connectionError, lostError } from './connection-errors.js';
import { FrameOutbox } from './frame-outbox.js';
import { UpgradeAnswer, upgradeRequest } from './handshake.js';
import type { Connect, StoreSocket, TlsOptions } from './socket-seam.js';

/** Until frames can be sent, from the first packet on. */
const OPEN_TIMEOUT_MS = 10_000;
/** From a ping to the end. */
const ANSWER_TIMEOUT_MS = KEEPALIVE_TIMEOUT_MS - KEEPALIVE_INTERVAL_MS;
const ID_MAX = 0xffffffff;
const NOTHING = new Uint8Array(0);

export interface FramedConnectionOptions {
  readonly endpoint: Endpoint;
  readonly tls: TlsOptions;
  readonly token: string;
  readonly connect: Connect;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly onOpen: () => void;
  /** The network has taken bytes: `waitingBytes` is smaller. */
  readonly onWritten: () => void;
  /** Once, after every call on the connection has failed with the same error. */
  readonly onClose: (error: StoreError) => void;
}

/** Where the answers to one call go. A call that is answered is forgotten first. */
export interface Receiver {
  data(payload: unknown): void;
  failed(error: StoreError): void;
  /** A subscription has no more events. */
  stopped(): void;
}

export type CallFrame = Omit<Frame, 'id'> & {
  readonly kind: typeof FRAME_KIND.query | typeof FRAME_KIND.mutation | typeof FRAME_KIND.subscribe;
};

interface StartedCall {
  readonly receiver: Receiver;
  readonly isSubscription: boolean;
}

/**
 * One connection to a store, from the first packet to its loss, and the calls on it. It never comes back: another one
 * takes its place.
 *
 *   opening ─ 101 ─▶ open ─ any failure, silence or close ─▶ closed
 */
export class FramedConnection {
  readonly #options: FramedConnectionOptions;
  readonly #socket: StoreSocket;
  readonly #outbox: FrameOutbox;
  readonly #answer: UpgradeAnswer;
  readonly #reader: FrameReader;
  readonly #calls = new Map<number, StartedCall>();
  /** Ends the timers. */
  readonly #end = new AbortController();
  #state: 'opening' | 'open' | 'closed' = 'opening';
  #lastId = 0;
  #receivedAtMs = 0;
  /** For answers to calls that are over: their bytes go nowhere, in memory that is used again. */
  #discarded: Uint8Array = NOTHING;

  constructor(options: FramedConnectionOptions) {
    this.#options = options;
    this.#answer = new UpgradeAnswer(options.endpoint);
    this.#reader = new FrameReader({
      allocate: (frame, length) => this.#allocate(frame, length),
      frame: (frame) => this.#take(frame)
    });
    this.#socket = options.connect({
      endpoint: options.endpoint,
      tls: options.tls,
      events: {
        connected: () => this.#request(),
        buffer: () => (this.#state === 'opening' ? this.#answer.buffer() : this.#reader.buffer()),
        received: (count) => this.#received(count),
        closed: (cause) => this.#lost(cause)
      }
    });
    this.#outbox = new FrameOutbox(this.#socket, options.onWritten);
    this.#limitOpening();
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** Bytes that the network has not taken yet. */
  get waitingBytes(): number {
    return this.#outbox.waitingBytes;
  }

  /**
   * Sends a call. Bytes of its payload are borrowed until they are written, which the call's end does not imply.
   *
   * @returns The id of the call.
   * @throws StoreError of `encodeFrame`; nothing is sent then.
   */
  start(frame: CallFrame, receiver: Receiver): number {
    assert(this.isOpen, 'calls start on an open connection');
    const id = this.#nextId();
    this.#outbox.add(encodeFrame({ ...frame, id }));
    this.#calls.set(id, { receiver, isSubscription: frame.kind === FRAME_KIND.subscribe });
    return id;
  }

  /** Forgets a call and tells the store that nobody waits for it. */
  cancel(id: number): void {
    if (this.#calls.delete(id)) this.#send({ kind: FRAME_KIND.cancel, id });
  }

  /** Lets a subscription send so many more events. */
  grant(id: number, count: number): void {
    if (this.#calls.has(id)) this.#send({ kind: FRAME_KIND.credit, id, payload: count });
  }

  /** Ends the connection; what is under way fails with `error`. */
  close(error: StoreError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#end.abort();
    this.#socket.destroy();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { receiver } of calls) receiver.failed(error);
    this.#options.onClose(error);
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === ID_MAX ? 1 : this.#lastId + 1;
    while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }

  #send(frame: Frame): void {
    if (this.isOpen) this.#outbox.add(encodeFrame(frame));
  }

  #request(): void {
    if (this.#state === 'opening')
      this.#outbox.add([upgradeRequest(this.#options.endpoint, this.#options.token)]);
  }

  #received(count: number): void {
    if (this.#state === 'closed') return;
    this.#receivedAtMs = this.#options.clock.monotonicMs();
    try {
      if (this.#state === 'open') this.#reader.received(count);
      else this.#receivedAnswer(count);
    } catch (error) {
      assert(error instanceof StoreError, 'only wrong bytes end a connection');
      this.close(this.#state === 'opening' ? error : lostError(this.#options.endpoint, error));
    }
  }

  #receivedAnswer(count: number): void {
    const rest = this.#answer.received(count);
    if (!rest) return;
    this.#state = 'open';
    this.#outbox.add([encodePreface()]);
    this.#reader.push(rest);
    void this.#keepAlive();
    this.#options.onOpen();
  }

  #allocate({ id }: Frame, length: number): Uint8Array {
    if (length === 0) return NOTHING;
    if (this.#calls.has(id)) return Buffer.allocUnsafeSlow(length);
    if (this.#discarded.length < length) this.#discarded = Buffer.allocUnsafeSlow(length);
    return this.#discarded;
  }

  #take({ kind, id, payload }: Frame): void {
    if (kind === FRAME_KIND.ping) {
      this.#send({ kind: FRAME_KIND.pong, id: 0 });
      return;
    }
    const call = this.#calls.get(id);
    // A call that is over may still be answered.
    if (!call) return;
    switch (kind) {
      case FRAME_KIND.data:
        if (!call.isSubscription) this.#calls.delete(id);
        call.receiver.data(payload);
        return;
      case FRAME_KIND.error:
        this.#calls.delete(id);
        call.receiver.failed(errorOf(payload));
        return;
      case FRAME_KIND.stopped:
        this.#calls.delete(id);
        call.receiver.stopped();
        return;
      default:
    }
  }

  #lost(cause: Error | undefined): void {
    const { endpoint } = this.#options;
    if (this.#state === 'opening') this.close(this.#answer.ended() ?? connectionError(endpoint, cause));
    else this.close(lostError(endpoint, cause));
  }

  #limitOpening(): void {
    const { clock, endpoint } = this.#options;
    const tooSlow = () => {
      if (this.#state !== 'opening') return;
      const message = `${endpoint.url} did not answer within ${OPEN_TIMEOUT_MS / 1000} s; check the endpoint and the network`;
      this.close(new StoreError('ServiceUnavailable', message));
    };
    clock.sleep(OPEN_TIMEOUT_MS, this.#end.signal).then(tooSlow, () => {});
  }

  /** A store whose machine is gone says nothing at all: silence is answered by pings, and these by the end. */
  async #keepAlive(): Promise<void> {
    const { clock, endpoint } = this.#options;
    let pingedAtMs: number | undefined;
    while (this.isOpen) {
      const nowMs = clock.monotonicMs();
      const silentMs = nowMs - this.#receivedAtMs;
      if (pingedAtMs !== undefined && this.#receivedAtMs >= pingedAtMs) pingedAtMs = undefined;
      if (pingedAtMs === undefined && silentMs >= KEEPALIVE_INTERVAL_MS) {
        this.#send({ kind: FRAME_KIND.ping, id: 0 });
        pingedAtMs = nowMs;
      } else if (pingedAtMs !== undefined && nowMs - pingedAtMs >= ANSWER_TIMEOUT_MS) {
        // Counted from the ping, so that a pause of this process itself is not taken for the store's.
        this.close(lostError(endpoint, new Error(`no byte for ${Math.round(silentMs / 1000)} s`)));
        return;
      }
      const waitMs = pingedAtMs === undefined ? KEEPALIVE_INTERVAL_MS - silentMs : KEEPALIVE_INTERVAL_MS;
      try {
        await clock.sleep(waitMs, this.#end.signal);
      } catch {
        return;
      }
    }
  }
}

function errorOf(payload: unknown): StoreError {
  const { code, message, retryAfterMs } = (payload ?? {}) as Record<string, unknown>;
  return new StoreError(
    isErrorCode(code) ? code : 'InternalError',
    typeof message === 'string' ? message : 'the store gave no reason',
    typeof retryAfterMs === 'number' ? { retryAfterMs } : {}
  );
}
