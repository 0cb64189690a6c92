import { StoreError } from '../../api/index.js';
import type { MetaChange, MetaWatchOptions } from '../meta-store.js';
import type { EtcdClient } from './etcd-client.js';
import type { EtcdEndpoint } from './etcd-endpoint.js';
import { errorOf, isRefusal } from './etcd-errors.js';
import { entryOf, type KeyValue } from './etcd-range.js';

/*
 * Watches of etcd. One that breaks is made again from the revision after the last change, so that none is skipped or given
 * twice. A member of etcd that was cut off from the others says nothing and ends nothing: after a silence it must name a
 * revision that is as new as what the cluster says, or another member is asked.
 */

const SILENCE_MS = 3000;
const PROGRESS_TIMEOUT_MS = 2000;
const RECONNECT_MS = 100;
/** Changes that nobody has taken yet; more of them, and the watch starts again from where its reader is. */
const QUEUE_MAX = 10_000;
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;

interface Response {
  readonly header: { readonly revision: string };
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  /** More of the same transactions follows. */
  readonly fragment: boolean;
  readonly events: readonly { readonly type: string; readonly kv: KeyValue }[];
}
interface WatchStream {
  on(event: 'data', run: (response: Response) => void): void;
  on(event: 'error', run: (error: Error) => void): void;
  on(event: 'end', run: () => void): void;
  write(request: object): void;
  end(): void;
  cancel(): void;
}

/**
 * See `MetaStore.watch`.
 *
 * @throws StoreError `MetaCompacted`; `Unauthenticated` and `AccessDenied` when etcd refuses its user; `ServiceUnavailable` once the
 *         client was closed.
 */
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
        for (const change of batch) {
          yield change;
          if (signal.aborted) return;
        }
        revision = revisionOf(batch.at(-1)!);
      }
    } finally {
      watch.end();
    }
    await client.clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
  }
}

/** One stream, until it breaks. */
class OneWatch {
  readonly #client: EtcdClient;
  readonly #prefix: string;
  readonly #signals: readonly AbortSignal[];
  readonly #start: number;
  readonly #endpoint: EtcdEndpoint;
  readonly #ended = new AbortController();
  #batches: (readonly MetaChange[])[] = [];
  #count = 0;
  #bytes = 0;
  /** Of a transaction whose rest is on its way. */
  #partial: MetaChange[] = [];
  #seenRevision = 0;
  #heardAtMs: number;
  #failure: StoreError | undefined;
  #stream: WatchStream | undefined;
  #wake: (() => void) | undefined;

  constructor(client: EtcdClient, prefix: string, { afterRevision, signal }: MetaWatchOptions) {
    this.#client = client;
    this.#prefix = prefix;
    this.#start = afterRevision + 1;
    this.#endpoint = client.endpoint;
    this.#signals = [signal, client.closed];
    this.#heardAtMs = client.clock.monotonicMs();
    for (const each of this.#signals) each.addEventListener('abort', this.end, { once: true });
    void this.#open().catch((error: unknown) => this.#fail(error));
    void this.#checkSilence();
  }

  /** The changes of one or more transactions, whole; `undefined` when the stream broke or was ended. */
  async next(): Promise<readonly MetaChange[] | undefined> {
    for (;;) {
      if (this.#signals.some((signal) => signal.aborted)) return undefined;
      const batch = this.#batches.shift();
      if (batch) {
        this.#count -= batch.length;
        this.#bytes -= bytesOf(batch);
        return batch;
      }
      if (this.#failure) throw this.#failure;
      if (this.#ended.signal.aborted) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  readonly end = (): void => {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    for (const signal of this.#signals) signal.removeEventListener('abort', this.end);
    this.#stream?.end();
    this.#stream?.cancel();
    this.#wake?.();
  };

  async #open(): Promise<void> {
    const broken = (error?: Error): void => this.#fail(error);
    const stream = (await this.#endpoint.etcd.watchClient.watch()) as unknown as WatchStream;
    // Also after the end: a stream that is cancelled fails.
    stream.on('error', broken);
    stream.on('end', broken);
    if (this.#ended.signal.aborted) return stream.cancel();
    this.#stream = stream;
    stream.on('data', (response) => void this.#take(response));
    stream.write({
      create_request: {
        ...this.#client.rangeOf(this.#prefix),
        start_revision: String(this.#start),
        fragment: true
      }
    });
  }

  /** Ends the watch for good where nothing but a person can help. */
  #fail(cause: unknown): void {
    if (this.#ended.signal.aborted) return;
    const error = errorOf(cause);
    if (isRefusal(error)) this.#failure ??= error;
    this.#client.distrust(this.#endpoint);
    this.end();
  }

  async #take(response: Response): Promise<void> {
    this.#heardAtMs = this.#client.clock.monotonicMs();
    this.#seenRevision = Math.max(this.#seenRevision, Number(response.header.revision));
    if (response.canceled) return await this.#takeCancel(response);
    if (response.events.length === 0 || this.#ended.signal.aborted) return;
    for (const { type, kv } of response.events) {
      const key = this.#client.nameOf(kv.key);
      if (type === 'Delete') this.#partial.push({ type: 'delete', key, revision: Number(kv.mod_revision) });
      else this.#partial.push({ type: 'put', entry: entryOf(this.#client, kv) });
    }
    this.#giveWhole(response.fragment);
  }

  /** A fragment may end within a transaction, which then waits for the rest of it. */
  #giveWhole(isFragment: boolean): void {
    const last = revisionOf(this.#partial.at(-1)!);
    const openCount = isFragment ? this.#partial.filter((change) => revisionOf(change) === last).length : 0;
    const batch = this.#partial.slice(0, this.#partial.length - openCount);
    this.#partial = this.#partial.slice(batch.length);
    if (batch.length === 0) return;
    this.#batches.push(batch);
    this.#count += batch.length;
    this.#bytes += bytesOf(batch);
    this.#wake?.();
    // What is queued is given; the next stream starts behind it.
    if (this.#count > QUEUE_MAX || this.#bytes > QUEUE_BYTES_MAX) this.end();
  }

  async #takeCancel({ compact_revision, cancel_reason }: Response): Promise<void> {
    if (Number(compact_revision) > 0 || /compacted/.test(cancel_reason)) {
      this.#failure = this.#compacted();
    } else if (isRefusal(errorOf(new Error(cancel_reason)))) {
      // Also said of a sign-in that has run out. A read signs in anew, and tells the one from the other.
      await this.#clusterRevision().catch((error: unknown) => this.#fail(error));
    } else {
      this.#client.distrust(this.#endpoint);
    }
    this.end();
  }

  async #checkSilence(): Promise<void> {
    const { clock } = this.#client;
    const pause = (durationMs: number): Promise<void> =>
      clock.sleep(durationMs, this.#ended.signal).catch(() => undefined);
    for (;;) {
      await pause(SILENCE_MS);
      if (this.#ended.signal.aborted) return;
      if (clock.monotonicMs() - this.#heardAtMs < SILENCE_MS) continue;
      const revision = await this.#clusterRevision().catch(() => undefined);
      if (this.#ended.signal.aborted) return;
      if (revision === undefined) continue;
      if (revision < this.#start - 1) {
        // etcd was set back to an earlier state: what comes next has revisions that were given already.
        this.#failure = this.#compacted();
        return this.end();
      }
      this.#stream?.write({ progress_request: {} });
      const untilMs = clock.monotonicMs() + PROGRESS_TIMEOUT_MS;
      do await pause(PROGRESS_TIMEOUT_MS / 10);
      while (!this.#ended.signal.aborted && this.#seenRevision < revision && clock.monotonicMs() < untilMs);
      if (this.#ended.signal.aborted || this.#seenRevision >= revision) continue;
      this.#client.distrust(this.#endpoint);
      return this.end();
    }
  }

  /** As of now, agreed on by most members. */
  async #clusterRevision(): Promise<number> {
    const patience = this.#client.patience({ signal: this.#ended.signal });
    const request = { ...this.#client.rangeOf(this.#prefix), limit: 1, keys_only: true };
    const { header } = await this.#client.call('repeatable', patience, ({ etcd, options }) =>
      etcd.kv.range(request, options)
    );
    return Number(header.revision);
  }

  #compacted(): StoreError {
    return new StoreError(
      'MetaCompacted',
      `The changes after revision ${this.#start - 1} were given up. Read the range anew.`
    );
  }
}

function revisionOf(change: MetaChange): number {
  return change.type === 'put' ? change.entry.revision : change.revision;
}

function bytesOf(changes: readonly MetaChange[]): number {
  let bytes = 0;
  for (const change of changes)
    bytes +=
      change.type === 'put' ? change.entry.key.length + change.entry.value.byteLength : change.key.length;
  return bytes;
}
