import { setMaxListeners } from 'node:events';
import { StoreError } from '../api/index.js';
import type { Deadlines } from './deadlines.js';

export interface CallScopeOptions {
  readonly deadlines: Deadlines;
  /** In monotonic time. */
  readonly startedMs: number;
  readonly deadlineMs: number;
  /** Of the caller. */
  readonly signal: AbortSignal | undefined;
}

/** The time that one call has: aborts at its deadline, with the caller's signal, or when told to. */
export class CallScope implements Disposable {
  readonly #controller = new AbortController();
  readonly #deadline: Disposable;
  readonly #outer: AbortSignal | undefined;
  readonly #forward: (() => void) | undefined;
  #onAbort: ((reason: StoreError) => void) | undefined;

  constructor({ deadlines, startedMs, deadlineMs, signal: outer }: CallScopeOptions) {
    this.#deadline = deadlines.add(startedMs + deadlineMs, () => {
      const message = `The call took longer than the ${Math.ceil(deadlineMs)} ms it was given.`;
      this.abort(new StoreError('DeadlineExceeded', message));
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
    this.#deadline[Symbol.dispose]();
    if (this.#forward) this.#outer?.removeEventListener('abort', this.#forward);
  }
}

function cancelledBy({ reason }: AbortSignal): StoreError {
  if (reason instanceof StoreError) return reason;
  return new StoreError('Cancelled', 'The caller cancelled the call.', { cause: reason });
}
