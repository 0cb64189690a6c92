import type { Logger } from 'pino';
import {
  FRAME_KIND,
  type Frame,
  FrameReader,
  isStoreError,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  StoreError
} from '../api/index.js';
import { type Clock, type HttpSocket, receiveInto, type SocketReceiving } from '../platform/index.js';
import { FrameOutbox, type TailMemory } from '../rpc/index.js';
import type { AccessKeys } from './access-keys.js';
import type { BytesInFlight } from './bytes-in-flight.js';
import { type AdmittedCall, CallAdmission } from './call-admission.js';
import type { Caller, Dispatcher } from './dispatcher.js';
import { FramedSubscription } from './framed-subscription.js';
import { findProcedure, SUBSCRIPTION_BYTES, WATCH_PATH } from './procedures.js';
import { errorFrame } from './public-error.js';

export interface FramedConnectionOptions {
  readonly socket: HttpSocket;
  /** What arrived behind the request that opened the connection. */
  readonly head: Uint8Array;
  readonly accessKey: string;
  readonly keys: AccessKeys;
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly bytesInFlight: BytesInFlight;
  readonly tailMemory: TailMemory;
  readonly logger: Logger;
  readonly onClosed: () => void;
}

/** What a frame that starts a call was given when its head arrived. */
interface Room {
  readonly admitted: AdmittedCall;
  readonly memory: Uint8Array;
}

interface Running {
  abort(reason: StoreError): void;
  /** Only of subscriptions. */
  grant?(count: number): void;
}

const CALL_KINDS: ReadonlySet<number> = new Set([
  FRAME_KIND.query,
  FRAME_KIND.mutation,
  FRAME_KIND.subscribe
]);

/**
 * The store's end of one framed connection. Calls run side by side and are answered as they end; when the connection
 * has too much in flight, further calls wait unread in the socket. A frame that is none ends the connection.
 */
export class FramedConnection {
  readonly #options: FramedConnectionOptions;
  readonly #reader: FrameReader;
  readonly #receiving: SocketReceiving;
  readonly #outbox: FrameOutbox;
  readonly #admission: CallAdmission;
  /** By the id that the client chose. */
  readonly #calls = new Map<number, Running>();
  /** Of the call whose frame is arriving. */
  #room: Room | undefined;
  #isClosed = false;
  #keepalive: Disposable;
  #lastHeardMs: number;
  #lastWrittenMs: number;
  #writeCountSeen = 0;

  constructor(options: FramedConnectionOptions) {
    this.#options = options;
    const { socket, clock, bytesInFlight } = options;
    this.#reader = new FrameReader({
      allocate: (frame, tailLength) => this.#allocate(frame, tailLength),
      frame: (frame) => this.#take(frame)
    });
    this.#admission = new CallAdmission(bytesInFlight, () => this.#readOn());
    this.#lastHeardMs = this.#lastWrittenMs = clock.monotonicMs();
    this.#receiving = receiveInto(socket, {
      buffer: () => this.#reader.buffer(),
      received: (count) => this.#read(() => this.#reader.received(count)),
      push: (bytes) => this.#read(() => this.#reader.push(bytes)),
      isBlocked: () => this.#reader.isBlocked
    });
    const ours = this.#receiving.socket;
    this.#outbox = new FrameOutbox(ours);
    ours.on('error', (error) => this.#end(`the connection failed: ${error.message}`));
    ours.once('close', () => this.#end('the client closed the connection'));
    ours.once('end', () => this.#end('the client closed the connection'));
    this.#keepalive = clock.setTimer(KEEPALIVE_INTERVAL_MS, () => this.#keepAlive());
  }

  /** Answers the request that opened the connection and begins to take frames. */
  start(response: string): void {
    const { head } = this.#options;
    this.#receiving.socket.write(response);
    this.#outbox.sendPreface();
    if (head.length > 0) this.#read(() => this.#reader.push(head));
    if (!this.#isClosed) this.#receiving.start();
  }

  /** Lets what has been answered leave for at most `graceMs`, then cuts the connection. */
  async close(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    const timer = clock.setTimer(graceMs, () => this.#end('the store was stopped'));
    await this.#outbox.drained();
    timer[Symbol.dispose]();
    this.#end('the store was stopped');
  }

  #read(take: () => void): void {
    if (this.#isClosed) return;
    this.#lastHeardMs = this.#options.clock.monotonicMs();
    try {
      take();
    } catch (error) {
      if (!isStoreError(error, 'InvalidArgument')) throw error;
      const { logger, accessKey } = this.#options;
      logger.warn({ transport: 'framed', accessKey }, error.message);
      this.#end(error.message);
    }
  }

  /** The call that had to wait may be asked about again. */
  #readOn(): void {
    if (this.#isClosed) return;
    this.#read(() => this.#reader.resume());
    if (!this.#isClosed && !this.#reader.isBlocked) this.#receiving.resume();
  }

  #allocate(frame: Frame, tailLength: number): Uint8Array | undefined {
    const { tailMemory } = this.#options;
    if (!CALL_KINDS.has(frame.kind)) {
      if (tailLength > 0) throw malformed('only calls carry bytes');
      return tailMemory.take(0);
    }
    const answerBytes = findProcedure(frame.path ?? '')?.answerBytesMax(frame.payload) ?? SUBSCRIPTION_BYTES;
    const admitted = this.#admission.tryAdmit(tailLength + answerBytes);
    if (!admitted) return undefined;
    const memory = tailMemory.take(tailLength);
    this.#room = { admitted, memory };
    return memory;
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case FRAME_KIND.query:
      case FRAME_KIND.mutation:
        this.#call(frame, this.#takeRoom(frame));
        return;
      case FRAME_KIND.subscribe:
        this.#subscribe(frame, this.#takeRoom(frame));
        return;
      case FRAME_KIND.cancel:
        this.#calls.get(frame.id)?.abort(new StoreError('Cancelled', 'The caller cancelled the call.'));
        return;
      case FRAME_KIND.credit:
        this.#calls.get(frame.id)?.grant?.(creditOf(frame));
        return;
      case FRAME_KIND.ping:
        this.#outbox.send({ kind: FRAME_KIND.pong, id: 0 });
        return;
      case FRAME_KIND.pong:
        return;
      default:
        throw malformed('clients do not send frames of its kind');
    }
  }

  #takeRoom({ id }: Frame): Room {
    const room = this.#room!;
    if (this.#calls.has(id)) throw malformed('the id of the call is in use');
    this.#room = undefined;
    return room;
  }

  #call(frame: Frame, { admitted, memory }: Room): void {
    const { tailMemory, dispatcher } = this.#options;
    const { id, path = '', payload } = frame;
    const type = frame.kind === FRAME_KIND.query ? 'query' : 'mutation';
    const freeInput = (): void => tailMemory.give(memory);
    const procedure = findProcedure(path);
    const caller = this.#caller();
    if (!procedure || procedure.type !== type || !caller) {
      freeInput();
      const error = caller ? unknownCall(type, path) : keyDeleted();
      this.#answer(errorFrame(id, error), admitted);
      return;
    }
    dispatcher
      .call(
        procedure,
        payload,
        { ...caller, deadlineMs: frame.deadlineMs },
        {
          raced: true,
          onBegin: (abort) => this.#calls.set(id, { abort }),
          onEnd: freeInput
        }
      )
      .then(
        (answer) => {
          this.#calls.delete(id);
          this.#answer({ kind: FRAME_KIND.data, id, payload: answer }, admitted);
        },
        (error: unknown) => {
          this.#calls.delete(id);
          this.#answer(errorFrame(id, error), admitted);
        }
      );
  }

  #subscribe(frame: Frame, { admitted, memory }: Room): void {
    const { tailMemory, dispatcher } = this.#options;
    const { id, path = '', payload } = frame;
    const caller = this.#caller();
    if (path !== WATCH_PATH || !caller) {
      tailMemory.give(memory);
      this.#answer(errorFrame(id, caller ? unknownCall('subscription', path) : keyDeleted()), admitted);
      return;
    }
    const subscription = new FramedSubscription({
      id,
      payload,
      outbox: this.#outbox,
      dispatcher,
      // Looked up for each event: a deleted key learns nothing more.
      caller: () => this.#caller()
    });
    this.#calls.set(id, subscription);
    void subscription.run().then((last) => {
      this.#calls.delete(id);
      tailMemory.give(memory);
      this.#answer(last, admitted);
    });
  }

  #caller(): Caller | undefined {
    const { keys, accessKey } = this.#options;
    const principal = keys.findPrincipal(accessKey);
    return principal && { principal, transport: 'framed' };
  }

  /** Sends the last frame of a call; its room is free again when the connection has taken it. */
  #answer(frame: Frame, admitted: AdmittedCall): void {
    const release = (): void => admitted.release();
    let length: number;
    try {
      length = this.#outbox.send(frame, release);
    } catch (error) {
      length = this.#outbox.send(errorFrame(frame.id, error), release);
    }
    admitted.shrinkTo(length);
  }

  /** Each side speaks at least once in an interval, so that silence means that the other is gone. */
  #keepAlive(): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const { isEmpty, writeCount } = this.#outbox;
    if (isEmpty || writeCount !== this.#writeCountSeen) this.#lastWrittenMs = nowMs;
    this.#writeCountSeen = writeCount;
    if (nowMs - this.#lastWrittenMs >= KEEPALIVE_TIMEOUT_MS) {
      this.#end('the client does not take its answers');
      return;
    }
    // Nothing is heard while nothing is read.
    if (this.#reader.isBlocked) this.#lastHeardMs = nowMs;
    if (nowMs - this.#lastHeardMs >= KEEPALIVE_TIMEOUT_MS) {
      this.#end('the client is silent');
      return;
    }
    if (isEmpty) this.#outbox.send({ kind: FRAME_KIND.ping, id: 0 });
    this.#keepalive = clock.setTimer(KEEPALIVE_INTERVAL_MS, () => this.#keepAlive());
  }

  #end(why: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { logger, accessKey, onClosed } = this.#options;
    logger.debug({ accessKey, callCount: this.#calls.size }, `framed connection ended: ${why}`);
    this.#keepalive[Symbol.dispose]();
    this.#admission.end();
    // Its memory is not used again: the connection may still be about to read into it.
    this.#room?.admitted.release();
    const reason = new StoreError('Cancelled', `The call was given up: ${why}.`);
    for (const call of this.#calls.values()) call.abort(reason);
    this.#outbox.end();
    this.#receiving.socket.destroy();
    onClosed();
  }
}

function creditOf({ payload }: Frame): number {
  if (typeof payload !== 'number' || !Number.isInteger(payload) || payload < 0) {
    throw malformed('credit is no count');
  }
  return payload;
}

function malformed(what: string): StoreError {
  return new StoreError('InvalidArgument', `The bytes received are no frame: ${what}.`);
}

function unknownCall(type: string, path: string): StoreError {
  return new StoreError('InvalidArgument', `There is no ${type} ${JSON.stringify(path.slice(0, 100))}.`);
}

function keyDeleted(): StoreError {
  return new StoreError('Unauthenticated', 'The access key was deleted. Use another one.');
}
