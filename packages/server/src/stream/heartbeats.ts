import type { Clock } from '../platform/index.js';
import { withDeadline } from './deadline.js';
import type { ExtentNodeApi } from './extent-node-api.js';
import type { MembershipApi } from './membership-api.js';

export interface HeartbeatsOptions {
  readonly clock: Clock;
  readonly manager: Pick<MembershipApi, 'heartbeat'>;
  /** Until the stream manager says otherwise. */
  readonly intervalMs: number;
}

/**
 * Tells the stream manager that a node is alive for as long as its disk answers: a node whose disk fails or hangs falls
 * silent, and others make up for its replicas.
 */
export class Heartbeats implements Disposable {
  readonly #options: HeartbeatsOptions;
  readonly #node: Pick<ExtentNodeApi, 'status'>;
  readonly #closed = new AbortController();

  constructor(node: Pick<ExtentNodeApi, 'status'>, options: HeartbeatsOptions) {
    this.#node = node;
    this.#options = options;
    void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, manager } = this.#options;
    let { intervalMs } = this.#options;
    while (!this.#closed.signal.aborted) {
      try {
        const deadline = { clock, timeoutMs: intervalMs, what: 'A heartbeat' };
        const beat = this.#node.status().then((status) => manager.heartbeat(status));
        intervalMs = (await withDeadline(deadline, beat)).intervalMs;
      } catch {
        // Silence is what tells; the next beat tries again.
      }
      await clock.sleep(intervalMs, this.#closed.signal).catch(() => undefined);
    }
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
  }
}
