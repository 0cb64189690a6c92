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
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { NodeDirectory } from './node-directory.js';
import { OpenExtent, type PendingBlock } from './open-extent.js';
import { firstToEnd } from './space-use.js';
import type { OnStreamEvent } from './stream-event.js';
import type { AppendBlock, BlockLocation, StreamPosition } from './stream-layer.js';
import type { AllocateExtentMessage, SealExtentAnswer, StreamManagerApi } from './stream-manager-api.js';

/** One is being synced, one written, the next ones wait at the nodes: the disks never wait for this process. */
const BATCHES_IN_FLIGHT_MAX = 4;
/** Two blocks of 4 MiB with their headers, and whatever smaller ones fit. */
const BATCH_BYTES_MAX = 2 * LIMITS.blockBytesMax + LIMITS.checksumChunkBytes;
const BATCH_BLOCKS_MAX = 1024;
/** Failures in a row without a single acknowledged block in between. */
const ATTEMPTS_MAX = 6;
/** The same when each time a disk was full. */
const FULL_ATTEMPTS_MAX = 2;
/** Calls of the stream manager: some seconds, in which another one may take over. */
const CALL_ATTEMPTS_MAX = 10;
/** No further attempt after it: a call that waits for a disk that hangs is long enough by itself. */
const CALL_ATTEMPTS_MS_MAX = 20_000;
const BACKOFF_MS_MIN = 10;
const BACKOFF_MS_MAX = 1000;

const CLOSED = new StoreError('ServiceUnavailable', 'The stream was closed. Open it again.');

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
  /** Not sent yet, or to be sent again. */
  #queue: PendingBlock[] = [];
  #extent: OpenExtent | undefined;
  #position: StreamPosition | undefined;
  /** Sealing or allocating: nothing is sent meanwhile. */
  #changing: Promise<void> | undefined;
  #isPumpScheduled = false;
  #stopError: StoreError | undefined;
  #isClosing = false;
  #failureCount = 0;
  #idleWaiters: (() => void)[] = [];

  constructor(options: StreamWriterOptions) {
    this.#options = options;
  }

  append({ sequence, parts, use = 'bytes' }: AppendBlock): Promise<BlockLocation> {
    if (this.#stopError) return Promise.reject(this.#stopError);
    if (this.#isClosing) return Promise.reject(CLOSED);
    let payloadLength = 0;
    for (const part of parts) payloadLength += part.byteLength;
    assert(payloadLength >= 1 && payloadLength <= BLOCK_PAYLOAD_BYTES_MAX, 'a block has a legal size');
    return new Promise((resolve, reject) => {
      const unsent = { extentId: undefined, offset: 0, stored: undefined };
      this.#queue.push({ sequence, parts, payloadLength, use, resolve, reject, ...unsent });
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
    // An append may come between the moment it is idle and the one this call goes on.
    while (this.#isBusy()) await this.#idle();
    const extent = this.#extent;
    if (!extent || this.#stopError) return;
    await this.#change(async () => {
      try {
        await this.#sealFull(extent);
      } catch (error) {
        // It may be sealed although the answer got lost: nothing may be appended to it any more.
        this.#stop(error);
        throw error;
      }
    });
  }

  /** Seals an extent of which every block is acknowledged. */
  async #sealFull(extent: OpenExtent): Promise<void> {
    const { manager, streamId, epoch } = this.#options;
    const { extentId, acknowledgedLength } = extent;
    const message = { streamId, epoch, extentId, length: acknowledgedLength };
    const { length } = await this.#persist(() => manager.sealExtent(message));
    this.#leave(extent, length);
  }

  /** Waits for the appends before the call, then takes no more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#isBusy()) await this.#idle();
    this.#stop(CLOSED);
    await this.#changing;
  }

  #isBusy(): boolean {
    return this.#queue.length > 0 || this.#changing !== undefined || (this.#extent?.batchCount ?? 0) > 0;
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
      const { batchCount, bytesInFlight, isFenced } = this.#extent;
      if (isFenced || batchCount >= BATCHES_IN_FLIGHT_MAX) return;
      if (bytesInFlight >= LIMITS.streamBytesInFlightMax) return;
      const blocks = this.#takeBatch(this.#extent);
      if (blocks.length > 0) {
        this.#extent.send(blocks);
        continue;
      }
      // Full. The next extent may only get blocks when all of this one are acknowledged, or a retry would reorder them.
      if (batchCount === 0) this.#startChange(() => this.#openExtent());
      return;
    }
    if (!this.#isBusy()) this.#wakeIdle();
  }

  #wakeIdle(): void {
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** As many queued blocks as fit the batch and the extent; none when the extent is full. */
  #takeBatch({ nextOffset, bytesInFlight }: OpenExtent): readonly PendingBlock[] {
    const { extentBytesMax } = this.#options;
    const bytesMax = Math.min(BATCH_BYTES_MAX, LIMITS.streamBytesInFlightMax - bytesInFlight);
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

  #onAcknowledged(extent: OpenExtent, blocks: readonly PendingBlock[]): void {
    this.#failureCount = 0;
    const { extentId } = extent;
    this.#position = { extentId, offset: extent.acknowledgedLength };
    for (const { resolve, offset, payloadLength } of blocks) {
      resolve({ extentId, offset, length: payloadLength });
    }
    this.#schedulePump();
  }

  #onFailed(extent: OpenExtent, cause: unknown, memberIds: readonly MemberId[]): void {
    this.#takeBack(extent);
    if (isStoreError(cause, 'StaleEpoch')) {
      this.#stop(cause);
      return;
    }
    const { streamId, onEvent } = this.#options;
    onEvent({ type: 'extent-replaced', streamId, extentId: extent.extentId, memberIds, cause });
    this.#failureCount += 1;
    this.#startChange(() => this.#replaceExtent(extent, memberIds, cause));
  }

  /** What was not acknowledged comes first again. */
  #takeBack(extent: OpenExtent): void {
    this.#queue = [...extent.abandon(), ...this.#queue];
    this.#extent = undefined;
  }

  async #replaceExtent(extent: OpenExtent, suspects: readonly MemberId[], cause: unknown): Promise<void> {
    const { manager, streamId, epoch } = this.#options;
    const { extentId } = extent;
    const answer = await this.#persist(() => manager.sealExtent({ streamId, epoch, extentId }));
    this.#leave(extent, answer.length);
    this.#noteStored(extentId, answer);
    const attemptsMax = isStoreError(cause, 'NoSpace') ? FULL_ATTEMPTS_MAX : ATTEMPTS_MAX;
    if (this.#failureCount >= attemptsMax) throw cause;
    if (this.#failureCount > 1) await this.#backOff(this.#failureCount);
    await this.#allocate({ streamId, epoch, suspects });
  }

  #noteStored(extentId: ExtentId, sealed: SealExtentAnswer): void {
    for (const block of this.#queue) {
      const { offset, payloadLength: length, stored } = block;
      const isStored = block.extentId === extentId && offset + blockBytes(length) <= sealed.length;
      if (!isStored || stored?.isOnAllReplicas) continue;
      block.stored = { location: { extentId, offset, length }, isOnAllReplicas: sealed.isOnAllReplicas };
    }
  }

  /** The first extent, or the one after a full one. */
  async #openExtent(): Promise<void> {
    const { streamId, epoch } = this.#options;
    const full = this.#extent;
    if (!full) return await this.#allocate({ streamId, epoch, suspects: [] });
    const previous = { extentId: full.extentId, length: full.acknowledgedLength };
    try {
      await this.#allocate({ streamId, epoch, suspects: [], previous });
    } catch (error) {
      // An earlier try may have sealed it although the answer got lost: nothing may be appended to it any more.
      if (isStoreError(error, 'NoSpace')) await this.#sealFull(full);
      throw error;
    }
    this.#options.onSealed(previous.extentId, previous.length);
  }

  async #allocate(message: AllocateExtentMessage): Promise<void> {
    const { manager, epoch, durability, nodes, clock, onOpened } = this.#options;
    const use = firstToEnd(this.#queue.map((block) => block.use));
    const { extentId, replicas } = await this.#persist(() => manager.allocateExtent({ ...message, use }));
    const extent: OpenExtent = new OpenExtent({
      extentId,
      replicas,
      epoch,
      durability,
      nodes,
      clock,
      onAcknowledged: (blocks) => this.#onAcknowledged(extent, blocks),
      onFailed: (cause, memberIds) => this.#onFailed(extent, cause, memberIds)
    });
    this.#extent = extent;
    this.#position = { extentId, offset: EXTENT_HEADER_BYTES };
    onOpened(extentId);
  }

  #leave(extent: OpenExtent, length: number): void {
    if (this.#extent === extent) this.#extent = undefined;
    this.#options.onSealed(extent.extentId, length);
  }

  /** Repeats a call of the stream manager, which may be repeated, while that can help. */
  async #persist<Result>(call: () => Promise<Result>): Promise<Result> {
    const { clock } = this.#options;
    const endAtMs = clock.monotonicMs() + CALL_ATTEMPTS_MS_MAX;
    for (let attempt = 1; ; attempt++) {
      try {
        return await call();
      } catch (error) {
        const isLast = attempt === CALL_ATTEMPTS_MAX || clock.monotonicMs() >= endAtMs;
        if (isLast || isStoreError(error, 'StaleEpoch', 'NoSpace')) throw error;
        if (this.#stopError) throw this.#stopError;
      }
      await this.#backOff(attempt);
    }
  }

  #backOff(attempt: number): Promise<void> {
    return this.#options.clock.sleep(Math.min(BACKOFF_MS_MIN * 2 ** attempt, BACKOFF_MS_MAX));
  }

  #startChange(run: () => Promise<void>): void {
    void this.#change(async () => {
      try {
        await run();
      } catch (error) {
        if (isStoreError(error, 'NoSpace')) this.#refuse(error);
        else this.#stop(error);
      }
    });
  }

  /** Refuses what must end first; for the rest, which may use more of the reserve, it is tried again. */
  #refuse(error: StoreError): void {
    this.#failureCount = 0;
    const use = firstToEnd(this.#queue.map((block) => block.use));
    const refused = this.#queue.filter((block) => block.use === use);
    // What is stored for good must not be reported as refused, nor as durable while a replica may lack it.
    if (refused.some(({ stored }) => stored && !stored.isOnAllReplicas)) {
      this.#stop(error);
      return;
    }
    this.#queue = this.#queue.filter((block) => block.use !== use);
    for (const { stored, resolve, reject } of refused) {
      if (stored) resolve(stored.location);
      else reject(error);
    }
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
    const name = `Stream ${this.#options.streamId}`;
    const advice = 'Open it again and read what is there.';
    const unknown = new StoreError(
      'ReplicaUnavailable',
      `${name} stopped with appends in flight. ${advice}`,
      {
        cause
      }
    );
    this.#stopError = cause === CLOSED ? CLOSED : isStoreError(cause, 'StaleEpoch') ? cause : unknown;
    if (this.#extent) this.#takeBack(this.#extent);
    for (const { reject, extentId } of this.#queue.splice(0)) {
      reject(extentId === undefined ? this.#stopError : unknown);
    }
    this.#wakeIdle();
  }
}
