import { type FrameEvent, StoreError, SUBSCRIPTION_CREDIT } from '@stampede/server/api';
import type { Receiver } from './framed-connection.js';

/** Granted as one, so that not each event costs a frame back. */
const GRANT_COUNT = SUBSCRIPTION_CREDIT / 2;

/**
 * The events of a subscription between their arrival and their consumer. The store may send as many as the consumer
 * has taken and a few more, so a slow consumer holds `SUBSCRIPTION_CREDIT` events at most.
 */
export class EventWindow implements Receiver {
  readonly #grant: (count: number) => void;
  readonly #events: FrameEvent[] = [];
  #takenCount = 0;
  #end: { readonly error?: StoreError } | undefined;
  #wake = () => {};

  constructor(grant: (count: number) => void) {
    this.#grant = grant;
  }

  data(payload: unknown): void {
    if (this.#events.length === SUBSCRIPTION_CREDIT)
      throw new StoreError('InvalidArgument', 'the store sent more events than it was allowed');
    this.#events.push(payload as FrameEvent);
    this.#wake();
  }

  failed(error: StoreError): void {
    this.#end ??= { error };
    this.#wake();
  }

  stopped(): void {
    this.#end ??= {};
    this.#wake();
  }

  /** The next event; `undefined` after the last. Fails as the subscription did, after the events before. */
  async next(): Promise<FrameEvent | undefined> {
    while (this.#events.length === 0 && !this.#end)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    const event = this.#events.shift();
    if (!event) {
      if (this.#end?.error) throw this.#end.error;
      return undefined;
    }
    this.#takenCount += 1;
    if (this.#takenCount % GRANT_COUNT === 0) this.#grant(GRANT_COUNT);
    return event;
  }
}
