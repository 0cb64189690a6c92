import type { Waiting } from './find-deadlock.js';
import type { LockOwner } from './lock-space.js';
import type { LockedFile } from './locked-files.js';

interface SessionWaiting extends Waiting {
  readonly file: LockedFile;
  readonly end: () => void;
}

/** What one session has, on the side of whoever serves it. */
export class LockSession {
  readonly id: string;
  readonly incarnation: string;
  /** In monotonic time. */
  expiresAtMs: number;
  /** Files in which it has locks, or waits for some. */
  readonly files = new Set<LockedFile>();
  readonly #waiting = new Set<SessionWaiting>();
  readonly #waitingByOwner = new Map<LockOwner, Set<SessionWaiting>>();
  #settledSequence = -1;

  constructor(id: string, incarnation: string, expiresAtMs: number) {
    this.id = id;
    this.incarnation = incarnation;
    this.expiresAtMs = expiresAtMs;
  }

  get waiting(): readonly SessionWaiting[] {
    return [...this.#waiting];
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  waitingOf(owner: LockOwner): Iterable<SessionWaiting> {
    return this.#waitingByOwner.get(owner) ?? [];
  }

  addWaiting(waiting: SessionWaiting): void {
    const { owner } = waiting.waiter;
    this.#waiting.add(waiting);
    this.#waitingByOwner.set(owner, (this.#waitingByOwner.get(owner) ?? new Set()).add(waiting));
  }

  removeWaiting(waiting: SessionWaiting): void {
    const { owner } = waiting.waiter;
    this.#waiting.delete(waiting);
    const others = this.#waitingByOwner.get(owner);
    others?.delete(waiting);
    if (others?.size === 0) this.#waitingByOwner.delete(owner);
  }

  isWaitingFor(file: LockedFile): boolean {
    for (const waiting of this.#waiting) if (waiting.file === file) return true;
    return false;
  }

  /** False for a call that its caller has given up: what it asked for may have been taken back since. */
  admits(call: { readonly sequence: number; readonly settledSequence: number }): boolean {
    if (call.sequence <= this.#settledSequence) return false;
    this.#settledSequence = Math.max(this.#settledSequence, call.settledSequence);
    return true;
  }
}
