import { type ExtentId, isStoreError, type MemberId, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { blockBytes } from './block-format.js';
import { encodeBatch } from './encode-batch.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import { NodeDirectory } from './node-directory.js';
import { firstToEnd, type SpaceUse } from './space-use.js';
import type { BlockLocation } from './stream-layer.js';

export interface PendingBlock {
  readonly sequence: number;
  readonly parts: readonly Uint8Array[];
  readonly payloadLength: number;
  readonly use: SpaceUse;
  readonly resolve: (location: BlockLocation) => void;
  readonly reject: (error: unknown) => void;
  /** Where it was sent last; no extent when every replica refused it. */
  extentId: ExtentId | undefined;
  offset: number;
  /** Inside the sealed length of an extent that was given up: stored for good. */
  stored: { readonly location: BlockLocation; readonly isOnAllReplicas: boolean } | undefined;
}

export interface OpenExtentOptions {
  readonly extentId: ExtentId;
  readonly replicas: readonly MemberId[];
  readonly epoch: number;
  readonly durability: 'sync' | 'os';
  readonly nodes: NodeDirectory;
  readonly clock: Clock;
  /** In order; every replica has the blocks as durable as asked. */
  readonly onAcknowledged: (blocks: readonly PendingBlock[]) => void;
  /** Once: the extent takes no more blocks. */
  readonly onFailed: (cause: unknown, memberIds: readonly MemberId[]) => void;
}

interface Batch {
  readonly blocks: readonly PendingBlock[];
  readonly bytes: number;
  readonly endOffset: number;
  /** Replicas that have not answered yet. */
  readonly waitingFor: Set<MemberId>;
  /** Replicas that have a newer owner and took nothing of it. */
  refusalCount: number;
}

/** The extent at the end of a stream while it takes blocks: sends batches to all replicas and awaits their answers. */
export class OpenExtent {
  readonly extentId: ExtentId;
  nextOffset = EXTENT_HEADER_BYTES;
  acknowledgedLength = EXTENT_HEADER_BYTES;
  bytesInFlight = 0;
  readonly #options: OpenExtentOptions;
  readonly #timeoutMs: number;
  /** Of the appends to each replica. */
  readonly #aborts: ReadonlyMap<MemberId, AbortController>;
  #batches: Batch[] = [];
  #isDone = false;
  #fencedBy: StoreError | undefined;
  /** When the last answer came, or the first batch after a pause went out. */
  #progressAtMs = 0;
  #watchdog: Disposable | undefined;

  constructor(options: OpenExtentOptions) {
    this.extentId = options.extentId;
    this.#options = options;
    this.#timeoutMs = NodeDirectory.timeoutMs(options.replicas.length);
    this.#aborts = new Map(options.replicas.map((memberId) => [memberId, new AbortController()]));
  }

  get batchCount(): number {
    return this.#batches.length;
  }

  /** A newer owner exists: nothing may be sent any more. */
  get isFenced(): boolean {
    return this.#fencedBy !== undefined;
  }

  /** Sends blocks whose `offset` follows what was sent before. */
  send(blocks: readonly PendingBlock[]): void {
    const { epoch, durability, nodes, replicas } = this.#options;
    const { extentId, nextOffset: offset } = this;
    // With `os` nothing is known to be durable, and recovery must not take what a power cut lost for damage.
    const durableLength = durability === 'sync' ? this.acknowledgedLength : EXTENT_HEADER_BYTES;
    const parts = encodeBatch({ extentId, offset, durableLength }, blocks);
    const last = blocks.at(-1)!;
    const endOffset = last.offset + blockBytes(last.payloadLength);
    const bytes = endOffset - offset;
    const batch: Batch = { blocks, bytes, endOffset, waitingFor: new Set(replicas), refusalCount: 0 };
    for (const block of blocks) block.extentId = extentId;
    this.nextOffset = endOffset;
    this.bytesInFlight += bytes;
    this.#batches.push(batch);
    this.#watch();

    const use = firstToEnd(blocks.map((block) => block.use));
    for (const memberId of replicas) {
      const node = nodes.find(memberId);
      if (!node) {
        const message = `Extent node ${memberId} cannot be reached. Check its folder.`;
        this.#onFailure(batch, memberId, new StoreError('ReplicaUnavailable', message));
        continue;
      }
      const { signal } = this.#aborts.get(memberId)!;
      node.append({ extentId, epoch, offset, parts, durability, use }, { signal }).then(
        () => this.#onAnswer(batch, memberId),
        (error: unknown) => this.#onFailure(batch, memberId, error)
      );
    }
  }

  /**
   * Ends it; returns what was not acknowledged, in order. A replica that hangs may still read these blocks: what it
   * writes past the seal is cut, and what it writes before has a checksum.
   */
  abandon(): readonly PendingBlock[] {
    this.#isDone = true;
    this.#watchdog?.[Symbol.dispose]();
    return this.#batches.splice(0).flatMap((batch) => batch.blocks);
  }

  #onAnswer(batch: Batch, memberId: MemberId): void {
    if (this.#isDone) return;
    this.#progressAtMs = this.#options.clock.monotonicMs();
    batch.waitingFor.delete(memberId);
    if (this.#fencedBy) {
      this.#finishFenced();
      return;
    }
    let oldest = this.#batches[0];
    while (oldest?.waitingFor.size === 0) {
      this.#batches.shift();
      this.bytesInFlight -= oldest.bytes;
      this.acknowledgedLength = oldest.endOffset;
      this.#options.onAcknowledged(oldest.blocks);
      oldest = this.#isDone ? undefined : this.#batches[0];
    }
  }

  #onFailure(batch: Batch, memberId: MemberId, cause: unknown): void {
    if (this.#isDone) return;
    batch.waitingFor.delete(memberId);
    if (isStoreError(cause, 'StaleEpoch')) {
      batch.refusalCount += 1;
      this.#fencedBy ??= cause;
    }
    if (this.#fencedBy) this.#finishFenced();
    else this.#fail(cause, [memberId]);
  }

  /** Waits for all answers, since only they tell which blocks no replica took. */
  #finishFenced(): void {
    if (this.#batches.some((batch) => batch.waitingFor.size > 0)) return;
    for (const { blocks, refusalCount } of this.#batches) {
      if (refusalCount < this.#options.replicas.length) continue;
      for (const block of blocks) block.extentId = undefined;
    }
    this.#fail(this.#fencedBy, []);
  }

  #fail(cause: unknown, memberIds: readonly MemberId[]): void {
    this.#isDone = true;
    // What waits for a node that hangs must not leave later, when its memory holds other bytes.
    for (const memberId of memberIds) this.#aborts.get(memberId)?.abort(cause);
    this.#options.onFailed(cause, memberIds);
  }

  /** Keeps one timer running while batches are in flight: a slow disk may take long for all, but not for one answer. */
  #watch(): void {
    if (this.#batches.length === 1) this.#progressAtMs = this.#options.clock.monotonicMs();
    this.#watchdog ??= this.#startWatchdog(this.#timeoutMs);
  }

  #startWatchdog(delayMs: number): Disposable {
    const { clock } = this.#options;
    return clock.setTimer(delayMs, () => {
      this.#watchdog = undefined;
      const oldest = this.#batches[0];
      if (this.#isDone || !oldest) return;
      const remainingMs = this.#progressAtMs + this.#timeoutMs - clock.monotonicMs();
      if (remainingMs > 0) {
        this.#watchdog = this.#startWatchdog(remainingMs);
        return;
      }
      const took = `took longer than ${this.#timeoutMs} ms to append`;
      const message = `A replica of extent ${this.extentId} ${took}. Check the node and its disk.`;
      const cause = this.#fencedBy ?? new StoreError('ReplicaUnavailable', message);
      this.#fail(cause, [...oldest.waitingFor]);
    });
  }
}
