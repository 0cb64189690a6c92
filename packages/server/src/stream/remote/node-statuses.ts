import { LIMITS, type MemberId } from '../../api/index.js';
import type { MemberDirectory } from '../../coordination/index.js';
import type { Clock } from '../../platform/index.js';
import { withDeadline } from '../deadline.js';
import type { ExtentNodeStatus, FindExtentNode } from '../extent-node-api.js';

export interface NodeStatusesOptions {
  readonly members: MemberDirectory;
  readonly find: FindExtentNode;
  readonly clock: Clock;
}

const INTERVAL_MS = 2000;

/** Asks the extent nodes that are members how much space they have, again and again. */
export class NodeStatuses {
  readonly #options: NodeStatusesOptions;
  readonly #known = new Map<MemberId, ExtentNodeStatus>();
  readonly #closing = new AbortController();
  #asking: Promise<void> = Promise.resolve();

  private constructor(options: NodeStatusesOptions) {
    this.#options = options;
  }

  /** Resolves when each member was asked once. */
  static async start(options: NodeStatusesOptions): Promise<NodeStatuses> {
    const statuses = new NodeStatuses(options);
    await statuses.ask();
    statuses.#asking = statuses.#keepAsking();
    return statuses;
  }

  /** Of the members that answered once and are still members. */
  readonly reachable = (): readonly ExtentNodeStatus[] => {
    const members = this.#options.members.all('extentNode');
    return members.flatMap(({ memberId }) => this.#known.get(memberId) ?? []);
  };

  async ask(): Promise<void> {
    const { members, find, clock } = this.#options;
    const all = members.all('extentNode');
    const ids = new Set(all.map(({ memberId }) => memberId));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
    await Promise.all(
      all.map(async ({ memberId }) => {
        // One that does not answer keeps its last status while it is a member.
        const node = find(memberId);
        if (!node) return;
        const deadline = { clock, timeoutMs: LIMITS.appendTimeoutMs, what: `Measuring ${memberId}` };
        const status = await withDeadline(deadline, node.status()).catch(() => undefined);
        if (status) this.#known.set(memberId, status);
      })
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#asking;
  }

  async #keepAsking(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      // New members are asked at once.
      await this.#options.members.changed(INTERVAL_MS, signal);
      if (!signal.aborted) await this.ask();
    }
  }
}
