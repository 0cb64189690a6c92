import { StoreError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type * as calls from '../lock-calls.js';
import { isDeadlock, type Waiting } from './find-deadlock.js';
import { LockSession } from './lock-session.js';
import type { HeldSegment, LockOwner, LockRequest, LockSpace, LockWaiter } from './lock-space.js';
import { type LockedFile, LockedFiles, type NameChange, ownerOf, placeOf } from './locked-files.js';

export interface LockClock {
  monotonicMs(): number;
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export interface LockServiceOptions {
  readonly clock: LockClock;
  /** Of no other life of the service. */
  readonly lifeId: string;
  /** Whether sessions of an earlier life may still believe in their locks: then these are given first. */
  readonly mayHaveBefore: boolean;
  /** Default `LIMITS.lockLeaseMs`. */
  readonly leaseMs?: number | undefined;
}

interface Admitted {
  readonly session: LockSession;
  readonly file: LockedFile;
  readonly space: LockSpace;
  readonly request: LockRequest;
}

type Refusal = Exclude<calls.AcquireLockResult, { readonly outcome: 'granted' }>;

/** Who waits looks that often for sessions that ended without a word. */
const LOOK_MS = 500;
/** Clocks do not run at quite the same speed: a session ends here later than its holder thinks. */
const EXPIRY_SHARE = 1.1;
const EVERYTHING = { start: 0, end: Number.POSITIVE_INFINITY };

/**
 * The locks of some keys, in memory. A session that is not renewed loses everything; a service that begins after another
 * one gives for one lease only what was held there, as nobody else knows of it.
 */
export class LockService {
  readonly #clock: LockClock;
  readonly #lifeId: string;
  readonly #leaseMs: number;
  readonly #graceEndsAtMs: number;
  readonly #files: LockedFiles;
  readonly #sessions = new Map<string, LockSession>();
  readonly #closing = new AbortController();
  #incarnationCount = 0;
  /** No session ends before. */
  #expiryAtMs = Number.POSITIVE_INFINITY;

  constructor({ clock, lifeId, mayHaveBefore, leaseMs = LIMITS.lockLeaseMs }: LockServiceOptions) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#lifeId = lifeId;
    this.#files = new LockedFiles(lifeId);
    this.#graceEndsAtMs = mayHaveBefore
      ? clock.monotonicMs() + leaseMs * EXPIRY_SHARE
      : Number.NEGATIVE_INFINITY;
  }

  get counts(): { readonly sessions: number; readonly files: number; readonly segments: number } {
    this.#expire();
    return { sessions: this.#sessions.size, files: this.#files.count, segments: this.#files.segmentCount };
  }

  renew(input: calls.RenewLocksInput): calls.RenewLocksResult {
    this.#begin();
    const id = sessionKey(input);
    const known = this.#sessions.get(id);
    if (!known && this.#sessions.size >= LIMITS.lockSessionsMax)
      throw new StoreError('SlowDown', 'There are too many sessions with locks. Try again later.', {
        retryAfterMs: 1000
      });
    const expiresAtMs = this.#clock.monotonicMs() + this.#leaseMs * EXPIRY_SHARE;
    const session = known ?? new LockSession(id, `${this.#lifeId}-${++this.#incarnationCount}`, expiresAtMs);
    session.expiresAtMs = expiresAtMs;
    this.#sessions.set(id, session);
    this.#expiryAtMs = Math.min(this.#expiryAtMs, expiresAtMs);
    return { leaseMs: this.#leaseMs, incarnation: session.incarnation, graceMs: this.#graceMs };
  }

  async acquire(
    input: calls.AcquireLockInput,
    { signal }: { readonly signal?: AbortSignal | undefined } = {}
  ): Promise<calls.AcquireLockResult> {
    signal?.throwIfAborted();
    const admitted = this.#admit(input);
    if ('outcome' in admitted) return admitted;
    const { session, file } = admitted;
    session.files.add(file);
    try {
      return await this.#acquire(admitted, input, signal);
    } finally {
      this.#tidy(session, file);
    }
  }

  release(input: calls.ReleaseLockInput): void {
    this.#begin();
    const session = this.#sessions.get(sessionKey(input));
    if (!session?.admits(input)) return;
    const file = this.#find(input);
    if (!file) return;
    file.spaces[input.space].release(ownerOf(session.id, input.owner), rangeOf(input));
    this.#tidy(session, file);
  }

  find(input: calls.FindLockInput): calls.FindLockResult {
    this.#begin();
    if (this.#graceMs > 0) return { outcome: 'grace', graceMs: this.#graceMs };
    const id = sessionKey(input);
    const found = this.#find(input)?.spaces[input.space].findConflict(requestOf(id, input));
    return found ? { outcome: 'conflict', conflict: conflictOf(found, id) } : { outcome: 'free' };
  }

  end(input: calls.EndLocksInput): void {
    const session = this.#sessions.get(sessionKey(input));
    if (session) this.#end(session);
  }

  /** Names changed: the locks go with their files. */
  namesChanged(change: NameChange): void {
    this.#files.apply(change);
  }

  /** Whoever waits, and whoever comes, is refused with the reason. */
  close(reason: StoreError): void {
    this.#closing.abort(reason);
    for (const session of this.#sessions.values()) for (const waiting of session.waiting) waiting.end();
  }

  get #graceMs(): number {
    return Math.max(0, Math.ceil(this.#graceEndsAtMs - this.#clock.monotonicMs()));
  }

  #begin(): void {
    this.#closing.signal.throwIfAborted();
    if (this.#clock.monotonicMs() >= this.#expiryAtMs) this.#expire();
  }

  #admit(input: calls.AcquireLockInput): Admitted | Refusal {
    this.#begin();
    const session = this.#sessions.get(sessionKey(input));
    if (!session) return { outcome: 'noSession' };
    if (!session.admits(input)) throw new StoreError('Cancelled', 'The caller has given this call up.');
    const { start, end } = rangeOf(input);
    if (start >= end)
      throw new StoreError('InvalidArgument', 'A lock ends behind its start. Correct the range.');
    if (input.isReclaim && this.#graceMs === 0) return { outcome: 'lost' };
    if (!input.isReclaim && this.#graceMs > 0) return { outcome: 'grace', graceMs: this.#graceMs };
    const { bucket, key, fileId, isUnnamed = false, space } = input;
    const file = this.#files.findOrCreate(placeOf(bucket, key), fileId, isUnnamed);
    return { session, file, space: file.spaces[space], request: requestOf(session.id, input) };
  }

  async #acquire(
    admitted: Admitted,
    input: calls.AcquireLockInput,
    signal: AbortSignal | undefined
  ): Promise<calls.AcquireLockResult> {
    const { session, file, space, request } = admitted;
    if (this.#isFull(session, space)) return { outcome: 'full' };
    // As in the kernel, what flock(2) converts is given up first.
    if (input.space === 'flock' && space.findConflict(request)) space.release(request.owner, EVERYTHING);
    if (input.waitMs) {
      if (space.mustWait(request)) return await this.#wait(admitted, input, signal);
    } else {
      // Who does not wait is in nobody's turn either.
      const inTheWay = space.findConflict(request);
      if (inTheWay) return { outcome: 'conflict', conflict: conflictOf(inTheWay, session.id) };
    }
    space.set(request);
    return { outcome: 'granted', fileId: file.id };
  }

  async #wait(
    { session, file, space, request }: Admitted,
    { waitMs = 0, waitedMs = 0, space: name }: calls.AcquireLockInput,
    signal: AbortSignal | undefined
  ): Promise<calls.AcquireLockResult> {
    // The kernel looks for circles among locks of ranges only, too.
    if (name === 'range' && isDeadlock(space, request, (owner) => this.#waitingOf(owner)))
      return { outcome: 'deadlock' };
    if (session.waitingCount >= LIMITS.lockWaitersMax) return { outcome: 'full' };
    const nowMs = this.#clock.monotonicMs();
    const over = new AbortController();
    let outcome: 'granted' | 'noSession' | undefined;
    const settle = (how: 'granted' | 'noSession') => () => {
      outcome ??= how;
      over.abort();
    };
    const waiter: LockWaiter = { ...request, arrivedMs: nowMs - waitedMs, grant: settle('granted') };
    const waiting = { file, space, waiter, end: settle('noSession') };
    session.addWaiting(waiting);
    space.enqueue(waiter);
    const stop = () => over.abort();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await this.#sleep(nowMs + waitMs, over.signal);
    } finally {
      signal?.removeEventListener('abort', stop);
      session.removeWaiting(waiting);
      space.dequeue(waiter);
    }
    this.#closing.signal.throwIfAborted();
    if (outcome === 'granted') return { outcome, fileId: file.id };
    if (outcome === 'noSession') return { outcome };
    signal?.throwIfAborted();
    const inTheWay = space.findConflict(request) ?? SOMEBODY;
    return { outcome: 'conflict', conflict: conflictOf(inTheWay, session.id) };
  }

  /** Until a time, or until the signal aborts; ends sessions meanwhile. */
  async #sleep(untilMs: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const leftMs = untilMs - this.#clock.monotonicMs();
      if (leftMs <= 0 || signal.aborted) return;
      await this.#clock.sleep(Math.min(leftMs, LOOK_MS), signal).catch(() => undefined);
      if (!signal.aborted) this.#begin();
    }
  }

  #isFull(session: LockSession, space: LockSpace): boolean {
    return (
      session.files.size > LIMITS.lockFilesMax ||
      space.segmentCount >= LIMITS.locksOfFileMax ||
      this.#files.segmentCount >= LIMITS.locksMax
    );
  }

  #waitingOf(owner: LockOwner): Iterable<Waiting> {
    return this.#sessions.get(owner.slice(0, owner.lastIndexOf('\0')))?.waitingOf(owner) ?? [];
  }

  #find({ bucket, key, fileId, isUnnamed = false }: Target): LockedFile | undefined {
    return this.#files.find(placeOf(bucket, key), fileId, isUnnamed);
  }

  #tidy(session: LockSession, file: LockedFile): void {
    const spaces = Object.values(file.spaces);
    const isUsed =
      spaces.some((space) => space.hasOwnerOf(ownerOf(session.id, ''))) || session.isWaitingFor(file);
    if (!isUsed) session.files.delete(file);
    this.#files.forgetIfEmpty(file);
  }

  #expire(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#expiryAtMs = Number.POSITIVE_INFINITY;
    for (const session of [...this.#sessions.values()])
      if (session.expiresAtMs <= nowMs) this.#end(session);
      else this.#expiryAtMs = Math.min(this.#expiryAtMs, session.expiresAtMs);
  }

  #end(session: LockSession): void {
    this.#sessions.delete(session.id);
    for (const waiting of session.waiting) {
      waiting.space.dequeue(waiting.waiter);
      waiting.end();
    }
    for (const file of session.files) {
      for (const space of Object.values(file.spaces)) space.releaseAllOf(ownerOf(session.id, ''));
      this.#files.forgetIfEmpty(file);
    }
  }
}

type Target = calls.FindLockInput | calls.ReleaseLockInput;

/** Only those who came before are in the way: none of them has a lock that could be named. */
const SOMEBODY: HeldSegment = { owner: '', pid: 0, mode: 'exclusive', ...EVERYTHING };

function sessionKey({ bucket, sessionId }: calls.RenewLocksInput): string {
  return `${bucket}\0${sessionId}`;
}

function rangeOf({ start = 0, end = Number.POSITIVE_INFINITY }: Target) {
  return { start, end };
}

function requestOf(
  sessionId: string,
  input: calls.FindLockInput & { readonly pid?: number | undefined }
): LockRequest {
  return {
    owner: ownerOf(sessionId, input.owner),
    mode: input.mode,
    pid: input.pid ?? 0,
    ...rangeOf(input)
  };
}

function conflictOf({ owner, pid, mode, start, end }: HeldSegment, sessionId: string): calls.LockConflict {
  return {
    mode,
    start,
    ...(Number.isFinite(end) && { end }),
    isOwnSession: owner.startsWith(ownerOf(sessionId, '')),
    pid
  };
}
