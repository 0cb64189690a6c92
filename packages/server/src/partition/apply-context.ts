import type { ExtentId, ObjectHead, UsageResult } from '../api/index.js';
import type { BlockLocation } from '../stream/index.js';
import type { ChangeEvent } from './change-history.js';
import type { Description } from './description.js';
import type { EncodedPieces, Place } from './mutation.js';
import { encodeObjectRecord, headOf, type ObjectRecord } from './object-record.js';
import type { PartitionIndex } from './partition-index.js';
import { objectRow, pageRow, type RowKey, usageRow } from './row-key.js';
import { type OpenedObject, RowView } from './row-view.js';
import { isSlice, type Piece } from './slice.js';
import { decodePieces } from './slice-codec.js';
import { SliceMap } from './slice-map.js';
import { liveBytesDelta } from './slice-map-live-bytes.js';
import { holeBytesOf } from './slice-map-pieces.js';
import {
  dropSliceRows,
  type SliceLayout,
  type SlicePageRow,
  type SliceRecord,
  storeSliceMap
} from './slice-pages.js';
import { encodeUsage } from './small-records.js';

export interface ApplyContextOptions {
  readonly index: PartitionIndex;
  readonly sequence: number;
  readonly atMs: number;
  readonly location: BlockLocation;
  /** Of the block: bytes before those of objects. */
  readonly headBytes: number;
}

export interface NewVersion extends Description {
  readonly map: SliceMap;
  readonly etag: string;
  /** Default: the time of the mutation. */
  readonly modifiedAtMs?: number;
}

/** What one mutation reads and changes of the index, and what it tells watchers. */
export class ApplyContext extends RowView {
  readonly sequence: number;
  readonly atMs: number;
  readonly rows = new Map<RowKey, Uint8Array | undefined>();
  readonly events: ChangeEvent[] = [];
  readonly liveBytes = new Map<ExtentId, number>();
  /** The head that was placed last, and its row. */
  written: { readonly head: ObjectHead; readonly row: Uint8Array } | undefined;
  readonly #location: BlockLocation;
  readonly #headBytes: number;

  constructor(options: ApplyContextOptions) {
    super((key) => options.index.get(key));
    this.sequence = options.sequence;
    this.atMs = options.atMs;
    this.#location = options.location;
    this.#headBytes = options.headBytes;
  }

  override get(key: RowKey): Uint8Array | undefined {
    return this.rows.has(key) ? this.rows.get(key) : super.get(key);
  }

  put(key: RowKey, value: Uint8Array): void {
    this.rows.set(key, value);
  }

  delete(key: RowKey): void {
    this.rows.set(key, undefined);
  }

  /** The pieces of a mutation, those in its own block with the place of the block. */
  resolve(encoded: EncodedPieces): Piece[] {
    const { extentId, offset } = this.#location;
    return decodePieces(encoded).map((piece) =>
      isSlice(piece) && piece.extentId === 0
        ? { ...piece, extentId, blockOffset: offset, start: piece.start + this.#headBytes }
        : piece
    );
  }

  /**
   * Makes the next version of a key.
   *
   * @param base   What is there now, when the new map is made from its map.
   */
  write(place: Place, version: NewVersion, base?: OpenedObject): ObjectHead {
    const record = base?.record ?? this.find(place);
    const before = base ?? (record && this.open(record));
    const { map } = version;
    // Before the pages change, since the old map may load some of them only now.
    const addedBytes = this.countBytes(before?.map ?? SliceMap.empty, map);
    const stored = storeSliceMap({
      map,
      newLayoutId: this.sequence,
      before: before && { layout: before.record.layout, map: before.map }
    });
    this.changePages(stored.rows);
    return this.place(
      place,
      {
        versionId: versionIdOf(this.sequence),
        generation: (before?.record.generation ?? 0) + 1,
        etag: version.etag,
        size: map.size,
        modifiedAtMs: version.modifiedAtMs ?? this.atMs,
        contentType: version.contentType,
        userMetadata: version.userMetadata,
        tags: version.tags,
        attributes: version.attributes,
        crc32c: map.crc32c,
        layout: stored.layout,
        holeBytes: holeBytesAfter(before?.record, { addedBytes, map, layout: stored.layout })
      },
      before?.record
    );
  }

  /** Gives a version other places for the same bytes. */
  relocate({ bucket, key }: Place, before: OpenedObject, map: SliceMap): void {
    const { record } = before;
    this.countBytes(before.map, map);
    const stored = storeSliceMap({
      map,
      newLayoutId: this.sequence,
      before: { layout: record.layout, map: before.map }
    });
    this.changePages(stored.rows);
    this.put(objectRow(bucket, key), encodeObjectRecord({ ...record, layout: stored.layout }));
  }

  /** Sets a key's record as it is; what its layout points to is the caller's matter. */
  place({ bucket, key }: Place, record: ObjectRecord, before: ObjectRecord | undefined): ObjectHead {
    const row = encodeObjectRecord(record);
    this.put(objectRow(bucket, key), row);
    this.count(bucket, { objectCount: before ? 0 : 1, bytes: record.size - (before?.size ?? 0) });
    this.events.push({ type: 'put', bucket, key, row });
    const head = headOf(bucket, key, record);
    this.written = { head, row };
    return head;
  }

  /** Removes a key with its slices. */
  remove(place: Place, record: ObjectRecord): void {
    this.release(record);
    this.take(place, record);
  }

  /** Removes a key; its slices go on under another one. */
  take({ bucket, key }: Place, record: ObjectRecord): void {
    this.delete(objectRow(bucket, key));
    this.count(bucket, { objectCount: -1, bytes: -record.size });
    this.events.push({ type: 'delete', bucket, key });
  }

  /** Drops the pages of a record and the bytes it uses. */
  release(record: SliceRecord): void {
    const map = this.openMap(record);
    this.countBytes(map, SliceMap.empty);
    if (record.layout.type === 'paged')
      this.changePages(dropSliceRows(record.layout.layoutId, 0, map.pageCount));
  }

  changePages(rows: readonly SlicePageRow[]): void {
    for (const { layoutId, pageNumber, value } of rows) this.rows.set(pageRow(layoutId, pageNumber), value);
  }

  /** Returns by how many bytes the new map has more in slices. */
  countBytes(before: SliceMap, after: SliceMap): number {
    let addedBytes = 0;
    for (const [id, change] of liveBytesDelta(before, after)) {
      this.liveBytes.set(id, (this.liveBytes.get(id) ?? 0) + change);
      addedBytes += change;
    }
    return addedBytes;
  }

  /** Counts pieces that stand in no map. */
  countPieces(pieces: Iterable<Piece>, sign: 1 | -1): void {
    for (const piece of pieces)
      if (isSlice(piece))
        this.liveBytes.set(piece.extentId, (this.liveBytes.get(piece.extentId) ?? 0) + sign * piece.length);
  }

  count(bucket: string, change: UsageResult): void {
    const { objectCount, bytes } = this.usage(bucket);
    const usage = { objectCount: objectCount + change.objectCount, bytes: bytes + change.bytes };
    this.put(usageRow(bucket), encodeUsage(usage));
  }
}

/** Without looking at pages that did not change. */
function holeBytesAfter(
  before: ObjectRecord | undefined,
  after: { readonly addedBytes: number; readonly map: SliceMap; readonly layout: SliceLayout }
): number | undefined {
  if (after.layout.type === 'inline') return holeBytesOf(after.layout.pieces);
  if (before && before.holeBytes === undefined) return undefined;
  const sliceBytes = before ? before.size - before.holeBytes! : 0;
  return after.map.size - sliceBytes - after.addedBytes;
}

export function versionIdOf(sequence: number): string {
  return sequence.toString(16).padStart(16, '0');
}
