/**
 * The small tables that need agreement: streams, extents, partitions, members, access keys. One contract for the
 * embedded store and for etcd, so it promises no more than etcd gives: at most `LIMITS.metaTransactionOperationsMax`
 * operations in a transaction, values ≤ `LIMITS.metaValueBytesMax`, watches that may end with `MetaCompacted`.
 * Every write is durable before it resolves. Revisions grow by one with each committed transaction.
 */
export interface MetaStore extends AsyncDisposable {
  find(key: string, options?: MetaCallOptions): Promise<MetaEntry | undefined>;
  /** All entries whose key starts with `prefix`, in key order, as of one revision. */
  range(prefix: string, options?: MetaCallOptions): Promise<MetaRange>;
  /** Applies every put and delete if every compare holds, else nothing. One linearizable step. */
  transact(transaction: MetaTransaction, options?: MetaCallOptions): Promise<MetaTransactionResult>;
  /** Changes under `prefix` after `afterRevision`, in order, each batch of one transaction whole. */
  watch(prefix: string, options: MetaWatchOptions): AsyncIterable<MetaChange>;
  /** A lease that is kept alive until revoked or lost. Keys put with it vanish when it ends. */
  grantLease(timeToLiveMs: number, options?: MetaCallOptions): Promise<MetaLease>;
  /** Waits to become the leader of `election`; at most one leadership has the newest epoch. */
  campaign(election: string, candidate: string, options: CampaignOptions): Promise<Leadership>;
  /** The current leader, if any. */
  findLeader(election: string, options?: MetaCallOptions): Promise<LeaderEntry | undefined>;
  close(): Promise<void>;
}

export interface MetaCallOptions {
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

export interface MetaEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the transaction that wrote this value; compare against it. */
  readonly revision: number;
  /** Revision of the transaction that created the key. */
  readonly createRevision: number;
}

export interface MetaRange {
  readonly entries: readonly MetaEntry[];
  /** The store's revision when the range was read: watch from here to miss nothing. */
  readonly revision: number;
}

export interface MetaTransaction {
  /** `revision: 0` demands that the key is absent. */
  readonly compares: readonly { readonly key: string; readonly revision: number }[];
  readonly puts?: readonly { readonly key: string; readonly value: Uint8Array; readonly leaseId?: string }[];
  readonly deletes?: readonly string[];
}

export type MetaTransactionResult =
  | { readonly committed: true; readonly revision: number }
  | { readonly committed: false };

export interface MetaWatchOptions {
  readonly afterRevision: number;
  readonly signal: AbortSignal;
}

export type MetaChange =
  | { readonly type: 'put'; readonly entry: MetaEntry }
  | { readonly type: 'delete'; readonly key: string; readonly revision: number };

export interface MetaLease {
  readonly leaseId: string;
  /**
   * The time, by `Clock.elapsedMs`, until which the holder may act, measured from before the last successful keep-alive
   * was sent, less a margin. Check it again right before each reply. Once it has passed the lease ends.
   */
  deadlineElapsedMs(): number;
  /** Aborts when the lease is known to be lost or was revoked. */
  readonly lost: AbortSignal;
  revoke(): Promise<void>;
}

export interface CampaignOptions {
  readonly lease: MetaLease;
  readonly signal: AbortSignal;
}

export interface Leadership {
  /** Greater than that of every earlier leader of this election. */
  readonly epoch: number;
  /** Include this compare in every transaction made as the leader. */
  readonly proof: { readonly key: string; readonly revision: number };
  readonly lost: AbortSignal;
  /** Checked right before each answer that depends on it: a machine that wakes knows it before any signal aborts. */
  isOver(): boolean;
  resign(): Promise<void>;
}

export interface LeaderEntry {
  readonly candidate: string;
  readonly epoch: number;
}
