import { type CallOptions, FRAME_KIND, type FrameEvent, LIMITS, StoreError } from '@stampede/server/api';
import { accessToken } from '../access-token.js';
import type { Clock } from '../clock.js';
import { type Credentials, type Endpoint, parseCredentials, parseEndpoint } from '../endpoint.js';
import { cancelledError, storeErrorFrom } from '../errors.js';
import { onAbort } from '../on-abort.js';
import { systemClock } from '../system-clock.js';
import type { Transport } from '../transport-seam.js';
import { CallQueue } from './call-queue.js';
import { systemConnect } from './connect.js';
import { DeadlineTimer } from './deadline-timer.js';
import { EventWindow } from './event-window.js';
import { type CallFrame, FramedConnection, type Receiver } from './framed-connection.js';
import type { Connect, TlsOptions } from './socket-seam.js';
import { withChecksum } from './with-checksum.js';

export interface FramedTransportOptions extends Credentials {
  /** As `http://HOST:7070`, or `https://` with TLS. */
  readonly endpoint: string;
  readonly tls?: TlsOptions;
  readonly clock?: Clock;
  /** How a connection is made. Default: over the machine's network. */
  readonly connect?: Connect;
}

/** Bodies at least this long wait while the network is busy, and small calls pass them. */
const BULK_BYTES_MIN = 64 * 1024;
/** Bytes that wait for the network before bulk bodies wait for them: what the kernel takes at once, roughly. */
const WAITING_BYTES_MAX = 1024 * 1024;
/** Calls that wait to be sent; a program that starts more at once is told to slow down. */
const WAITING_CALLS_MAX = 65_536;
/** Watches hold their place on the connection, so they may not take all of them. */
const SUBSCRIPTIONS_MAX = LIMITS.connectionCallsInFlightMax / 2;

/** A call from `request` or `subscribe` to its end. */
interface Call extends Receiver {
  readonly frame: CallFrame;
  readonly isBulk: boolean;
  readonly endsAtMs: number;
  /** From the caller's signal. */
  detach: () => void;
  /** On the connection; absent while it waits. */
  id: number | undefined;
}

/**
 * Calls over one connection, which is made for the first call and again for the next one after it was lost. Calls that
 * were sent on a lost connection fail; those that still waited go over the next one.
 */
export class FramedTransport implements Transport {
  readonly #endpoint: Endpoint;
  readonly #tls: TlsOptions;
  readonly #clock: Clock;
  readonly #connect: Connect;
  readonly #token: () => Promise<string>;
  /** Every call that has not ended. */
  readonly #calls = new Set<Call>();
  /** Those of `#calls` that were not sent yet. */
  readonly #queue = new CallQueue<Call>();
  readonly #deadlines: DeadlineTimer;
  #connection: FramedConnection | 'dialling' | undefined;
  /** Of the first attempt to connect; absent before it, and once an attempt succeeded. */
  #unreachedSinceMs: number | undefined;
  #wasReached = false;
  #subscriptionCount = 0;
  #isSending = false;
  #isClosed = false;

  /** @throws StoreError `InvalidArgument` for an endpoint or credentials that cannot be right. */
  constructor(options: FramedTransportOptions) {
    this.#endpoint = parseEndpoint(options.endpoint);
    this.#tls = options.tls ?? {};
    this.#clock = options.clock ?? systemClock;
    this.#connect = options.connect ?? systemConnect;
    this.#token = accessToken(parseCredentials(options), this.#clock);
    this.#deadlines = new DeadlineTimer(this.#clock, (nowMs) => this.#expire(nowMs));
  }

  /** How long the store could not be reached since the first attempt; absent once it was. */
  get unreachedMs(): number | undefined {
    if (this.#unreachedSinceMs === undefined) return undefined;
    return this.#clock.monotonicMs() - this.#unreachedSinceMs;
  }

  request(type: 'query' | 'mutation', path: string, input: unknown, options: CallOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const frame = { kind: FRAME_KIND[type], path, payload: withChecksum(path, input) };
      const deadlineMs = options.deadlineMs ?? LIMITS.callDeadlineMsDefault;
      this.#begin(frame, {
        endsAtMs: this.#clock.monotonicMs() + deadlineMs,
        signal: options.signal,
        data: resolve,
        failed: reject,
        stopped: () => reject(new StoreError('InternalError', 'the store ended the call without an answer'))
      });
    });
  }

  async *subscribe(
    path: string,
    input: unknown,
    options: { readonly signal: AbortSignal }
  ): AsyncGenerator<unknown> {
    for await (const { data } of this.events(path, input, options)) yield data;
  }

  /** As `subscribe`, with the id of each event. */
  async *events(
    path: string,
    input: unknown,
    { signal }: { readonly signal: AbortSignal }
  ): AsyncGenerator<FrameEvent> {
    if (this.#subscriptionCount >= SUBSCRIPTIONS_MAX)
      throw new StoreError(
        'SlowDown',
        `a client has at most ${SUBSCRIPTIONS_MAX} watches; end some, or create another`
      );
    this.#subscriptionCount += 1;
    const window = new EventWindow((count) => this.#grant(call, count));
    const call = this.#begin(
      { kind: FRAME_KIND.subscribe, path, payload: input },
      {
        endsAtMs: Number.POSITIVE_INFINITY,
        signal,
        data: (payload) => window.data(payload),
        failed: (error) => window.failed(error),
        stopped: () => window.stopped()
      }
    );
    try {
      for (;;) {
        const event = await window.next();
        if (signal.aborted) throw cancelledError(signal);
        if (!event) return;
        yield event;
      }
    } finally {
      this.#subscriptionCount -= 1;
      this.#drop(call);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const error = closedError();
    for (const call of [...this.#calls]) this.#fail(call, error);
    this.#deadlines.stop();
    if (this.#connection instanceof FramedConnection) this.#connection.close(error);
  }

  #begin(
    frame: CallFrame,
    {
      endsAtMs,
      signal,
      ...receiver
    }: Receiver & { readonly endsAtMs: number; readonly signal: AbortSignal | undefined }
  ): Call {
    const call: Call = {
      frame,
      endsAtMs,
      detach: () => {},
      isBulk: bodyBytesOf(frame.payload) >= BULK_BYTES_MIN,
      id: undefined,
      data: (payload) => {
        if (frame.kind !== FRAME_KIND.subscribe) this.#ended(call);
        receiver.data(payload);
      },
      failed: (error) => {
        this.#ended(call);
        receiver.failed(error);
      },
      stopped: () => {
        this.#ended(call);
        receiver.stopped();
      }
    };
    const refusal = this.#refusalOf(signal);
    if (refusal) {
      receiver.failed(refusal);
      return call;
    }
    this.#calls.add(call);
    if (signal) call.detach = onAbort(signal, () => this.#fail(call, cancelledError(signal)));
    this.#deadlines.wakeBy(endsAtMs);
    this.#queue.add(call);
    this.#sendWaiting();
    return call;
  }

  #refusalOf(signal: AbortSignal | undefined): StoreError | undefined {
    if (this.#isClosed) return closedError();
    if (signal?.aborted) return cancelledError(signal);
    if (this.#queue.size >= WAITING_CALLS_MAX)
      return new StoreError('SlowDown', `${WAITING_CALLS_MAX} calls wait already; start fewer at once`);
    return undefined;
  }

  /** Every call comes here once, whatever ends it. */
  #ended(call: Call): void {
    this.#calls.delete(call);
    call.detach();
    this.#sendWaiting();
  }

  /** Ends a call from this side. */
  #fail(call: Call, error: StoreError): void {
    if (!this.#calls.has(call)) return;
    this.#withdraw(call);
    call.failed(error);
  }

  /** Ends a call that nobody waits for any more. */
  #drop(call: Call): void {
    if (!this.#calls.has(call)) return;
    this.#withdraw(call);
    this.#ended(call);
  }

  #withdraw(call: Call): void {
    if (this.#queue.delete(call) || call.id === undefined) return;
    if (this.#connection instanceof FramedConnection) this.#connection.cancel(call.id);
  }

  #grant({ id }: Call, count: number): void {
    if (id !== undefined && this.#connection instanceof FramedConnection) this.#connection.grant(id, count);
  }

  #expire(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const call of [...this.#calls]) {
      if (call.endsAtMs > nowMs) next = Math.min(next, call.endsAtMs);
      else this.#fail(call, tooLateError(this.#endpoint, call));
    }
    return next;
  }

  #sendWaiting(): void {
    if (this.#isSending || this.#isClosed || this.#queue.size === 0) return;
    if (this.#connection === undefined) this.#dial();
    if (!(this.#connection instanceof FramedConnection) || !this.#connection.isOpen) return;
    const connection = this.#connection;
    this.#isSending = true;
    while (connection.isOpen && connection.callCount < LIMITS.connectionCallsInFlightMax) {
      const call = this.#queue.take({ withBulk: connection.waitingBytes < WAITING_BYTES_MAX });
      if (!call) break;
      this.#send(connection, call);
    }
    this.#isSending = false;
  }

  #send(connection: FramedConnection, call: Call): void {
    const { frame, endsAtMs } = call;
    const remainingMs = Math.ceil(endsAtMs - this.#clock.monotonicMs());
    if (remainingMs <= 0) {
      call.failed(tooLateError(this.#endpoint, call));
      return;
    }
    try {
      const deadlineMs = Number.isFinite(remainingMs) ? remainingMs : undefined;
      call.id = connection.start({ ...frame, deadlineMs }, call);
    } catch (error) {
      call.failed(storeErrorFrom(error));
    }
  }

  #dial(): void {
    this.#connection = 'dialling';
    if (!this.#wasReached) this.#unreachedSinceMs ??= this.#clock.monotonicMs();
    this.#token()
      .then((token) => this.#open(token))
      .catch((error: unknown) => this.#closed(storeErrorFrom(error), { wasOpen: false }));
  }

  #open(token: string): void {
    if (this.#isClosed) return;
    let wasOpen = false;
    const connection = new FramedConnection({
      endpoint: this.#endpoint,
      tls: this.#tls,
      connect: this.#connect,
      clock: this.#clock,
      token,
      onOpen: () => {
        wasOpen = true;
        this.#wasReached = true;
        this.#unreachedSinceMs = undefined;
        this.#sendWaiting();
      },
      onWritten: () => this.#sendWaiting(),
      onClose: (error) => this.#closed(error, { wasOpen })
    });
    this.#connection = connection;
  }

  /** Calls wait for one attempt, not for ever: whether to try again is for who made them. */
  #closed(error: StoreError, { wasOpen }: { readonly wasOpen: boolean }): void {
    this.#connection = undefined;
    if (wasOpen) this.#sendWaiting();
    else for (const call of this.#queue.takeAll()) call.failed(error);
  }
}

function bodyBytesOf(payload: unknown): number {
  if (typeof payload !== 'object' || payload === null || !('body' in payload)) return 0;
  return payload.body instanceof Uint8Array ? payload.body.byteLength : 0;
}

function tooLateError({ url }: Endpoint, { id }: Call): StoreError {
  return new StoreError(
    'DeadlineExceeded',
    id === undefined
      ? `the call could not be sent to ${url} in the time it had`
      : `${url} did not answer in the time the call had; whether it happened is unknown`
  );
}

function closedError(): StoreError {
  return new StoreError('Cancelled', 'the client was closed; create a new one');
}
