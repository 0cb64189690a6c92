import { StoreError } from '../api/index.js';
import type { Random } from '../platform/index.js';
import { EmbeddedMetaSession, type EmbeddedMetaSessionOptions } from './embedded-meta-session.js';
import { MetaRows, type MetaRowsOptions } from './meta-rows.js';
import { MetaTables } from './meta-tables.js';

/** The ordered store stays the caller's: close it after the meta store. No one else may write to it. */
export interface EmbeddedMetaStoreOptions extends MetaRowsOptions {
  readonly random: Random;
}

/**
 * Opens the meta store of a single process. Keys of leases that an earlier life held are gone when it resolves.
 *
 * After a failed write, whose outcome is unknown, it opens its ordered store anew, again and again, and goes on; calls
 * fail until then. Without `reopen` it accepts no further writes: close it and its ordered store, and open both again.
 */
export async function openEmbeddedMetaStore(options: EmbeddedMetaStoreOptions): Promise<EmbeddedMetaStore> {
  const tables = await MetaTables.open(new MetaRows(options));
  return new EmbeddedMetaStore({ tables, clock: options.clock, random: options.random });
}

/** The session that owns the tables: when it closes, all others end too, and every leased key goes at the next open. */
export class EmbeddedMetaStore extends EmbeddedMetaSession {
  readonly #options: EmbeddedMetaSessionOptions;
  readonly #sessions = new Set<EmbeddedMetaSession>();
  #closingAll: Promise<void> | undefined;

  constructor(options: EmbeddedMetaSessionOptions) {
    super(options);
    this.#options = options;
  }

  /** Another member of the same process. */
  connect(): EmbeddedMetaSession {
    const session = new EmbeddedMetaSession(this.#options);
    this.#sessions.add(session);
    return session;
  }

  override close(): Promise<void> {
    this.#closingAll ??= this.#closeAll();
    return this.#closingAll;
  }

  async #closeAll(): Promise<void> {
    for (const session of this.#sessions) session.end();
    this.end();
    await this.#options.tables.close(
      new StoreError('ServiceUnavailable', 'The meta store was closed. Open it again.')
    );
  }
}
