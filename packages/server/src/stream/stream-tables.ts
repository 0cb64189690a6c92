import {
  type ExtentId,
  extentId,
  isStoreError,
  type MemberId,
  StoreError,
  type StreamId,
  streamId
} from '../api/index.js';
import type { Leadership, MetaEntry, MetaStore, MetaTransaction } from '../coordination/index.js';

/*
 * The stream manager's tables in the meta store, values as JSON:
 *
 *   streams/list/<stream id>     StreamRecord; the whole list of extents is one value, so that one put changes it
 *   streams/extent/<extent id>   ExtentRecord; the id in 16 digits
 *   streams/next-extent-id       no id from here on was ever given out
 */
const LIST_PREFIX = 'streams/list/';
const EXTENT_PREFIX = 'streams/extent/';
const NEXT_ID_KEY = 'streams/next-extent-id';
const IDS_PER_BATCH = 1000;

export interface StreamRecord {
  /** Of the owner; calls with another one are refused. */
  readonly epoch: number;
  readonly extentIds: readonly ExtentId[];
}

export type ExtentState =
  | { readonly state: 'open' }
  /** Replicas are being frozen on behalf of this epoch. */
  | { readonly state: 'sealing'; readonly epoch: number }
  | { readonly state: 'sealed'; readonly length: number };

export type ExtentRecord = ExtentState & {
  /** Of the owner for whom it was created or sealed last. */
  readonly ownerEpoch: number;
  readonly replicas: readonly MemberId[];
  /** The fewest durable replicas with which an append to it may have been acknowledged. */
  readonly acknowledgedBy: number;
  /** Replicas not yet known to have exactly the sealed length, intact. */
  readonly unconfirmed: readonly MemberId[];
  /** Replicas that gave bad bytes, or are missing, since they were confirmed. Absent = none. */
  readonly damaged?: readonly MemberId[];
  /** No replica was intact when it was sealed. */
  readonly isDamaged?: boolean;
};

export interface TableChange {
  readonly streams?: ReadonlyMap<StreamId, StreamRecord>;
  /** `undefined` deletes. */
  readonly extents?: ReadonlyMap<ExtentId, ExtentRecord | undefined>;
}

interface Cached<Value> {
  readonly value: Value;
  readonly revision: number;
}

/**
 * A copy of the tables that the leading stream manager holds; it changes only by transactions that carry its proof. When
 * nobody knows what became of one, the copy is of no use any more, not even to look something up: what seems to belong to
 * nobody may have been given to a stream. Reading again does not help, as the transaction may still come. The next
 * leadership can read, since the earlier one's proof is gone then.
 */
export class StreamTables {
  readonly #metaStore: MetaStore;
  readonly #leadership: Leadership;
  readonly #streams = new Map<StreamId, Cached<StreamRecord>>();
  readonly #extents = new Map<ExtentId, Cached<ExtentRecord>>();
  /** In how many lists an extent is. */
  readonly #listings = new Map<ExtentId, number>();
  /** Those of #extents that are not in #listings. */
  readonly #unlisted = new Set<ExtentId>();
  readonly #doubt = new AbortController();
  #nextId = 0;
  #idsEnd = 0;
  #allocating: Promise<void> | undefined;

  private constructor(metaStore: MetaStore, leadership: Leadership) {
    this.#metaStore = metaStore;
    this.#leadership = leadership;
  }

  static async load(metaStore: MetaStore, leadership: Leadership): Promise<StreamTables> {
    const tables = new StreamTables(metaStore, leadership);
    const [lists, extents, nextId] = await Promise.all([
      metaStore.range(LIST_PREFIX),
      metaStore.range(EXTENT_PREFIX),
      metaStore.find(NEXT_ID_KEY)
    ]);
    for (const entry of lists.entries) tables.#remember(entry.key, entry);
    for (const entry of extents.entries) tables.#remember(entry.key, entry);
    tables.#nextId = tables.#idsEnd = nextId ? decode<number>(nextId) : 1;
    return tables;
  }

  /** Aborts when the tables may be other than this copy: every call fails from then on. */
  get inDoubt(): AbortSignal {
    return this.#doubt.signal;
  }

  findStream(id: StreamId): StreamRecord | undefined {
    this.#requireCertain();
    return this.#streams.get(id)?.value;
  }

  findExtent(id: ExtentId): ExtentRecord | undefined {
    this.#requireCertain();
    return this.#extents.get(id)?.value;
  }

  *extents(): Iterable<readonly [ExtentId, ExtentRecord]> {
    this.#requireCertain();
    for (const [id, cached] of this.#extents) yield [id, cached.value];
  }

  /** Extents that are in no list: nothing can refer to them any more. */
  unlisted(): readonly ExtentId[] {
    this.#requireCertain();
    return [...this.#unlisted];
  }

  isListed(id: ExtentId): boolean {
    return this.#listings.has(id);
  }

  *streams(): Iterable<readonly [StreamId, StreamRecord]> {
    for (const [id, cached] of this.#streams) yield [id, cached.value];
  }

  /** False for ids that these tables never gave out. */
  wasAllocated(id: ExtentId): boolean {
    return id < this.#idsEnd;
  }

  /** An id that was never given out before, by any leader. Batches keep the meta store out of most calls. */
  async allocateId(): Promise<ExtentId> {
    while (this.#nextId >= this.#idsEnd) {
      this.#allocating ??= this.#allocateBatch().finally(() => {
        this.#allocating = undefined;
      });
      await this.#allocating;
    }
    return extentId(this.#nextId++);
  }

  async #allocateBatch(): Promise<void> {
    const entry = await this.#metaStore.find(NEXT_ID_KEY);
    const start = entry ? decode<number>(entry) : 1;
    const { committed } = await this.#metaStore.transact({
      compares: [{ key: NEXT_ID_KEY, revision: entry?.revision ?? 0 }, this.#leadership.proof],
      puts: [{ key: NEXT_ID_KEY, value: encode(start + IDS_PER_BATCH) }]
    });
    if (!committed) throw notLeading();
    this.#nextId = start;
    this.#idsEnd = start + IDS_PER_BATCH;
  }

  /**
   * Applies a change if nothing that it touches was changed by anyone else, in one durable step.
   * @throws StoreError `ServiceUnavailable` when it was, or when this manager does not lead any more, or an error of the
   * meta store: it may have been applied, or be applied later, and the tables are in doubt.
   */
  async commit({ streams = new Map(), extents = new Map() }: TableChange): Promise<void> {
    const puts: { key: string; value: Uint8Array }[] = [];
    const deletes: string[] = [];
    const compares: { key: string; revision: number }[] = [this.#leadership.proof];
    for (const [id, record] of streams) {
      compares.push({ key: LIST_PREFIX + id, revision: this.#streams.get(id)?.revision ?? 0 });
      puts.push({ key: LIST_PREFIX + id, value: encode(record) });
    }
    for (const [id, record] of extents) {
      compares.push({ key: extentKey(id), revision: this.#extents.get(id)?.revision ?? 0 });
      if (record) puts.push({ key: extentKey(id), value: encode(record) });
      else deletes.push(extentKey(id));
    }
    const revision = await this.#transact({ compares, puts, deletes });
    for (const { key, value } of puts) this.#remember(key, { value, revision });
    for (const key of deletes) this.#remember(key, undefined);
  }

  async #transact(transaction: MetaTransaction): Promise<number> {
    this.#requireCertain();
    try {
      const result = await this.#metaStore.transact(transaction);
      if (result.committed) return result.revision;
    } catch (error) {
      if (!isStoreError(error, 'InvalidArgument', 'SlowDown')) this.#doubt.abort();
      throw error;
    }
    this.#doubt.abort();
    throw notLeading();
  }

  #requireCertain(): void {
    if (this.#doubt.signal.aborted) throw notLeading();
  }

  #remember(key: string, entry: Pick<MetaEntry, 'value' | 'revision'> | undefined): void {
    if (key.startsWith(LIST_PREFIX)) this.#rememberStream(streamId(key.slice(LIST_PREFIX.length)), entry);
    else this.#rememberExtent(extentId(Number(key.slice(EXTENT_PREFIX.length))), entry);
  }

  #rememberExtent(id: ExtentId, entry: Pick<MetaEntry, 'value' | 'revision'> | undefined): void {
    remember(this.#extents, id, entry);
    this.#noteListing(id);
  }

  #rememberStream(id: StreamId, entry: Pick<MetaEntry, 'value' | 'revision'> | undefined): void {
    for (const listed of this.#streams.get(id)?.value.extentIds ?? []) this.#count(listed, -1);
    remember(this.#streams, id, entry);
    for (const listed of this.#streams.get(id)?.value.extentIds ?? []) this.#count(listed, 1);
  }

  #count(id: ExtentId, change: 1 | -1): void {
    const count = (this.#listings.get(id) ?? 0) + change;
    if (count === 0) this.#listings.delete(id);
    else this.#listings.set(id, count);
    this.#noteListing(id);
  }

  #noteListing(id: ExtentId): void {
    if (this.#extents.has(id) && !this.#listings.has(id)) this.#unlisted.add(id);
    else this.#unlisted.delete(id);
  }
}

function remember<Id, Value>(
  cache: Map<Id, Cached<Value>>,
  id: Id,
  entry: Pick<MetaEntry, 'value' | 'revision'> | undefined
): void {
  if (entry) cache.set(id, { value: decode<Value>(entry), revision: entry.revision });
  else cache.delete(id);
}

function extentKey(id: ExtentId): string {
  return EXTENT_PREFIX + String(id).padStart(16, '0');
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function decode<Value>({ value }: Pick<MetaEntry, 'value'>): Value {
  return JSON.parse(Buffer.from(value).toString()) as Value;
}

function notLeading(): StoreError {
  return new StoreError(
    'ServiceUnavailable',
    'The tables may have changed. Ask the stream manager that leads.'
  );
}
