import { type ExtentId, isStoreError } from '../api/index.js';
import type { BlockLocation, OwnedStream } from '../stream/index.js';
import {
  type Checkpoint,
  checkpointRowBytes,
  encodeCheckpointBlock,
  encodeRoot,
  type PartitionRoot
} from './checkpoint-format.js';
import { sortCoveredExtents } from './checkpoint-policy.js';
import type { LiveBytes } from './live-bytes.js';
import type { PartitionIndex, Row } from './partition-index.js';

const BLOCK_BYTES = 1024 * 1024;
const BLOCKS_IN_FLIGHT_MAX = 2;
/** So many blocks may use all of the reserve of a full store; a larger checkpoint must leave some for deletions. */
const URGENT_BLOCKS = 4;

export interface PartitionStreams {
  readonly metadata: OwnedStream;
  readonly log: OwnedStream;
  readonly checkpoint: OwnedStream;
  /** Extents that were moved here because objects still use them; never appended to. */
  readonly data: OwnedStream;
}

export interface CheckpointWriterOptions {
  readonly streams: PartitionStreams;
  readonly index: PartitionIndex;
  readonly liveBytes: LiveBytes;
  readonly root: PartitionRoot;
  /** Of the root's block. */
  readonly rootNumber: number;
}

/**
 * Writes checkpoints and gives back what they make unnecessary. Nothing is given up before the root that does without
 * it is durable, and the index itself is synced first, so that whatever survives a power cut can go on from there.
 */
export class CheckpointWriter {
  readonly #options: CheckpointWriterOptions;
  #root: PartitionRoot;
  /** Of the last root tried: a number is never used twice, since a scan takes the second block for a repeat. */
  #rootNumber: number;
  /** Of the last checkpoint block tried. */
  #blockNumber: number;

  constructor(options: CheckpointWriterOptions) {
    this.#options = options;
    this.#root = options.root;
    this.#rootNumber = options.rootNumber;
    this.#blockNumber = options.root.checkpoint?.lastBlockNumber ?? 0;
  }

  get root(): PartitionRoot {
    return this.#root;
  }

  /** Makes a checkpoint of what is applied now. */
  async write(): Promise<void> {
    const { index } = this.#options;
    await index.synced();
    const { position, rows } = await index.snapshot();
    if (!position) return;
    const written = await this.#writeOrGiveBack(rows);
    const { sequence, extentId, offset } = position;
    await this.#publish({ ...written, position: { sequence, extentId, offset } });
    await this.release();
  }

  /** Writes the first root of a new partition. */
  async writeRoot(root: PartitionRoot): Promise<void> {
    this.#rootNumber += 1;
    const parts = [encodeRoot(root)];
    await this.#options.streams.metadata.append({ sequence: this.#rootNumber, parts, use: 'frees' });
    this.#root = root;
  }

  /** Gives back extents that nothing needs any more. */
  async release(): Promise<void> {
    const { streams, liveBytes } = this.#options;
    const { checkpoint } = this.#root;
    if (checkpoint) {
      const { free, live } = sortCoveredExtents(
        streams.log.extents(),
        checkpoint.position.extentId,
        liveBytes
      );
      if (live.length > 0) await streams.log.moveExtents(live, streams.data);
      await streams.log.releaseExtents(free);
      await releaseBefore(streams.checkpoint, checkpoint.first.extentId);
    }
    const unused = streams.data.extents().filter(({ extentId }) => liveBytes.isFree(extentId));
    await streams.data.releaseExtents(unused.map(({ extentId }) => extentId));
  }

  /** What there was no space for shall not take the space of what could make some. */
  async #writeOrGiveBack(rows: AsyncIterable<Row>): Promise<Omit<Checkpoint, 'position'>> {
    const { checkpoint: stream } = this.#options.streams;
    const earlier = new Set<ExtentId>(stream.extents().map(({ extentId }) => extentId));
    const locations: Promise<BlockLocation>[] = [];
    try {
      return await this.#writeRows(rows, locations);
    } catch (error) {
      await Promise.allSettled(locations);
      if (isStoreError(error, 'NoSpace')) {
        await stream.sealOpenExtent();
        const all = stream.extents().map(({ extentId }) => extentId);
        await stream.releaseExtents(all.filter((id) => !earlier.has(id)));
      }
      throw error;
    }
  }

  /** `locations` has what is in flight. */
  async #writeRows(
    rows: AsyncIterable<Row>,
    locations: Promise<BlockLocation>[]
  ): Promise<Omit<Checkpoint, 'position'>> {
    const { checkpoint: stream } = this.#options.streams;
    let first: BlockLocation | undefined;
    let rowCount = 0;
    let rowBytes = 0;
    let blockCount = 0;
    const append = async (block: readonly Row[]): Promise<void> => {
      blockCount += 1;
      this.#blockNumber += 1;
      const use = blockCount <= URGENT_BLOCKS ? 'frees' : 'changes';
      const parts = [encodeCheckpointBlock(block)];
      const appended = stream.append({ sequence: this.#blockNumber, parts, use });
      // When an earlier one fails nobody waits for this one any more.
      appended.catch(() => undefined);
      locations.push(appended);
      if (locations.length < BLOCKS_IN_FLIGHT_MAX) return;
      const location = await locations.shift();
      first ??= location;
    };
    let block: Row[] = [];
    let blockBytes = 0;
    for await (const row of rows) {
      rowCount += 1;
      const bytes = checkpointRowBytes(row);
      rowBytes += bytes;
      if (blockBytes + bytes > BLOCK_BYTES && block.length > 0) {
        await append(block);
        block = [];
        blockBytes = 0;
      }
      block.push(row);
      blockBytes += bytes;
    }
    await append(block);
    for (const location of await Promise.all(locations)) first ??= location;
    const { extentId, offset } = first!;
    return {
      first: { extentId, offset },
      blockCount,
      rowCount,
      rowBytes,
      lastBlockNumber: this.#blockNumber
    };
  }

  async #publish(checkpoint: Checkpoint): Promise<void> {
    const rootExtent = this.#options.streams.metadata;
    await this.writeRoot({ logId: this.#root.logId, checkpoint });
    const open = rootExtent.extents().at(-1);
    if (open) await releaseBefore(rootExtent, open.extentId);
  }
}

/** Releases the sealed extents of a stream that lie before one of them. */
async function releaseBefore(stream: OwnedStream, extentId: number): Promise<void> {
  const extents = stream.extents();
  const end = extents.findIndex((extent) => extent.extentId === extentId);
  const covered = extents.slice(0, Math.max(0, end)).filter(({ state }) => state === 'sealed');
  await stream.releaseExtents(covered.map((extent) => extent.extentId));
}
