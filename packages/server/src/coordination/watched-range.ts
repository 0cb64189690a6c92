import { isStoreError, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { MetaChange, MetaEntry, MetaStore } from './meta-store.js';

export interface WatchedRangeOptions {
  readonly meta: MetaStore;
  readonly prefix: string;
  readonly clock: Clock;
}

const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 2000;

/** A copy of the rows under a prefix that follows the meta store: never ahead of it, a little behind at most times. */
export class WatchedRange {
  readonly #options: WatchedRangeOptions;
  readonly #entries = new Map<string, MetaEntry>();
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #following: Promise<void> = Promise.resolve();

  private constructor(options: WatchedRangeOptions) {
    this.#options = options;
  }

  /** Resolves when the rows were read once. @throws StoreError when they cannot be. */
  static async open(options: WatchedRangeOptions): Promise<WatchedRange> {
    const range = new WatchedRange(options);
    const revision = await range.#read();
    range.#following = range.#follow(revision);
    return range;
  }

  find(key: string): MetaEntry | undefined {
    return this.#entries.get(key);
  }

  entries(): Iterable<MetaEntry> {
    return this.#entries.values();
  }

  /** Calls `run` after each change until disposed. */
  onChange(run: () => void): Disposable {
    const listener = (): void => run();
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Resolves at the next change, after `timeoutMs`, or when the signal aborts. */
  async changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const waiting = new AbortController();
    const listening = this.onChange(() => waiting.abort());
    const ended = signal ? AbortSignal.any([waiting.signal, signal]) : waiting.signal;
    await this.#options.clock.sleep(timeoutMs, ended).catch(() => undefined);
    listening[Symbol.dispose]();
  }

  /** Reads the rows now, for who cannot wait for the watch. */
  async refresh(): Promise<void> {
    await this.#read();
  }

  async close(): Promise<void> {
    this.#closing.abort(new StoreError('Cancelled', 'The watch was closed.'));
    await this.#following;
  }

  async #read(): Promise<number> {
    const { meta, prefix } = this.#options;
    const { entries, revision } = await meta.range(prefix, { signal: this.#closing.signal });
    const keys = new Set(entries.map(({ key }) => key));
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
    for (const entry of entries) this.#put(entry);
    this.#notify();
    return revision;
  }

  async #follow(start: number): Promise<void> {
    const { meta, prefix, clock } = this.#options;
    const { signal } = this.#closing;
    let revision: number | undefined = start;
    let pauseMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      try {
        revision ??= await this.#read();
        for await (const change of meta.watch(prefix, { afterRevision: revision, signal })) {
          revision = this.#apply(change);
          pauseMs = RETRY_MS_MIN;
        }
      } catch (error) {
        if (signal.aborted) return;
        // Changes that are gone from the history can only be read anew.
        if (isStoreError(error, 'MetaCompacted')) revision = undefined;
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
    }
  }

  #apply(change: MetaChange): number {
    const revision = change.type === 'put' ? change.entry.revision : change.revision;
    if (change.type === 'put') this.#put(change.entry);
    else if ((this.#entries.get(change.key)?.revision ?? 0) < revision) this.#entries.delete(change.key);
    this.#notify();
    return revision;
  }

  /** An older one may come after it was read anew. */
  #put(entry: MetaEntry): void {
    if ((this.#entries.get(entry.key)?.revision ?? 0) < entry.revision) this.#entries.set(entry.key, entry);
  }

  #notify(): void {
    for (const run of [...this.#listeners]) run();
  }
}
