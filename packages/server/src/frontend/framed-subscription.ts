import { FRAME_KIND, type Frame, StoreError, SUBSCRIPTION_CREDIT } from '../api/index.js';
import type { FrameOutbox } from '../rpc/index.js';
import type { Caller, Dispatcher } from './dispatcher.js';
import { WATCH } from './procedures.js';
import { errorFrame } from './public-error.js';

export interface FramedSubscriptionOptions {
  readonly id: number;
  readonly payload: unknown;
  readonly outbox: FrameOutbox;
  readonly dispatcher: Dispatcher;
  /** Who subscribes, as long as the access key exists. */
  readonly caller: () => Caller | undefined;
}

/** More than this may wait in the outbox only for a moment. */
const WAITING_BYTES_MAX = 1024 * 1024;
/** A client that grants more than it could ever handle is as good as one that grants this. */
const CREDIT_MAX = 1_000_000;

/** Sends events as far as the client has granted credit and the connection takes them. */
export class FramedSubscription {
  readonly #options: FramedSubscriptionOptions;
  readonly #aborting = new AbortController();
  #credit = SUBSCRIPTION_CREDIT;
  #wake: (() => void) | undefined;

  constructor(options: FramedSubscriptionOptions) {
    this.#options = options;
  }

  abort(reason: StoreError): void {
    this.#aborting.abort(reason);
    this.#wake?.();
  }

  grant(count: number): void {
    this.#credit = Math.min(this.#credit + count, CREDIT_MAX);
    this.#wake?.();
  }

  /** Runs until it ends or is aborted. Returns the frame to end with. */
  async run(): Promise<Frame> {
    const { id, payload, outbox, dispatcher, caller } = this.#options;
    const { signal } = this.#aborting;
    try {
      outbox.send({ kind: FRAME_KIND.started, id });
      const events = dispatcher.subscribe(WATCH, payload, { ...whileKnown(caller()), signal });
      for await (const data of events) {
        await this.#turn();
        if (signal.aborted) break;
        whileKnown(caller());
        outbox.send({ kind: FRAME_KIND.data, id, payload: { id: WATCH.idOf(data), data } });
      }
      return { kind: FRAME_KIND.stopped, id };
    } catch (error) {
      return errorFrame(id, error);
    }
  }

  /** Resolves when the next event may go out, or on abort. */
  async #turn(): Promise<void> {
    const { outbox } = this.#options;
    const { signal } = this.#aborting;
    while (this.#credit === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    this.#credit -= 1;
    if (outbox.waitingBytes > WAITING_BYTES_MAX) await outbox.drained();
  }
}

function whileKnown(caller: Caller | undefined): Caller {
  if (caller) return caller;
  throw new StoreError('Unauthenticated', 'The access key was deleted. Use another one.');
}
