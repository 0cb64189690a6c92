import assert from 'node:assert';
import { combineCrc32c, type ObjectHead, type PartHead, type UploadHead } from '../api/index.js';
import type { ApplyContext } from './apply-context.js';
import { existing } from './apply-object-mutation.js';
import { describe, NO_DESCRIPTION } from './description.js';
import { editSliceMap } from './edit-slice-map.js';
import type { MutationOf } from './mutation.js';
import { operationRow, partRow, uploadRow } from './row-key.js';
import type { OpenedObject } from './row-view.js';
import type { Piece } from './slice.js';
import { SliceMap } from './slice-map.js';
import { crcOfPieces } from './slice-map-crc.js';
import { coalescePieces, lengthOfPieces } from './slice-map-pieces.js';
import { storeSliceMap } from './slice-pages.js';
import {
  decodePartRecord,
  decodeUploadRecord,
  encodePartRecord,
  encodeUploadOperation,
  encodeUploadRecord,
  type PartRecord,
  type UploadBase,
  type UploadOperation,
  type UploadRecord
} from './small-records.js';
import type { UploadContents } from './upload-contents.js';

interface UploadPlace {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
}

export function applyCreateUpload(context: ApplyContext, body: MutationOf<'createUpload'>): UploadHead {
  const { bucket, key, uploadId, expiresAtMs, given, from } = body;
  const base = from === undefined ? undefined : baseOf(context, body, from);
  const createdAtMs = context.atMs;
  const record = { createdAtMs, expiresAtMs, given, ...(base && { base }) };
  context.put(uploadRow(bucket, key, uploadId), encodeUploadRecord(record));
  return { bucket, key, uploadId, createdAtMs, expiresAtMs };
}

/** Another object may change or go while the upload goes on, so its slices are copied. */
function baseOf(context: ApplyContext, { bucket, key }: UploadPlace, from: string): UploadBase {
  const source = existing(context, { bucket, key: from });
  if (from === key) return { type: 'same-key', etag: source.etag };
  const map = context.openMap(source);
  const stored = storeSliceMap({ map, newLayoutId: context.sequence });
  context.changePages(stored.rows);
  context.countBytes(SliceMap.empty, map);
  return { type: 'copy', record: { ...source, layout: stored.layout } };
}

export function applyUploadOperation(
  context: ApplyContext,
  uploadId: string,
  operation: UploadOperation
): void {
  if (operation.type === 'write') context.countPieces(operation.pieces, 1);
  context.put(operationRow(uploadId, context.sequence), encodeUploadOperation(operation));
}

export function applyCopyRange(context: ApplyContext, body: MutationOf<'copyRange'>): PartHead | undefined {
  const { uploadId, offset, source, part } = body;
  const pieces = context.openMap(existing(context, source)).range(source.offset, source.length);
  if (!part) {
    applyUploadOperation(context, uploadId, { type: 'write', offset, pieces });
    return undefined;
  }
  const { partNumber, etag, crc32c } = part;
  return putPart(context, uploadId, { partNumber, etag, crc32c, offset: 0, pieces });
}

export function applyPutPart(context: ApplyContext, body: MutationOf<'putPart'>): PartHead {
  const { uploadId, partNumber, offset, etag } = body;
  const pieces = context.resolve(body.pieces);
  return putPart(context, uploadId, { partNumber, offset, etag, pieces, crc32c: crcOfPieces(pieces)! });
}

interface NewPart {
  readonly partNumber: number;
  readonly offset: number;
  readonly etag: string;
  readonly crc32c: number;
  readonly pieces: readonly Piece[];
}

function putPart(context: ApplyContext, uploadId: string, part: NewPart): PartHead {
  const row = partRow(uploadId, part.partNumber);
  const stored = context.get(row);
  const before = stored && decodePartRecord(stored);
  if (before && part.offset === 0) context.countPieces(before.pieces, -1);
  context.countPieces(part.pieces, 1);
  const earlier = part.offset === 0 ? undefined : before;
  const addedBytes = lengthOfPieces(part.pieces);
  const record = {
    size: (earlier?.size ?? 0) + addedBytes,
    etag: part.etag,
    modifiedAtMs: context.atMs,
    crc32c: combineCrc32c(earlier?.crc32c ?? 0, part.crc32c, addedBytes),
    pieces: coalescePieces([...(earlier?.pieces ?? []), ...part.pieces])
  };
  context.put(row, encodePartRecord(record));
  return partHeadOf(part.partNumber, record);
}

export function partHeadOf(partNumber: number, record: PartRecord): PartHead {
  const { size, etag, modifiedAtMs, crc32c } = record;
  return { partNumber, size, etag, modifiedAtMs, crc32c };
}

export function applyCompleteUpload(
  context: ApplyContext,
  body: MutationOf<'completeUpload'>,
  contents: UploadContents
): ObjectHead {
  const record = uploadOf(context, body);
  const { prepared } = contents;
  const base = prepared ? prepared.base : openBase(context, body, record);
  const made = prepared?.map ?? (body.parts ? joinParts(contents, body.parts) : layOver(contents, base?.map));
  const map = body.crc32c === undefined ? made : made.withKnownCrc(body.crc32c);
  const started = describe(base?.record ?? NO_DESCRIPTION, record.given);
  const version = { ...describe(started, body.given), map, etag: body.etag };
  const head = context.write(body, version, record.base?.type === 'same-key' ? base : undefined);
  dropUpload(context, body, { record, contents });
  return head;
}

/** What the upload lies on; absent = nothing. */
export function openBase(
  context: ApplyContext,
  place: UploadPlace,
  { base }: UploadRecord
): OpenedObject | undefined {
  if (!base) return undefined;
  return context.open(base.type === 'copy' ? base.record : existing(context, place));
}

export function layOver({ operations }: UploadContents, base: SliceMap = SliceMap.empty): SliceMap {
  return editSliceMap(
    base,
    operations.map(({ operation }) => operation)
  );
}

export function joinParts({ parts }: UploadContents, partNumbers: readonly number[]): SliceMap {
  let map = SliceMap.empty;
  for (const partNumber of partNumbers) {
    const part = parts.get(partNumber);
    assert(part, 'the parts of a completion were uploaded');
    map = map.concat(SliceMap.withCrc(part.record.pieces, part.record.crc32c));
  }
  return map;
}

export function applyAbortUpload(
  context: ApplyContext,
  body: MutationOf<'abortUpload'>,
  contents: UploadContents
): void {
  dropUpload(context, body, { record: uploadOf(context, body), contents });
}

function dropUpload(
  context: ApplyContext,
  { bucket, key, uploadId }: UploadPlace,
  { record, contents }: { readonly record: UploadRecord; readonly contents: UploadContents }
): void {
  context.delete(uploadRow(bucket, key, uploadId));
  if (record.base?.type === 'copy') context.release(record.base.record);
  for (const { row, operation } of contents.operations) {
    if (operation.type === 'write') context.countPieces(operation.pieces, -1);
    context.delete(row);
  }
  for (const part of contents.parts.values()) {
    context.countPieces(part.record.pieces, -1);
    context.delete(part.row);
  }
}

function uploadOf(context: ApplyContext, { bucket, key, uploadId }: UploadPlace): UploadRecord {
  const row = context.get(uploadRow(bucket, key, uploadId));
  assert(row, 'the upload of a mutation exists');
  return decodeUploadRecord(row);
}
