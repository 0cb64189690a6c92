import { type BucketSettings, pack, StoreError, type UsageResult, unpack } from '../api/index.js';
import type { GivenDescription } from './description.js';
import { decodeObjectRecord, encodeObjectRecord, type ObjectRecord } from './object-record.js';
import type { Piece } from './slice.js';
import { decodePieces, encodePieces } from './slice-codec.js';

/* The rows of buckets, uploads, their operations and parts: MessagePack arrays that start with a version. */

const VERSION = 1;

export interface BucketRecord {
  readonly createdAtMs: number;
  readonly settings: BucketSettings;
}

export const encodeBucketRecord = ({ createdAtMs, settings }: BucketRecord): Uint8Array =>
  pack([VERSION, createdAtMs, settings]);

export function decodeBucketRecord(bytes: Uint8Array): BucketRecord {
  const [, createdAtMs, settings] = fieldsOf(bytes, 'bucket');
  return { createdAtMs: createdAtMs as number, settings: settings as BucketSettings };
}

export const encodeUsage = ({ objectCount, bytes }: UsageResult): Uint8Array =>
  pack([VERSION, objectCount, bytes]);

export function decodeUsage(row: Uint8Array | undefined): UsageResult {
  if (!row) return { objectCount: 0, bytes: 0 };
  const [, objectCount, bytes] = fieldsOf(row, 'bucket');
  return { objectCount: objectCount as number, bytes: bytes as number };
}

export interface UploadRecord {
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  /** What `create` said; `complete` lays its own over it. */
  readonly given: GivenDescription;
  readonly base?: UploadBase | undefined;
}

/** What an upload made from an object lies on. */
export type UploadBase =
  /** Whatever the key holds at the end; `etag`: as it was at the start. */
  | { readonly type: 'same-key'; readonly etag: string }
  /** A copy of another object, with a layout of its own. */
  | { readonly type: 'copy'; readonly record: ObjectRecord };

export function encodeUploadRecord({ createdAtMs, expiresAtMs, given, base }: UploadRecord): Uint8Array {
  const packedBase = base && (base.type === 'same-key' ? base.etag : encodeObjectRecord(base.record));
  return pack([VERSION, createdAtMs, expiresAtMs, given, packedBase ?? null]);
}

export function decodeUploadRecord(bytes: Uint8Array): UploadRecord {
  const [, createdAtMs, expiresAtMs, given, base] = fieldsOf(bytes, 'upload');
  return {
    createdAtMs: createdAtMs as number,
    expiresAtMs: expiresAtMs as number,
    given: given as GivenDescription,
    ...(base instanceof Uint8Array && { base: { type: 'copy', record: decodeObjectRecord(base) } }),
    ...(typeof base === 'string' && { base: { type: 'same-key', etag: base } })
  };
}

/** One change of an upload's bytes, with the pieces where the store has them. */
export type UploadOperation =
  | { readonly type: 'write'; readonly offset: number; readonly pieces: readonly Piece[] }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

export function encodeUploadOperation(operation: UploadOperation): Uint8Array {
  if (operation.type === 'write')
    return pack([VERSION, 'write', operation.offset, encodePieces(operation.pieces)]);
  if (operation.type === 'truncate') return pack([VERSION, 'truncate', operation.size]);
  return pack([VERSION, 'punch', operation.offset, operation.length]);
}

export function decodeUploadOperation(bytes: Uint8Array): UploadOperation {
  const [, type, first, second] = fieldsOf(bytes, 'upload');
  if (type === 'write') return { type, offset: first as number, pieces: decodePieces(second as Uint8Array) };
  if (type === 'truncate') return { type, size: first as number };
  if (type === 'punch') return { type, offset: first as number, length: second as number };
  throw unreadable('upload');
}

export interface PartRecord {
  readonly size: number;
  readonly etag: string;
  readonly modifiedAtMs: number;
  readonly crc32c: number;
  readonly pieces: readonly Piece[];
}

export const encodePartRecord = (record: PartRecord): Uint8Array =>
  pack([VERSION, record.size, record.etag, record.modifiedAtMs, record.crc32c, encodePieces(record.pieces)]);

export function decodePartRecord(bytes: Uint8Array): PartRecord {
  const [, size, etag, modifiedAtMs, crc32c, pieces] = fieldsOf(bytes, 'upload');
  return {
    size: size as number,
    etag: etag as string,
    modifiedAtMs: modifiedAtMs as number,
    crc32c: crc32c as number,
    pieces: decodePieces(pieces as Uint8Array)
  };
}

export const encodeCount = (count: number): Uint8Array => pack([VERSION, count]);
export const decodeCount = (bytes: Uint8Array): number => fieldsOf(bytes, 'live bytes')[1] as number;

function fieldsOf(bytes: Uint8Array, table: string): readonly unknown[] {
  const fields = unpack(bytes);
  if (!Array.isArray(fields) || fields[0] !== VERSION) throw unreadable(table);
  return fields;
}

function unreadable(table: string): StoreError {
  return new StoreError('ChecksumMismatch', `A row of the ${table} table cannot be read by this release.`);
}
