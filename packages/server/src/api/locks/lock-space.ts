import type { LockMode } from '../lock-calls.js';
import {
  findConflict,
  type LockRange,
  type LockSegment,
  type LockSegments,
  overlap,
  withMode
} from './lock-segments.js';

/** Who may have locks: the same text is the same owner. */
export type LockOwner = string;

export interface LockRequest extends LockRange {
  readonly owner: LockOwner;
  readonly mode: LockMode;
  readonly pid: number;
}

/** A request that waits for its turn; `grant` is called once when it has come. */
export interface LockWaiter extends LockRequest {
  readonly arrivedMs: number;
  readonly grant: () => void;
}

interface Holding {
  readonly pid: number;
  readonly segments: LockSegments;
}

export interface HeldSegment extends LockSegment {
  readonly owner: LockOwner;
  readonly pid: number;
}

/** The locks of one kind on one file, and who waits for them, in order. */
export class LockSpace {
  readonly #holdings = new Map<LockOwner, Holding>();
  readonly #waiters: LockWaiter[] = [];
  readonly #onCount: (change: number) => void;
  #segmentCount = 0;

  /** @param onCount   Told by how much the number of segments changes. */
  constructor(onCount: (change: number) => void) {
    this.#onCount = onCount;
  }

  get isEmpty(): boolean {
    return this.#holdings.size === 0 && this.#waiters.length === 0;
  }

  /** Segments that are held. */
  get segmentCount(): number {
    return this.#segmentCount;
  }

  /** Whether somebody holds something whose name begins so. */
  hasOwnerOf(session: string): boolean {
    for (const owner of this.#holdings.keys()) if (owner.startsWith(session)) return true;
    return false;
  }

  segmentsOf(owner: LockOwner): LockSegments {
    return this.#holdings.get(owner)?.segments ?? [];
  }

  /** A lock that keeps the request out. */
  findConflict(request: LockRequest): HeldSegment | undefined {
    for (const [owner, { pid, segments }] of this.#holdings) {
      if (owner === request.owner) continue;
      const segment = findConflict(segments, request, request.mode);
      if (segment) return { ...segment, owner, pid };
    }
    return undefined;
  }

  /** Everybody whom the request must wait for: who holds, and who came before it. */
  *blockers(request: LockRequest): Generator<LockOwner> {
    for (const [owner, { segments }] of this.#holdings)
      if (owner !== request.owner && findConflict(segments, request, request.mode)) yield owner;
    if (!this.#mustQueue(request)) return;
    for (const waiter of this.#waiters) {
      if (waiter === request) return;
      if (isInTheWay(waiter, request)) yield waiter.owner;
    }
  }

  /** Whether the request has to wait, also for those who came before it. */
  mustWait(request: LockRequest): boolean {
    return !this.blockers(request).next().done;
  }

  set({ owner, start, end, mode, pid }: LockRequest): void {
    this.#replace(owner, pid, withMode(this.segmentsOf(owner), { start, end }, mode));
    // Less than before may be what others wait for.
    this.#promote();
  }

  release(owner: LockOwner, range: LockRange): void {
    const holding = this.#holdings.get(owner);
    if (!holding) return;
    this.#replace(owner, holding.pid, withMode(holding.segments, range, undefined));
    this.#promote();
  }

  /** What is held by those whose names begin so. */
  releaseAllOf(session: string): void {
    for (const [owner, { pid }] of [...this.#holdings])
      if (owner.startsWith(session)) this.#replace(owner, pid, []);
    this.#promote();
  }

  enqueue(waiter: LockWaiter): void {
    const index = this.#waiters.findIndex(({ arrivedMs }) => arrivedMs > waiter.arrivedMs);
    this.#waiters.splice(index < 0 ? this.#waiters.length : index, 0, waiter);
  }

  /** False when it does not wait any more. */
  dequeue(waiter: LockWaiter): boolean {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return false;
    this.#waiters.splice(index, 1);
    this.#promote();
    return true;
  }

  /** Grants what can be granted; what cannot keeps its place, and those behind it that it is in the way of. */
  #promote(): void {
    for (let index = 0; index < this.#waiters.length; ) {
      const waiter = this.#waiters[index]!;
      if (this.mustWait(waiter)) {
        index++;
        continue;
      }
      this.#waiters.splice(index, 1);
      const { owner, pid, start, end, mode } = waiter;
      this.#replace(owner, pid, withMode(this.segmentsOf(owner), { start, end }, mode));
      waiter.grant();
      // A grant may be a downgrade of more.
      index = 0;
    }
  }

  /** Who has locks of the file already must not wait for somebody who may wait for these. */
  #mustQueue({ owner }: LockRequest): boolean {
    return !this.#holdings.has(owner);
  }

  #replace(owner: LockOwner, pid: number, segments: LockSegments): void {
    const change = segments.length - this.segmentsOf(owner).length;
    this.#segmentCount += change;
    this.#onCount(change);
    if (segments.length === 0) this.#holdings.delete(owner);
    else this.#holdings.set(owner, { pid, segments });
  }
}

function isInTheWay(one: LockRequest, other: LockRequest): boolean {
  if (one.owner === other.owner || !overlap(one, other)) return false;
  return one.mode === 'exclusive' || other.mode === 'exclusive';
}
