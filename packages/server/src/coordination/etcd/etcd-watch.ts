import { StoreError } from '../../api/index.js';
import type { MetaChange, MetaEntry, MetaWatchOptions } from '../meta-store.js';
import type { EtcdClient } from './etcd-client.js';

/*
 * Watches of etcd. One that breaks is made again from the revision after the last change, so that none is skipped or given
 * twice. A member of etcd that was cut off from the others says nothing and ends nothing: after a silence it must name a
 * revision that is as new as what the cluster says, or another member is asked.
 */

const SILENCE_MS = 3000;
const PROGRESS_TIMEOUT_MS = 3000;
const RECONNECT_MS = 100;
/** Changes that nobody has taken yet; more of them, and the watch starts again from where its reader is. */
const QUEUE_MAX = 10_000;

interface Kv {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly mod_revision: string;
  readonly create_revision: string;
}
interface Response {
  readonly header: { readonly revision: string };
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  readonly events: readonly { readonly type: string; readonly kv: Kv }[];
}
interface WatchStream {
  on(event: 'data', run: (response: Response) => void): void;
  on(event: 'error', run: (error: Error) => void): void;
  on(event: 'end', run: () => void): void;
  write(request: object): void;
  cancel(): void;
}

export function entryOf(client: EtcdClient, kv: Kv): MetaEntry {
  return {
    key: client.nameOf(kv.key),
    value: new Uint8Array(kv.value),
    revision: Number(kv.mod_revision),
    createRevision: Number(kv.create_revision)
  };
}

/** See `MetaStore.watch`. @throws StoreError `MetaCompacted`, `ServiceUnavailable` once the client was closed. */
export async function* watchPrefix(
  client: EtcdClient,
  prefix: string,
  { afterRevision, signal }: MetaWatchOptions
): AsyncIterable<MetaChange> {
  let revision = afterRevision;
  while (!signal.aborted) {
    if (client.closed.aborted) throw client.closed.reason;
    const watch = new OneWatch(client, prefix, { afterRevision: revision, signal });
    try {
      for (;;) {
        const batch = await watch.next();
        if (!batch) break;
        // A transaction is given whole: the reader goes on after it, or sees all of it again.
        for (const change of batch) yield change;
        const last = batch.at(-1)!;
        revision = last.type === 'put' ? last.entry.revision : last.revision;
      }
    } finally {
      watch.end();
    }
    await client.clock.sleep(RECONNECT_MS, AbortSignal.any([signal, client.closed])).catch(() => undefined);
  }
}

/** One stream, until it breaks. */
class OneWatch {
  readonly #client: EtcdClient;
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #start: number;
  #batches: (readonly MetaChange[])[] = [];
  #count = 0;
  #seenRevision = 0;
  #heardAtMs: number;
  #isEnded = false;
  #failure: StoreError | undefined;
  #stream: WatchStream | undefined;
  #wake: (() => void) | undefined;

  constructor(client: EtcdClient, prefix: string, { afterRevision, signal }: MetaWatchOptions) {
    this.#client = client;
    this.#prefix = prefix;
    this.#start = afterRevision + 1;
    this.#signal = AbortSignal.any([signal, client.closed]);
    this.#heardAtMs = client.clock.monotonicMs();
    this.#signal.addEventListener('abort', this.end, { once: true });
    void this.#open().catch(this.end);
    void this.#checkSilence();
  }

  /** The changes of one or more transactions, whole; `undefined` when the stream broke or was ended. */
  async next(): Promise<readonly MetaChange[] | undefined> {
    for (;;) {
      const batch = this.#batches.shift();
      if (batch) {
        this.#count -= batch.length;
        return batch;
      }
      if (this.#failure) throw this.#failure;
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  readonly end = (): void => {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#signal.removeEventListener('abort', this.end);
    this.#stream?.cancel();
    this.#wake?.();
  };

  async #open(): Promise<void> {
    const stream = (await this.#client.etcd.watchClient.watch()) as unknown as WatchStream;
    // Also after the end: a stream that is cancelled fails.
    stream.on('error', this.end);
    stream.on('end', this.end);
    if (this.#isEnded) return stream.cancel();
    this.#stream = stream;
    stream.on('data', (response) => this.#take(response));
    stream.write({
      create_request: {
        key: this.#client.keyOf(this.#prefix),
        range_end: this.#client.endOf(this.#prefix),
        start_revision: String(this.#start)
      }
    });
  }

  #take({ header, canceled, compact_revision, cancel_reason, events }: Response): void {
    this.#heardAtMs = this.#client.clock.monotonicMs();
    this.#seenRevision = Math.max(this.#seenRevision, Number(header.revision));
    if (canceled) {
      if (Number(compact_revision) > 0 || /compacted/.test(cancel_reason))
        this.#failure = new StoreError(
          'MetaCompacted',
          `The changes after revision ${this.#start - 1} were given up. Read the range anew.`
        );
      this.end();
      return;
    }
    if (events.length === 0 || this.#isEnded) return;
    const batch = events.map(({ type, kv }): MetaChange => {
      if (type !== 'Delete') return { type: 'put', entry: entryOf(this.#client, kv) };
      return { type: 'delete', key: this.#client.nameOf(kv.key), revision: Number(kv.mod_revision) };
    });
    this.#batches.push(batch);
    this.#count += batch.length;
    this.#wake?.();
    // What is queued is given; the next stream starts behind it.
    if (this.#count > QUEUE_MAX) this.end();
  }

  async #checkSilence(): Promise<void> {
    const { clock } = this.#client;
    while (!this.#isEnded) {
      await clock.sleep(SILENCE_MS, this.#signal).catch(() => undefined);
      if (this.#isEnded) return;
      if (clock.monotonicMs() - this.#heardAtMs < SILENCE_MS) continue;
      const revision = await this.#clusterRevision();
      if (this.#isEnded || revision === undefined) continue;
      this.#stream?.write({ progress_request: {} });
      await clock.sleep(PROGRESS_TIMEOUT_MS / 10, this.#signal).catch(() => undefined);
      const untilMs = clock.monotonicMs() + PROGRESS_TIMEOUT_MS;
      while (!this.#isEnded && this.#seenRevision < revision && clock.monotonicMs() < untilMs)
        await clock.sleep(PROGRESS_TIMEOUT_MS / 10, this.#signal).catch(() => undefined);
      if (this.#seenRevision < revision) this.end();
    }
  }

  /** As of now, agreed on by most members; `undefined` while they do not answer. */
  async #clusterRevision(): Promise<number | undefined> {
    const { etcd } = this.#client;
    const key = this.#client.keyOf('');
    const range = { key: key.length > 0 ? key : Buffer.of(0), limit: 1, keys_only: true };
    try {
      const { header } = await this.#client.call('read', { signal: this.#signal }, (attempt) =>
        etcd.kv.range(range, attempt)
      );
      return Number(header.revision);
    } catch {
      return undefined;
    }
  }
}
