import { crc32c, type ExtentId, LIMITS, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { Pacer, type StreamLayer } from '../stream/index.js';
import { decodeObjectRecord } from './object-record.js';
import type { Row } from './partition-index.js';
import type { RangePartition } from './range-partition.js';
import { lookUpAndRead, readPieces } from './read-pieces.js';
import { bucketRow, everyObjectRow, objectRow, placeOfObjectRow } from './row-key.js';
import { isSlice, type Piece, type Slice } from './slice.js';
import { encodePieces } from './slice-codec.js';

export interface CompactorOptions {
  readonly partition: RangePartition;
  readonly layer: StreamLayer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** What is read and written again in a second, so that callers notice little of it. */
  readonly bytesPerSecond: number;
}

export interface CompactionOutcome {
  readonly objectCount: number;
  readonly bytes: number;
}

const PAGE_ROWS = 500;
/** Pages of one object that are looked at in one turn. */
const PAGES_PER_TURN = 64;
/** Beside the mutation in one block. */
const RUN_BYTES_MAX = LIMITS.blockBytesMax;
const RUN_COUNT_MAX = 1000;

/** Bytes of an object that lie in extents which are being emptied. */
interface Run {
  readonly offset: number;
  readonly slices: readonly Slice[];
  readonly length: number;
}

/**
 * Empties extents: bytes of objects that lie in them are appended to the log again and the objects point there. An object
 * that changes in between is left to its new version, or to the next pass. Bytes of pending uploads stay where they are.
 */
export class Compactor {
  readonly #options: CompactorOptions;
  readonly #pacer: Pacer;
  #objectCount = 0;
  #bytes = 0;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#pacer = new Pacer(options);
  }

  /** One pass over all objects. @throws StoreError what keeps the bytes from being read or written. */
  async empty(extentIds: readonly ExtentId[]): Promise<CompactionOutcome> {
    const { partition, signal } = this.#options;
    const victims = new Set(extentIds);
    for await (const rows of partition.index.pages(everyObjectRow(), PAGE_ROWS)) {
      for (const row of rows) {
        signal.throwIfAborted();
        await this.#relocate(row, victims);
      }
      if (extentIds.every((id) => partition.liveBytes.of(id) === 0)) break;
    }
    return { objectCount: this.#objectCount, bytes: this.#bytes };
  }

  /** Moves all of one object, some megabytes at a time. */
  async #relocate({ key: row }: Row, victims: ReadonlySet<ExtentId>): Promise<void> {
    const { partition } = this.#options;
    const place = placeOfObjectRow(row);
    let isCounted = false;
    for (;;) {
      const before = partition.index.get(row);
      if (!before) return;
      const runs = await this.#findRuns(before, victims);
      if (runs.length === 0) return;
      const body = await this.#read(runs);
      if (!(await this.#point(place, { before, runs, body }))) return;
      if (!isCounted) this.#objectCount += 1;
      isCounted = true;
      this.#bytes += body.byteLength;
      await this.#pacer.spend(body.byteLength);
    }
  }

  async #findRuns(row: Uint8Array, victims: ReadonlySet<ExtentId>): Promise<readonly Run[]> {
    const { partition, clock, signal } = this.#options;
    const record = decodeObjectRecord(row);
    const map = partition.view.openMap(record);
    const found = new RunCollector(victims);
    for (let pageNumber = 0; pageNumber < map.pageCount && !found.isFull; pageNumber++) {
      for (const piece of map.page(pageNumber).pieces) found.add(piece);
      if (pageNumber % PAGES_PER_TURN === PAGES_PER_TURN - 1) await clock.sleep(0, signal);
    }
    return found.runs;
  }

  async #read(runs: readonly Run[]): Promise<Uint8Array> {
    const { layer, signal } = this.#options;
    const slices = runs.flatMap((run) => run.slices);
    const body = await lookUpAndRead(() => readPieces(layer, slices, { signal }));
    let at = 0;
    for (const { length, crc32c: expected, extentId } of slices) {
      const bytes = body.subarray(at, at + length);
      at += length;
      // What is wrong must not get a right checksum.
      if (expected !== undefined && crc32c(bytes) !== expected)
        throw new StoreError(
          'ChecksumMismatch',
          `Bytes of extent ${extentId} are not those that were stored.`
        );
    }
    return body;
  }

  /** @returns False when the object is another one by now. */
  async #point(
    { bucket, key }: { readonly bucket: string; readonly key: string },
    { before, runs, body }: { before: Uint8Array; runs: readonly Run[]; body: Uint8Array }
  ): Promise<boolean> {
    const { partition, signal } = this.#options;
    const row = objectRow(bucket, key);
    return await partition.mutate<boolean, undefined>({
      signal,
      locks: { exclusive: [row], shared: [bucketRow(bucket)] },
      body,
      isReclaiming: true,
      decide({ view, body: pieces }) {
        const current = view.get(row);
        if (!current || Buffer.compare(current, before) !== 0) return { answer: false };
        let at = 0;
        const moved = runs.map(({ offset, length }) => {
          at += length;
          return { offset, pieces: encodePieces(pieces.cut(at - length, at)) };
        });
        return { mutation: { type: 'relocate', bucket, key, runs: moved } };
      }
    });
  }
}

/** Finds what lies in certain extents, in order, as much as one mutation can carry. */
class RunCollector {
  readonly #victims: ReadonlySet<ExtentId>;
  readonly #runs: { readonly offset: number; readonly slices: Slice[]; length: number }[] = [];
  #offset = 0;
  #bytes = 0;
  isFull = false;

  constructor(victims: ReadonlySet<ExtentId>) {
    this.#victims = victims;
  }

  get runs(): readonly Run[] {
    return this.#runs;
  }

  add(piece: Piece): void {
    const offset = this.#offset;
    this.#offset += piece.length;
    if (this.isFull || !isSlice(piece) || !this.#victims.has(piece.extentId)) return;
    const isTooMuch = this.#bytes > 0 && this.#bytes + piece.length > RUN_BYTES_MAX;
    const last = this.#runs.at(-1);
    const continues = last !== undefined && last.offset + last.length === offset;
    if (isTooMuch || (!continues && this.#runs.length === RUN_COUNT_MAX)) {
      this.isFull = true;
      return;
    }
    this.#bytes += piece.length;
    if (continues) {
      last.slices.push(piece);
      last.length += piece.length;
    } else this.#runs.push({ offset, slices: [piece], length: piece.length });
  }
}
