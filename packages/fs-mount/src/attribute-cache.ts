import type { StatResult } from '@stampede/client';
import { BoundedMap } from './bounded-map.js';
import type { CacheStatus } from './cache-status.js';
import type { Clock } from './clock.js';
import { StatCompactor } from './compact-stat.js';

interface Entry {
  readonly stat: StatResult;
  readAtMs: number;
}

/** Says whether an answer that was asked for earlier may still be remembered. */
export interface Ticket {
  readonly startedAtMs: number;
  /** Keys that changed while the answer was on its way; `all` when anything may have. */
  readonly changed: Set<string>;
  all: boolean;
}

/** What is remembered of all paths of a drive; full, it forgets what was asked for longest ago. */
export class AttributeEntries {
  readonly map: BoundedMap<string, Entry>;
  hitCount = 0;
  missCount = 0;

  constructor(limit: number) {
    this.map = new BoundedMap({ limit });
  }

  get status(): CacheStatus {
    const { hitCount, missCount } = this;
    return { name: 'attributes', hitCount, missCount, entryCount: this.map.size };
  }
}

export interface AttributeCacheOptions {
  readonly entries: AttributeEntries;
  /** What the bucket's entries begin with among those of others: '' where there are none. */
  readonly scope: string;
  /** How long an answer holds while no watch reports changes. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

/**
 * What paths are, existing or not, by key without trailing slash. While a watch is live an entry holds until the watch
 * reports a change; otherwise for the TTL. An answer that was overtaken by a change is used once and not remembered.
 */
export class AttributeCache {
  readonly #entries: AttributeEntries;
  readonly #scope: string;
  readonly #tickets = new Set<Ticket>();
  readonly #compactor = new StatCompactor();
  readonly #options: AttributeCacheOptions;
  #liveSinceMs: number | undefined;

  constructor(options: AttributeCacheOptions) {
    this.#options = options;
    this.#entries = options.entries;
    this.#scope = options.scope;
  }

  find(key: string): StatResult | undefined {
    const stat = this.#find(key);
    if (stat) this.#entries.hitCount++;
    else this.#entries.missCount++;
    return stat;
  }

  #find(key: string): StatResult | undefined {
    const entry = this.#entries.map.get(this.#scope + key);
    if (!entry) return undefined;
    if (this.#liveSinceMs !== undefined && entry.readAtMs >= this.#liveSinceMs) return entry.stat;
    if (this.#options.clock.monotonicMs() - entry.readAtMs < this.#options.ttlMs) return entry.stat;
    this.#entries.map.delete(this.#scope + key);
    return undefined;
  }

  /** Begins a question to the store; its answer is remembered with `fill`, after which `end` must follow. */
  begin(): Ticket {
    const ticket = { startedAtMs: this.#options.clock.monotonicMs(), changed: new Set<string>(), all: false };
    this.#tickets.add(ticket);
    return ticket;
  }

  fill(ticket: Ticket, key: string, stat: StatResult): void {
    if (ticket.all || ticket.changed.has(key)) return;
    const known = this.#entries.map.get(this.#scope + key);
    // Listing a large directory again would otherwise replace all that is kept of it.
    if (known && isSame(known.stat, stat)) known.readAtMs = ticket.startedAtMs;
    else this.#set(key, stat, ticket.startedAtMs);
  }

  end(ticket: Ticket): void {
    this.#tickets.delete(ticket);
  }

  /** Remembers the result of an own change, which no answer still under way may replace. */
  set(key: string, stat: StatResult): void {
    this.#spoil(key);
    this.#set(key, stat, this.#options.clock.monotonicMs());
  }

  forget(key: string): void {
    this.#spoil(key);
    this.#entries.map.delete(this.#scope + key);
  }

  forgetPrefix(prefix: string): void {
    for (const ticket of this.#tickets) ticket.all = true;
    const { map } = this.#entries;
    const start = this.#scope + prefix;
    if (start === '') map.clear();
    for (const key of [...map.keys()]) if (key.startsWith(start)) map.delete(key);
  }

  clear(): void {
    this.forgetPrefix('');
  }

  /** What is read from now on holds until a change is reported. */
  watchIsLive(): void {
    this.#liveSinceMs ??= this.#options.clock.monotonicMs();
  }

  watchIsLost(): void {
    this.#liveSinceMs = undefined;
  }

  get isLive(): boolean {
    return this.#liveSinceMs !== undefined;
  }

  #set(key: string, stat: StatResult, readAtMs: number): void {
    this.#entries.map.set(this.#scope + key, { stat: this.#compactor.compact(stat), readAtMs });
  }

  #spoil(key: string): void {
    for (const ticket of this.#tickets) ticket.changed.add(key);
  }
}

/** Whether both say the same version. */
export function isSame(one: StatResult, other: StatResult): boolean {
  if (one.type === 'none' || other.type === 'none') return one.type === other.type;
  const [head, otherHead] = [one.head, other.head];
  return (
    one.type === other.type &&
    head?.key === otherHead?.key &&
    head?.versionId === otherHead?.versionId &&
    head?.generation === otherHead?.generation
  );
}
