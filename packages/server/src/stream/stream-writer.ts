import assert from 'node:assert/strict';
import {
  type ExtentId,
  isStoreError,
  LIMITS,
  type MemberId,
  StoreError,
  type StreamId
} from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { BLOCK_PAYLOAD_BYTES_MAX, blockBytes } from './block-format.js';
import { encodeBatch } from './encode-batch.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import { NodeDirectory } from './node-directory.js';
import type { OnStreamEvent } from './stream-event.js';
import type { AppendBlock, BlockLocation, StreamPosition } from './stream-layer.js';
import type { AllocateExtentAnswer, AllocateExtentMessage, StreamManagerApi } from './stream-manager-api.js';

/** One is being synced, one written, the next ones wait at the nodes: the disks never wait for this process. */
const BATCHES_IN_FLIGHT_MAX = 4;
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
const BATCH_BLOCKS_MAX = 1024;
/** Failures in a row without a single acknowledged block in between. */
const ATTEMPTS_MAX = 6;
/** The same when each time a disk was full. */
const FULL_ATTEMPTS_MAX = 2;
const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 1000;

export interface StreamWriterOptions {
  readonly streamId: StreamId;
  readonly epoch: number;
  readonly durability: 'sync' | 'os';
  readonly manager: StreamManagerApi;
  readonly nodes: NodeDirectory;
  readonly clock: Clock;
  readonly extentBytesMax: number;
  readonly onEvent: OnStreamEvent;
  /** A new last extent, then its final length. */
  readonly onOpened: (extentId: ExtentId) => void;
  readonly onSealed: (extentId: ExtentId, length: number) => void;
}

interface PendingBlock {
  readonly sequence: number;
  readonly parts: readonly Uint8Array[];
  readonly payloadLength: number;
  readonly resolve: (location: BlockLocation) => void;
  readonly reject: (error: unknown) => void;
  /** Where it was sent last. */
  extentId: ExtentId | undefined;
  offset: number;
  /** Inside the sealed length of an extent that was given up before it was acknowledged: stored, but maybe not on all replicas. */
  storedAt: BlockLocation | undefined;
}

interface OpenExtent extends AllocateExtentAnswer {
  nextOffset: number;
  acknowledgedLength: number;
}

interface Batch {
  readonly blocks: readonly PendingBlock[];
  readonly bytes: number;
  readonly endOffset: number;
  /** Replicas that have not answered yet. */
  readonly waitingFor: Set<MemberId>;
}

/**
 * Appends for the owner of a stream:
 *
 *   idle ──▶ open extent ──▶ (full, or a replica failed) sealing and allocating ──▶ open extent ──▶ …  ──▶ stopped
 *
 * Blocks go to all replicas in batches; the next batch forms while up to four are in flight. An open extent is never
 * repaired: after any failure it is sealed and what was not acknowledged goes to a new one, in the same order.
 */
export class StreamWriter {
  readonly #options: StreamWriterOptions;
  #queue: PendingBlock[] = [];
  #batches: Batch[] = [];
  #bytesInFlight = 0;
  #extent: OpenExtent | undefined;
  #position: StreamPosition | undefined;
  /** Sealing or allocating: nothing is sent meanwhile. */
  #changing: Promise<void> | undefined;
  #isPumpScheduled = false;
  #stopError: StoreError | undefined;
  #failureCount = 0;
  /** When the last answer came, or the first batch after a pause went out. */
  #progressAtMs = 0;
  #watchdog: Disposable | undefined;
  #idleWaiters: (() => void)[] = [];

  constructor(options: StreamWriterOptions) {
    this.#options = options;
  }

  append({ sequence, parts }: AppendBlock): Promise<BlockLocation> {
    if (this.#stopError) return Promise.reject(this.#stopError);
    let payloadLength = 0;
    for (const part of parts) payloadLength += part.byteLength;
    assert(payloadLength >= 1 && payloadLength <= BLOCK_PAYLOAD_BYTES_MAX, 'a block has a legal size');
    return new Promise((resolve, reject) => {
      const unsent = { extentId: undefined, offset: 0, storedAt: undefined };
      this.#queue.push({ sequence, parts, payloadLength, resolve, reject, ...unsent });
      this.#schedulePump();
    });
  }

  /** The end of the acknowledged blocks, once there was an extent. */
  get position(): StreamPosition | undefined {
    return this.#position;
  }

  /** Of the extent that takes appends. */
  findOpenLength(extentId: ExtentId): number | undefined {
    return this.#extent?.extentId === extentId ? this.#extent.acknowledgedLength : undefined;
  }

  /** Seals the open extent, if any, when all appends before the call are done; the next append opens a new one. */
  async sealOpenExtent(): Promise<void> {
    await this.#idle();
    const extent = this.#extent;
    if (!extent || this.#stopError) return;
    await this.#change(async () => {
      const { manager, streamId, epoch } = this.#options;
      const length = extent.acknowledgedLength;
      await manager.sealExtent({ streamId, epoch, extentId: extent.extentId, length });
      this.#leave(extent, length);
    });
  }

  /** Waits for the appends before the call, then takes no more. */
  async close(): Promise<void> {
    await this.#idle();
    this.#stop(new StoreError('ServiceUnavailable', 'The stream was closed. Open it again.'));
    await this.#changing;
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#schedulePump();
    });
  }

  #schedulePump(): void {
    if (this.#isPumpScheduled) return;
    this.#isPumpScheduled = true;
    // All blocks that are appended in the same turn form one batch.
    queueMicrotask(() => {
      this.#isPumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (!this.#changing && !this.#stopError && this.#queue.length > 0) {
      if (!this.#extent) {
        this.#startChange(() => this.#openExtent());
        return;
      }
      if (this.#batches.length >= BATCHES_IN_FLIGHT_MAX) return;
      if (this.#bytesInFlight >= LIMITS.streamBytesInFlightMax) return;
      const blocks = this.#takeBatch(this.#extent);
      if (blocks.length > 0) {
        this.#send(this.#extent, blocks);
        continue;
      }
      // Full. The next extent may only get blocks when all of this one are acknowledged, or a retry would reorder them.
      if (this.#batches.length === 0) this.#startChange(() => this.#openExtent());
      return;
    }
    if (this.#queue.length === 0 && this.#batches.length === 0 && !this.#changing) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
  }

  /** As many queued blocks as fit the batch and the extent; none when the extent is full. */
  #takeBatch({ nextOffset }: OpenExtent): readonly PendingBlock[] {
    const { extentBytesMax } = this.#options;
    const bytesMax = Math.min(BATCH_BYTES_MAX, LIMITS.streamBytesInFlightMax - this.#bytesInFlight);
    let offset = nextOffset;
    let count = 0;
    while (count < this.#queue.length && count < BATCH_BLOCKS_MAX) {
      const end = offset + blockBytes(this.#queue[count]!.payloadLength);
      // Any block fits an empty extent and an empty batch.
      if (end > extentBytesMax && offset > EXTENT_HEADER_BYTES) break;
      if (end - nextOffset > bytesMax && count > 0) break;
      this.#queue[count]!.offset = offset;
      offset = end;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #send(extent: OpenExtent, blocks: readonly PendingBlock[]): void {
    const { epoch, durability, nodes } = this.#options;
    const { extentId, replicas, nextOffset: offset } = extent;
    // With `os` nothing is known to be durable, and recovery must not take what a power cut lost for damage.
    const durableLength = durability === 'sync' ? extent.acknowledgedLength : EXTENT_HEADER_BYTES;
    const parts = encodeBatch({ extentId, offset, durableLength }, blocks);
    const last = blocks.at(-1)!;
    const endOffset = last.offset + blockBytes(last.payloadLength);
    const bytes = endOffset - offset;
    const batch: Batch = { blocks, bytes, endOffset, waitingFor: new Set(replicas) };
    for (const block of blocks) block.extentId = extentId;
    extent.nextOffset = endOffset;
    this.#batches.push(batch);
    this.#bytesInFlight += bytes;
    this.#watch();

    for (const memberId of replicas) {
      const node = nodes.find(memberId);
      if (!node) {
        const error = new StoreError('ReplicaUnavailable', `Extent node ${memberId} cannot be reached.`);
        this.#onFailure(extent, [memberId], error);
        return;
      }
      node.append({ extentId, epoch, offset, parts, durability }).then(
        () => this.#onAnswer(extent, batch, memberId),
        (error: unknown) => this.#onFailure(extent, [memberId], error)
      );
    }
  }

  #onAnswer(extent: OpenExtent, batch: Batch, memberId: MemberId): void {
    if (extent !== this.#extent) return;
    this.#progressAtMs = this.#options.clock.monotonicMs();
    batch.waitingFor.delete(memberId);
    while (this.#batches.length > 0 && this.#batches[0]!.waitingFor.size === 0) {
      this.#acknowledge(extent, this.#batches.shift()!);
    }
    this.#pump();
  }

  #acknowledge(extent: OpenExtent, batch: Batch): void {
    this.#bytesInFlight -= batch.bytes;
    this.#failureCount = 0;
    const { extentId } = extent;
    extent.acknowledgedLength = batch.endOffset;
    this.#position = { extentId, offset: batch.endOffset };
    for (const { resolve, offset, payloadLength } of batch.blocks) {
      resolve({ extentId, offset, length: payloadLength });
    }
  }

  /** Keeps one timer running while batches are in flight: a slow disk may take long for all, but not for one answer. */
  #watch(): void {
    if (this.#batches.length === 1) this.#progressAtMs = this.#options.clock.monotonicMs();
    this.#watchdog ??= this.#startWatchdog(NodeDirectory.timeoutMs(this.#extent?.replicas.length ?? 1));
  }

  #startWatchdog(delayMs: number): Disposable {
    return this.#options.clock.setTimer(delayMs, () => {
      this.#watchdog = undefined;
      const extent = this.#extent;
      const oldest = this.#batches[0];
      if (!extent || !oldest) return;
      const timeoutMs = NodeDirectory.timeoutMs(extent.replicas.length);
      const remainingMs = this.#progressAtMs + timeoutMs - this.#options.clock.monotonicMs();
      if (remainingMs > 0) {
        this.#watchdog = this.#startWatchdog(remainingMs);
        return;
      }
      const name = `A replica of extent ${extent.extentId}`;
      const message = `${name} took longer than ${timeoutMs} ms to append. Check the node and its disk.`;
      this.#onFailure(extent, [...oldest.waitingFor], new StoreError('ReplicaUnavailable', message));
    });
  }

  /** Gives the extent up. Its replicas may still read the borrowed blocks: what they write past the seal is cut. */
  #onFailure(extent: OpenExtent, memberIds: readonly MemberId[], cause: unknown): void {
    if (extent !== this.#extent) return;
    this.#extent = undefined;
    const unacknowledged = this.#batches.flatMap((batch) => batch.blocks);
    this.#batches = [];
    this.#bytesInFlight = 0;
    this.#queue = [...unacknowledged, ...this.#queue];
    const { streamId, onEvent } = this.#options;
    onEvent({ type: 'extent-replaced', streamId, extentId: extent.extentId, memberIds, cause });
    this.#failureCount += 1;
    if (isStoreError(cause, 'StaleEpoch')) this.#stop(cause);
    else this.#startChange(() => this.#replaceExtent(extent, memberIds, cause));
  }

  async #replaceExtent(extent: OpenExtent, suspects: readonly MemberId[], cause: unknown): Promise<void> {
    const { manager, streamId, epoch } = this.#options;
    const { extentId } = extent;
    const { length } = await this.#persist(() => manager.sealExtent({ streamId, epoch, extentId }));
    this.#leave(extent, length);
    this.#noteStored(extentId, length);
    const attemptsMax = isStoreError(cause, 'NoSpace') ? FULL_ATTEMPTS_MAX : ATTEMPTS_MAX;
    if (this.#failureCount >= attemptsMax) throw cause;
    if (this.#failureCount > 1) await this.#backOff(this.#failureCount);
    await this.#allocate({ streamId, epoch, suspects });
  }

  #noteStored(extentId: ExtentId, sealedLength: number): void {
    for (const block of this.#queue) {
      const { offset, payloadLength: length } = block;
      const isStored = block.extentId === extentId && offset + blockBytes(length) <= sealedLength;
      if (isStored) block.storedAt ??= { extentId, offset, length };
    }
  }

  /** The first extent, or the one after a full one. */
  async #openExtent(): Promise<void> {
    const { streamId, epoch } = this.#options;
    const full = this.#extent;
    if (!full) return await this.#allocate({ streamId, epoch, suspects: [] });
    const previous = { extentId: full.extentId, length: full.acknowledgedLength };
    await this.#allocate({ streamId, epoch, suspects: [], previous });
  }

  async #allocate(message: AllocateExtentMessage): Promise<void> {
    const answer = await this.#persist(() => this.#options.manager.allocateExtent(message));
    if (this.#extent) this.#leave(this.#extent, this.#extent.acknowledgedLength);
    this.#extent = { ...answer, nextOffset: EXTENT_HEADER_BYTES, acknowledgedLength: EXTENT_HEADER_BYTES };
    this.#position = { extentId: answer.extentId, offset: EXTENT_HEADER_BYTES };
    this.#options.onOpened(answer.extentId);
  }

  #leave(extent: OpenExtent, length: number): void {
    if (this.#extent === extent) this.#extent = undefined;
    this.#options.onSealed(extent.extentId, length);
  }

  /** Repeats a call of the stream manager, which may be repeated, while that can help. */
  async #persist<Result>(call: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        if (isStoreError(error, 'StaleEpoch', 'NoSpace') || attempt === ATTEMPTS_MAX) throw error;
        if (this.#stopError) throw this.#stopError;
      }
      await this.#backOff(attempt);
    }
  }

  #backOff(attempt: number): Promise<void> {
    return this.#options.clock.sleep(Math.min(BACKOFF_MS_MIN * 2 ** attempt, BACKOFF_MS_MAX));
  }

  #startChange(run: () => Promise<void>): void {
    this.#change(run).catch((error: unknown) => {
      if (!isStoreError(error, 'NoSpace')) return this.#stop(error);
      for (const { storedAt, resolve, reject } of this.#queue.splice(0)) {
        // What is stored for good must not be reported as refused.
        if (storedAt) resolve(storedAt);
        else reject(error);
      }
      this.#failureCount = 0;
      this.#schedulePump();
    });
  }

  /** The only step that changes which extent is open. */
  #change(run: () => Promise<void>): Promise<void> {
    const changing = run().finally(() => {
      this.#changing = undefined;
      this.#schedulePump();
    });
    this.#changing = changing.catch(() => undefined);
    return changing;
  }

  #stop(cause: unknown): void {
    if (this.#stopError) return;
    const unknown = new StoreError(
      'ReplicaUnavailable',
      `Stream ${this.#options.streamId} stopped with appends in flight. Open it again and read what is there.`,
      { cause }
    );
    this.#stopError = isStoreError(cause, 'StaleEpoch', 'ServiceUnavailable') ? cause : unknown;
    this.#extent = undefined;
    for (const block of this.#queue.splice(0)) {
      block.reject(block.extentId === undefined ? this.#stopError : unknown);
    }
    this.#watchdog?.[Symbol.dispose]();
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }
}
