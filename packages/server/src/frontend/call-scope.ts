import { setMaxListeners } from 'node:events';
import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';

/** The time that one call has: aborts at its deadline, with the caller's signal, or when told to. */
export class CallScope implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: Disposable;
  readonly #outer: AbortSignal | undefined;
  readonly #forward: (() => void) | undefined;
  #onAbort: ((reason: StoreError) => void) | undefined;

  constructor(
    clock: Clock,
    options: { readonly deadlineMs: number; readonly signal: AbortSignal | undefined }
  ) {
    const { deadlineMs, signal: outer } = options;
    this.#timer = clock.setTimer(deadlineMs, () => {
      this.abort(
        new StoreError(
          'DeadlineExceeded',
          `The call took longer than the ${Math.ceil(deadlineMs)} ms it was given.`
        )
      );
    });
    if (!outer) return;
    this.#outer = outer;
    this.#forward = () => this.abort(cancelledBy(outer));
    if (outer.aborted) {
      this.#forward();
      return;
    }
    // All calls of a connection may share one: there is no limit that would tell of a leak.
    setMaxListeners(0, outer);
    outer.addEventListener('abort', this.#forward, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Only the first reason counts. */
  abort(reason: StoreError): void {
    if (this.signal.aborted) return;
    this.#controller.abort(reason);
    this.#onAbort?.(reason);
  }

  /** Settles as `running` does, or rejects with the reason when the scope aborts first. At most once a scope. */
  race<Output>(running: Promise<Output>): Promise<Output> {
    return new Promise((resolve, reject) => {
      if (this.signal.aborted) reject(this.signal.reason);
      this.#onAbort = reject;
      running.then(resolve, reject);
    });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    if (this.#forward) this.#outer?.removeEventListener('abort', this.#forward);
  }
}

function cancelledBy({ reason }: AbortSignal): StoreError {
  if (reason instanceof StoreError) return reason;
  return new StoreError('Cancelled', 'The caller cancelled the call.', { cause: reason });
}
