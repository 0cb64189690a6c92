import type { MemberId } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { NodeDirectory } from './node-directory.js';
import type { NodeRegistry } from './node-registry.js';
import { countDomains } from './placement.js';
import type { ExtentRecord } from './stream-tables.js';

/** Nodes that came are waited for to stay, and others may follow. */
const SETTLE_MS = 10_000;
/** A node that takes no extents although it seems well must not cost an extent a minute for ever. */
const PAUSE_MS_MIN = 60_000;
const PAUSE_MS_MAX = 3_600_000;

export interface OpenExtentPlanOptions {
  readonly clock: Clock;
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
}

/**
 * Which open extents cannot stay as they are. An open extent is never repaired: it is sealed, and then it is, while its
 * writer goes on in a new one. That is so where a replica is on a node that is dead or shall go, and where an extent was
 * begun with fewer replicas than it could have by now: a stream of few writes might keep it open for months.
 */
export class OpenExtentPlan {
  readonly #options: OpenExtentPlanOptions;
  /** How many replicas a new extent could have, and since when so many. */
  #room = { count: 0, sinceMs: 0 };
  #pauseUntilMs = 0;
  #pauseMs = PAUSE_MS_MIN;

  constructor(options: OpenExtentPlanOptions) {
    this.#options = options;
  }

  /** To be asked with every heartbeat; undefined where every open extent may stay. */
  findLeaving(openExtents: Iterable<ExtentRecord>): ((record: ExtentRecord) => boolean) | undefined {
    this.#measureRoom();
    const isStranded = (record: ExtentRecord) => record.replicas.some((memberId) => this.#isLeft(memberId));
    const isThin = (record: ExtentRecord) => record.replicas.length < this.#room.count;
    let [anyStranded, anyThin] = [false, false];
    for (const record of openExtents) {
      anyStranded ||= isStranded(record);
      anyThin ||= isThin(record);
    }
    const seesToThin = anyThin && this.#isTimeForThin();
    if (!anyStranded && !seesToThin) return undefined;
    return (record) => isStranded(record) || (seesToThin && isThin(record));
  }

  #isLeft(memberId: MemberId): boolean {
    const member = this.#options.registry.find(memberId);
    return member !== undefined && (member.liveness === 'dead' || member.duty !== 'active');
  }

  #measureRoom(): void {
    const { clock, nodes, registry } = this.#options;
    const ready = nodes
      .candidates(registry.placeable())
      .filter(({ isFull, isSuspect }) => !isFull && !isSuspect);
    const count = Math.min(nodes.replicaCount, countDomains(ready));
    if (count !== this.#room.count) this.#room = { count, sinceMs: clock.monotonicMs() };
  }

  #isTimeForThin(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#pauseUntilMs || nowMs - this.#room.sinceMs < SETTLE_MS) return false;
    // Thin ones again so soon: what looked like room was none.
    const isAgain = this.#pauseUntilMs > 0 && nowMs - this.#pauseUntilMs < this.#pauseMs;
    this.#pauseMs = isAgain ? Math.min(PAUSE_MS_MAX, 2 * this.#pauseMs) : PAUSE_MS_MIN;
    this.#pauseUntilMs = nowMs + this.#pauseMs;
    return true;
  }
}
