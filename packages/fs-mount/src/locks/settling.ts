import type { Clock } from '../clock.js';
import { isTransient } from '../errno.js';
import type { FileState } from '../file-state.js';
import type { Lease } from './lease.js';
import type { Lock, LockCaller, Target } from './lock-caller.js';

export interface SettlingOptions {
  readonly clock: Clock;
  readonly lease: Lease;
  readonly caller: LockCaller;
  readonly closing: AbortSignal;
}

const RETRY_MS = 500;

/**
 * Of calls of which nobody knows whether they happened: sees to it that the store has of a lock what is held here, for as
 * long as the session lasts. Meanwhile no other call concerns the locks of the file.
 */
export class Settling {
  readonly #options: SettlingOptions;
  readonly #running = new Map<FileState, Promise<void>>();

  constructor(options: SettlingOptions) {
    this.#options = options;
  }

  begin(state: FileState, lock: Lock, target: Target): void {
    const settling = this.done(state).then(() => this.#settle(state, lock, target));
    this.#running.set(state, settling);
    void settling.finally(() => {
      if (this.#running.get(state) === settling) this.#running.delete(state);
    });
  }

  async done(state: FileState): Promise<void> {
    await this.#running.get(state);
  }

  async #settle(state: FileState, lock: Lock, target: Target): Promise<void> {
    const { clock, lease, caller, closing } = this.#options;
    while (lease.sessionId === target.sessionId && !closing.aborted)
      try {
        return await caller.settle(state, lock, target);
      } catch (error) {
        if (!isTransient(error)) return;
        await clock.sleep(RETRY_MS, closing).catch(() => undefined);
        lease.check();
      }
  }
}
