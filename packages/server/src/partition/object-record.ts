import { type ObjectHead, type PosixAttributes, pack, StoreError, unpack } from '../api/index.js';
import type { Description } from './description.js';
import { decodePieces, encodePieces } from './slice-codec.js';
import { holeBytesOf } from './slice-map-pieces.js';
import type { SliceLayout } from './slice-pages.js';

/*
 * A row of the object table: MessagePack [version, versionId, generation, etag, size, modifiedAtMs, contentType,
 * userMetadata, tags, attributes, crc32c or nil, encoded pieces or the id of a paged layout], and behind such an id the
 * bytes in holes, where they were counted.
 */

const VERSION = 1;
const FIELD_COUNT = 12;

export interface ObjectRecord extends Description {
  readonly versionId: string;
  readonly generation: number;
  readonly etag: string;
  readonly size: number;
  readonly modifiedAtMs: number;
  readonly crc32c: number | undefined;
  readonly layout: SliceLayout;
  /** Bytes in holes; unknown for many slices that an earlier release wrote. */
  readonly holeBytes: number | undefined;
}

export function encodeObjectRecord(record: ObjectRecord): Uint8Array {
  const { layout } = record;
  return pack([
    VERSION,
    record.versionId,
    record.generation,
    record.etag,
    record.size,
    record.modifiedAtMs,
    record.contentType,
    record.userMetadata,
    record.tags,
    record.attributes,
    record.crc32c ?? null,
    ...(layout.type === 'inline' ? [encodePieces(layout.pieces)] : pagedFields(layout, record.holeBytes))
  ]);
}

/** @throws StoreError `ChecksumMismatch` for anything that is not such a row. */
export function decodeObjectRecord(bytes: Uint8Array): ObjectRecord {
  const fields = unpack(bytes) as unknown[];
  if (!isRow(fields))
    throw new StoreError('ChecksumMismatch', 'A row of the object table cannot be read by this release.');
  const layout = layoutOf(fields[11]);
  return {
    versionId: fields[1] as string,
    generation: fields[2] as number,
    etag: fields[3] as string,
    size: fields[4] as number,
    modifiedAtMs: fields[5] as number,
    contentType: fields[6] as string,
    userMetadata: fields[7] as Record<string, string>,
    tags: fields[8] as Record<string, string>,
    attributes: fields[9] as PosixAttributes,
    crc32c: (fields[10] as number | null) ?? undefined,
    layout,
    holeBytes:
      layout.type === 'inline' ? holeBytesOf(layout.pieces) : (fields[FIELD_COUNT] as number | undefined)
  };
}

export function headOf(bucket: string, key: string, record: ObjectRecord): ObjectHead {
  const { crc32c, holeBytes } = record;
  return {
    bucket,
    key,
    versionId: record.versionId,
    generation: record.generation,
    etag: record.etag,
    size: record.size,
    modifiedAtMs: record.modifiedAtMs,
    contentType: record.contentType,
    userMetadata: record.userMetadata,
    tags: record.tags,
    attributes: record.attributes,
    ...(crc32c !== undefined && { crc32c }),
    ...(holeBytes && { holeBytes })
  };
}

function pagedFields({ layoutId }: { readonly layoutId: number }, holeBytes: number | undefined): number[] {
  return holeBytes === undefined ? [layoutId] : [layoutId, holeBytes];
}

function isRow(fields: unknown): boolean {
  if (!Array.isArray(fields) || fields[0] !== VERSION) return false;
  const isPaged = typeof fields[FIELD_COUNT - 1] === 'number';
  return fields.length === FIELD_COUNT || (isPaged && fields.length === FIELD_COUNT + 1);
}

function layoutOf(field: unknown): SliceLayout {
  return field instanceof Uint8Array
    ? { type: 'inline', pieces: decodePieces(field) }
    : { type: 'paged', layoutId: field as number };
}
