import { type ExtentId, extentId, StoreError, type StreamId } from '../api/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { ScannedHead } from './extent-node-api.js';
import { RepeatFilter } from './repeat-filter.js';
import type {
  AppendBlock,
  BlockLocation,
  OwnedStream,
  ScannedBlock,
  StreamExtent,
  StreamPosition
} from './stream-layer.js';
import type { StreamManagerApi } from './stream-manager-api.js';
import type { StreamReader } from './stream-reader.js';
import { StreamWriter, type StreamWriterOptions } from './stream-writer.js';

/** Before the first extent of any stream. */
const BEGINNING: StreamPosition = { extentId: extentId(0), offset: 0 };

export interface OwnedStreamOptions extends Omit<StreamWriterOptions, 'onOpened' | 'onSealed'> {
  readonly reader: StreamReader;
  /** All sealed. */
  readonly extents: readonly StreamExtent[];
  readonly onClosed: () => void;
}

/** A stream in the hands of its owner: its writer, its list of extents and the scan of what was there at the start. */
export class StreamOwner implements OwnedStream {
  readonly streamId: StreamId;
  readonly epoch: number;
  readonly #manager: StreamManagerApi;
  readonly #reader: StreamReader;
  readonly #writer: StreamWriter;
  readonly #onClosed: () => void;
  /** Those of the start, in which the scan walks. */
  readonly #firstExtents: readonly StreamExtent[];
  #extents: readonly StreamExtent[];

  constructor(options: OwnedStreamOptions) {
    this.streamId = options.streamId;
    this.epoch = options.epoch;
    this.#manager = options.manager;
    this.#reader = options.reader;
    this.#onClosed = options.onClosed;
    this.#firstExtents = options.extents;
    this.#extents = options.extents;
    this.#writer = new StreamWriter({
      ...options,
      onOpened: (id) => {
        this.#extents = [...this.#extents, { extentId: id, state: 'open', length: 0 }];
      },
      onSealed: (id, length) => this.#noteSealed(id, length)
    });
  }

  #noteSealed(id: ExtentId, length: number): void {
    this.#extents = this.#extents.map((extent) =>
      extent.extentId === id ? { extentId: id, state: 'sealed', length } : extent
    );
  }

  extents(): readonly StreamExtent[] {
    return this.#extents.map((extent) => {
      const length = this.#writer.findOpenLength(extent.extentId);
      return length === undefined ? extent : { ...extent, length };
    });
  }

  append(block: AppendBlock): Promise<BlockLocation> {
    return this.#writer.append(block);
  }

  async *scan(from: StreamPosition = BEGINNING): AsyncIterable<ScannedBlock> {
    const filter = new RepeatFilter();
    for (const extent of this.#extentsFrom(from)) {
      filter.startExtent();
      const start = extent.extentId === from.extentId ? from.offset : EXTENT_HEADER_BYTES;
      for await (const heads of this.#reader.scan({ ...extent, start, limit: extent.length })) {
        for (const head of heads) {
          if (!filter.isRepeat(head.sequence)) yield this.#scannedBlock(extent.extentId, head);
        }
      }
    }
  }

  #extentsFrom(from: StreamPosition): readonly StreamExtent[] {
    if (from.extentId === BEGINNING.extentId) return this.#firstExtents;
    const index = this.#firstExtents.findIndex((extent) => extent.extentId === from.extentId);
    if (index >= 0) return this.#firstExtents.slice(index);
    throw new StoreError(
      'ExtentNotFound',
      `Stream ${this.streamId} has no extent ${from.extentId} to scan from. Start where its list starts.`
    );
  }

  #scannedBlock(id: ExtentId, { offset, payloadLength, sequence, head }: ScannedHead): ScannedBlock {
    return {
      location: { extentId: id, offset, length: payloadLength },
      sequence,
      head,
      read: async (start, length) => {
        const end = Math.min(start + length, payloadLength);
        if (end <= head.byteLength) return head.slice(start, Math.max(start, end));
        return await this.#reader.readBlock({ extentId: id, blockOffset: offset, start, length });
      }
    };
  }

  position(): StreamPosition {
    const last = this.#extents.at(-1);
    const end = last && { extentId: last.extentId, offset: last.length };
    return this.#writer.position ?? end ?? BEGINNING;
  }

  async releaseExtents(extentIds: readonly ExtentId[]): Promise<void> {
    if (extentIds.length === 0) return;
    const { streamId, epoch } = this;
    await this.#manager.releaseExtents({ streamId, epoch, extentIds });
    this.#remove(extentIds);
  }

  async moveExtents(extentIds: readonly ExtentId[], to: OwnedStream): Promise<void> {
    if (!(to instanceof StreamOwner)) throw new TypeError('extents move between streams of one layer');
    if (extentIds.length === 0) return;
    // What follows an extent in the list comes after it in the stream, so nothing before the moved ones may be open.
    await to.#writer.sealOpenExtent();
    const from = { streamId: this.streamId, epoch: this.epoch };
    const target = { streamId: to.streamId, epoch: to.epoch };
    await this.#manager.moveExtents({ from, to: target, extentIds });
    const moved = this.#extents.filter((extent) => extentIds.includes(extent.extentId));
    this.#remove(extentIds);
    to.#extents = [...to.#extents, ...moved];
  }

  sealOpenExtent(): Promise<void> {
    return this.#writer.sealOpenExtent();
  }

  #remove(extentIds: readonly ExtentId[]): void {
    const removed = new Set(extentIds);
    this.#extents = this.#extents.filter((extent) => !removed.has(extent.extentId));
  }

  async close(): Promise<void> {
    await this.#writer.close();
    this.#onClosed();
  }
}
