import { isStoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { MetaStore } from './meta-store.js';

/** What elections and memberships need of the store. */
export type ElectionStore = Pick<MetaStore, 'find' | 'range' | 'transact' | 'watch'>;

const RETRY_MS = 200;
/** A watch is believed for so long: it may have fallen silent, and nobody else would ever say so. */
const LOOK_MS = 5000;

/**
 * Tries again what the store cannot do now, until `ended`. Only for what may be done twice: a campaign that gave up on a
 * failure would leave its key before that of its next try, for as long as the lease lives.
 */
export class SteadyStore {
  readonly #store: ElectionStore;
  readonly #clock: Clock;
  readonly #ended: AbortSignal;

  constructor(store: ElectionStore, clock: Clock, ended: AbortSignal) {
    this.#store = store;
    this.#clock = clock;
    this.#ended = ended;
  }

  readonly find: ElectionStore['find'] = (key) =>
    this.#persist(() => this.#store.find(key, { signal: this.#ended }));
  readonly range: ElectionStore['range'] = (prefix) =>
    this.#persist(() => this.#store.range(prefix, { signal: this.#ended }));
  readonly transact: ElectionStore['transact'] = (transaction) =>
    this.#persist(() => this.#store.transact(transaction));

  /**
   * Resolves when the rows under a prefix have to be read again: after a delete, soon after the watch broke in whatever way,
   * after some seconds anyway, and when ended. What can be read decides; a watch only tells early.
   */
  async untilWorthReading(prefix: string, afterRevision: number): Promise<void> {
    const looking = new AbortController();
    const timer = this.#clock.setTimer(LOOK_MS, () => looking.abort());
    const signal = AbortSignal.any([this.#ended, looking.signal]);
    try {
      const hasHeard = await this.#hearDelete(prefix, { afterRevision, signal });
      if (!hasHeard) await this.#clock.sleep(RETRY_MS, signal).catch(() => undefined);
    } finally {
      timer[Symbol.dispose]();
    }
  }

  /** Resolves when the row is not there any more as it was put, or when ended. */
  async untilRowGone({ key, revision: putRevision }: RowProof): Promise<void> {
    let afterRevision = putRevision;
    while (!this.#ended.aborted) {
      await this.untilWorthReading(key, afterRevision);
      if (this.#ended.aborted) return;
      const { entries, revision } = await this.range(key);
      if (!entries.some((entry) => entry.key === key && entry.revision === putRevision)) return;
      afterRevision = revision;
    }
  }

  async #hearDelete(
    prefix: string,
    options: { readonly afterRevision: number; readonly signal: AbortSignal }
  ): Promise<boolean> {
    try {
      for await (const change of this.#store.watch(prefix, options))
        if (change.type === 'delete') return true;
      return false;
    } catch (error) {
      if (isStoreError(error)) return false;
      throw error;
    }
  }

  async #persist<Result>(run: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!isStoreError(error) || error.traits.retry !== 'later' || this.#ended.aborted) throw error;
      }
      await this.#clock.sleep(RETRY_MS, this.#ended).catch(() => undefined);
    }
  }
}

/** A row as it was put. */
export interface RowProof {
  readonly key: string;
  readonly revision: number;
}
