import type { Socket } from 'node:net';
import {
  FRAME_KIND,
  type Frame,
  type FrameError,
  isStoreError,
  StoreError,
  SUBSCRIPTION_CREDIT
} from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { FramePeer } from './frame-peer.js';
import type { RoleService } from './role-network.js';
import type { TailMemory } from './tail-memory.js';

export interface RoleServerConnectionOptions {
  readonly socket: Socket;
  readonly service: RoleService;
  readonly clock: Clock;
  readonly tailMemory: TailMemory;
  readonly onEnd: () => void;
}

/** More calls and bytes of one connection wait unread in its socket. */
const CALLS_IN_FLIGHT_MAX = 4096;
const BYTES_IN_FLIGHT_MAX = 96 * 1024 * 1024;

interface Running {
  readonly aborting: AbortController;
  grant?(count: number): void;
}

/** The answering end of one connection between members. Calls start in the order in which they arrive. */
export class RoleServerConnection {
  readonly #options: RoleServerConnectionOptions;
  readonly #peer: FramePeer;
  readonly #calls = new Map<number, Running>();
  #bytesInFlight = 0;
  #isBlocked = false;
  /** Of the call whose frame is arriving. */
  #memory: Uint8Array | undefined;

  constructor(options: RoleServerConnectionOptions) {
    this.#options = options;
    const { socket, clock } = options;
    this.#peer = new FramePeer({
      socket,
      clock,
      allocate: (_frame, length) => this.#allocate(length),
      frame: (frame) => this.#take(frame),
      onEnd: (reason) => this.#end(reason)
    });
    this.#peer.start();
  }

  end(reason: StoreError): void {
    this.#peer.end(reason);
  }

  #allocate(length: number): Uint8Array | undefined {
    const isFull = this.#bytesInFlight > 0 && this.#bytesInFlight + length > BYTES_IN_FLIGHT_MAX;
    this.#isBlocked = isFull || this.#calls.size >= CALLS_IN_FLIGHT_MAX;
    if (this.#isBlocked) return undefined;
    this.#memory = this.#options.tailMemory.take(length);
    this.#bytesInFlight += this.#memory.length;
    return this.#memory;
  }

  /** The bytes of a call's input are no longer needed. */
  #free(memory: Uint8Array): void {
    this.#options.tailMemory.give(memory);
    this.#bytesInFlight -= memory.length;
    if (this.#isBlocked) this.#peer.resume();
  }

  #take(frame: Frame): void {
    const memory = this.#memory!;
    switch (frame.kind) {
      case FRAME_KIND.mutation:
      case FRAME_KIND.query:
        this.#requireNew(frame);
        void this.#call(frame, memory);
        return;
      case FRAME_KIND.subscribe:
        this.#requireNew(frame);
        void this.#subscribe(frame, memory);
        return;
      case FRAME_KIND.cancel:
        this.#calls
          .get(frame.id)
          ?.aborting.abort(new StoreError('Cancelled', 'The caller gave the call up.'));
        break;
      case FRAME_KIND.credit:
        this.#calls.get(frame.id)?.grant?.(typeof frame.payload === 'number' ? frame.payload : 0);
        break;
      default:
        throw new StoreError('InvalidArgument', 'Callers do not send frames of its kind.');
    }
    this.#free(memory);
  }

  #requireNew({ id }: Frame): void {
    if (this.#calls.has(id)) throw new StoreError('InvalidArgument', `The call ${id} is in flight already.`);
  }

  async #call({ id, path = '', payload }: Frame, memory: Uint8Array): Promise<void> {
    const aborting = new AbortController();
    this.#calls.set(id, { aborting });
    try {
      // Not awaited before it has started: the order of calls is that of their frames.
      const answer = await this.#options.service.call(path, payload, { signal: aborting.signal });
      this.#answer({ kind: FRAME_KIND.data, id, payload: answer });
    } catch (error) {
      this.#answer({ kind: FRAME_KIND.error, id, payload: frameErrorOf(error) });
    } finally {
      this.#calls.delete(id);
      this.#free(memory);
    }
  }

  async #subscribe({ id, path = '', payload }: Frame, memory: Uint8Array): Promise<void> {
    const aborting = new AbortController();
    const { signal } = aborting;
    let credit = SUBSCRIPTION_CREDIT;
    let wake: (() => void) | undefined;
    signal.addEventListener('abort', () => wake?.(), { once: true });
    const grant = (count: number): void => {
      credit += count;
      wake?.();
    };
    this.#calls.set(id, { aborting, grant });
    try {
      for await (const data of this.#options.service.subscribe(path, payload, { signal })) {
        while (credit <= 0 && !signal.aborted)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        if (signal.aborted) break;
        credit -= 1;
        this.#answer({ kind: FRAME_KIND.data, id, payload: { data } });
      }
      this.#answer({ kind: FRAME_KIND.stopped, id });
    } catch (error) {
      this.#answer({ kind: FRAME_KIND.error, id, payload: frameErrorOf(error) });
    } finally {
      this.#calls.delete(id);
      this.#free(memory);
    }
  }

  #answer(frame: Frame): void {
    if (this.#peer.isEnded) return;
    try {
      this.#peer.send(frame);
    } catch (error) {
      this.#peer.send({ kind: FRAME_KIND.error, id: frame.id, payload: frameErrorOf(error) });
    }
  }

  #end(reason: StoreError): void {
    for (const { aborting } of this.#calls.values()) aborting.abort(reason);
    this.#options.onEnd();
  }
}

/** Codes of the inside travel as they are: both sides are members. */
function frameErrorOf(thrown: unknown): FrameError {
  if (!isStoreError(thrown)) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { code: 'InternalError', message };
  }
  const { code, message, retryAfterMs } = thrown;
  return { code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
