import { LIMITS, StoreError, type UploadCalls, type UploadHead } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { joinParts, layOver, partHeadOf } from './apply-upload-mutation.js';
import { checkConditions } from './conditions.js';
import { checkDigest, checkedRange, checkSize, growthOf } from './decisions.js';
import { checkDescription, describe, givenIn, NO_DESCRIPTION } from './description.js';
import { decodeToken, encodeToken } from './listing.js';
import type { PartitionServices } from './object-calls.js';
import { checksumOf } from './read-pieces.js';
import {
  after,
  bucketRow,
  bytesOf,
  objectRow,
  partNumberOfRow,
  partRow,
  partRows,
  partsOfUploadRow,
  type RowKey,
  uploadIdOf,
  uploadRow,
  uploadRows
} from './row-key.js';
import type { OpenedObject, RowView } from './row-view.js';
import { encodePieces } from './slice-codec.js';
import type { SliceMap } from './slice-map.js';
import { decodePartRecord, decodeUploadRecord, type UploadRecord } from './small-records.js';
import type { UploadName } from './upload-abort.js';
import { loadUploadContents, type UploadContents } from './upload-contents.js';
import { UploadOperationCounts } from './upload-operation-counts.js';

export interface UploadServices extends PartitionServices {
  readonly clock: Clock;
}

/** The calls about uploads of one range partition. */
export function uploadCalls({ partition, layer, clock }: UploadServices): UploadCalls {
  const operationCounts = new UploadOperationCounts(partition.index);
  /** @throws StoreError `NoSuchUpload` */
  const uploadOf = (view: RowView, name: UploadName): UploadRecord => {
    view.bucket(name.bucket);
    // An id of another form names no row.
    const found = name.uploadId.length === uploadIdOf(0).length ? view.findUpload(name) : undefined;
    if (!found || found.expiresAtMs <= clock.nowMs())
      throw new StoreError(
        'NoSuchUpload',
        `There is no upload ${name.uploadId} of ${name.key}. Create a new one.`
      );
    return found;
  };

  return {
    create(input, options = {}) {
      const { bucket, key, from, expiresInMs = LIMITS.uploadLifetimeMsDefault } = input;
      const fromKey = from && (from.key ?? key);
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: {
          shared: [bucketRow(bucket), ...(fromKey === undefined ? [] : [objectRow(bucket, fromKey)])]
        },
        decide({ view, sequence, atMs }) {
          view.bucket(bucket);
          if (fromKey !== undefined) {
            const source = view.object({ bucket, key: fromKey });
            checkConditions(source, { ifMatch: from?.ifMatch });
          }
          checkDescription(describe(NO_DESCRIPTION, input));
          const upload = { bucket, key, uploadId: uploadIdOf(sequence), expiresAtMs: atMs + expiresInMs };
          return { mutation: { type: 'createUpload', ...upload, given: givenIn(input), from: fromKey } };
        }
      });
    },

    write: (input, options = {}) =>
      partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: sharedLocksOf(input),
        body: input.body,
        async load(body) {
          uploadOf(partition.view, input);
          await operationCounts.add(input.uploadId);
          return body.cut(0, body.length);
        },
        decide({ view, loaded: pieces }) {
          uploadOf(view, input);
          checkDigest(pieces, input.crc32c);
          checkSize(input.offset + input.body.byteLength);
          const { bucket, key, uploadId, offset } = input;
          const write = { offset, pieces: encodePieces(pieces) };
          return { mutation: { type: 'writeUpload', bucket, key, uploadId, ...write } };
        }
      }),

    putPart(input, options = {}) {
      const { bucket, key, uploadId, partNumber, offset = 0 } = input;
      const row = partRow(uploadId, partNumber);
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: { ...sharedLocksOf(input), exclusive: [row] },
        body: input.body,
        load: async (body) => body.cut(0, body.length),
        decide({ view, sequence, loaded: pieces }) {
          uploadOf(view, input);
          checkDigest(pieces, input.crc32c);
          const stored = view.get(row);
          const size = offset === 0 || !stored ? 0 : decodePartRecord(stored).size;
          if (offset !== size)
            throw new StoreError(
              'InvalidArgument',
              `Part ${partNumber} has ${size} bytes. Send its pieces in order.`
            );
          checkSize(offset + input.body.byteLength);
          const etag = input.md5 ?? partition.newEtag(sequence);
          const part = { partNumber, offset, etag, pieces: encodePieces(pieces) };
          return { mutation: { type: 'putPart', bucket, key, uploadId, ...part } };
        }
      });
    },

    truncate: (input, options = {}) =>
      partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: sharedLocksOf(input),
        load: async () => {
          uploadOf(partition.view, input);
          await operationCounts.add(input.uploadId);
        },
        decide({ view }) {
          uploadOf(view, input);
          const { bucket, key, uploadId, size } = input;
          return { mutation: { type: 'truncateUpload', bucket, key, uploadId, size } };
        }
      }),

    punch: (input, options = {}) =>
      partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: sharedLocksOf(input),
        load: async () => {
          uploadOf(partition.view, input);
          await operationCounts.add(input.uploadId);
        },
        decide({ view }) {
          uploadOf(view, input);
          const { bucket, key, uploadId, offset, length } = input;
          return { mutation: { type: 'punchUpload', bucket, key, uploadId, offset, length } };
        }
      }),

    copyRange(input, options = {}) {
      const { bucket, key, uploadId, offset, partNumber } = input;
      const place = { bucket: input.source.bucket ?? bucket, key: input.source.key };
      const checked = (view: RowView) => {
        uploadOf(view, input);
        view.bucket(place.bucket);
        const record = view.object(place);
        checkConditions(record, { ifMatch: input.source.ifMatch });
        return { record, range: checkedRange(record.size, input.source) };
      };
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: {
          shared: [
            ...sharedLocksOf(input).shared,
            bucketRow(place.bucket),
            objectRow(place.bucket, place.key)
          ],
          exclusive: partNumber === undefined ? [] : [partRow(uploadId, partNumber)]
        },
        async load() {
          const { record, range } = checked(partition.view);
          if (partNumber === undefined) {
            await operationCounts.add(uploadId);
            return 0;
          }
          const pieces = partition.view.openMap(record).range(range.offset, range.length);
          return await checksumOf(layer, pieces, options);
        },
        decide({ view, sequence, loaded: checksum }) {
          const { range } = checked(view);
          if (partNumber !== undefined && offset !== 0)
            throw new StoreError('InvalidArgument', 'A range that becomes a part has offset 0.');
          checkSize(offset + range.length);
          const part =
            partNumber === undefined
              ? undefined
              : { partNumber, etag: partition.newEtag(sequence), crc32c: checksum };
          const source = { ...place, ...range };
          return { mutation: { type: 'copyRange', bucket, key, uploadId, offset, source, part } };
        }
      });
    },

    complete(input, options = {}) {
      const { bucket, key, uploadId, parts } = input;
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: {
          exclusive: [uploadRow(bucket, key, uploadId), objectRow(bucket, key)],
          shared: [bucketRow(bucket)]
        },
        async load() {
          const { view } = partition;
          const upload = uploadOf(view, input);
          const current = view.find(input);
          checkConditions(current, input);
          const contents = await loadUploadContents(partition.index, uploadId);
          const base = baseOf(view, input, upload);
          const map = parts ? join(contents, parts) : layOver(contents, base?.map);
          checkSize(map.size);
          await checkWhole(map, input.crc32c);
          contents.prepared = { base, map };
          const started = describe(base?.record ?? NO_DESCRIPTION, upload.given);
          checkDescription(describe(started, input));
          return { contents, map };
        },
        decide({ view, sequence, loaded: { contents, map } }) {
          const growth = { bucket, bytes: map.size - (view.find(input)?.size ?? 0) };
          return {
            growth: growthOf(partition, view, growth),
            contents,
            mutation: {
              type: 'completeUpload',
              bucket,
              key,
              uploadId,
              parts: parts?.map(({ partNumber }) => partNumber),
              crc32c: input.crc32c,
              given: givenIn(input),
              etag: partition.newEtag(sequence)
            }
          };
        }
      });

      async function checkWhole(map: SliceMap, expected: number | undefined): Promise<void> {
        if (expected === undefined) return;
        if ((map.crc32c ?? (await checksumOf(layer, map.pieces(), options))) !== expected)
          throw new StoreError('BadDigest', 'The whole is not what its crc32c says. Send its parts again.');
      }
    },

    abort(input, options = {}) {
      const { bucket, key, uploadId } = input;
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: { exclusive: [uploadRow(bucket, key, uploadId)], shared: [bucketRow(bucket)] },
        load: async () => await loadUploadContents(partition.index, uploadId),
        decide({ view, loaded: contents }) {
          uploadOf(view, input);
          return { mutation: { type: 'abortUpload', bucket, key, uploadId }, contents };
        }
      });
    },

    async list({ bucket, prefix = '', continuationToken, maxUploads = LIMITS.listKeysMax }) {
      partition.assertServing();
      partition.view.bucket(bucket);
      const { start, end } = uploadRows(bucket, prefix);
      const from =
        continuationToken === undefined ? start : after(rowOfToken(bucket, decodeToken(continuationToken)));
      const uploads: UploadHead[] = [];
      const nowMs = clock.nowMs();
      const range = { start: from > start ? from : start, end };
      for await (const rows of partition.index.pages(range, maxUploads + 1))
        for (const { key: row, value } of rows) {
          const record = decodeUploadRecord(value);
          if (record.expiresAtMs <= nowMs) continue;
          const last = uploads.at(-1);
          if (uploads.length === maxUploads)
            return last
              ? { uploads, isTruncated: true, continuationToken: tokenOf(last) }
              : { uploads, isTruncated: false };
          const { createdAtMs, expiresAtMs } = record;
          uploads.push({ ...partsOfUploadRow(row), createdAtMs, expiresAtMs });
        }
      return { uploads, isTruncated: false };
    },

    async listParts(input) {
      const { uploadId, partNumberMarker = 0, maxParts = LIMITS.listKeysMax } = input;
      uploadOf(partition.view, input);
      const start = after(partRow(uploadId, Math.min(partNumberMarker, LIMITS.partNumberMax)));
      const rows = await partition.index.range({ start, end: partRows(uploadId).end }, maxParts + 1);
      const parts = rows
        .slice(0, maxParts)
        .map(({ key, value }) => partHeadOf(partNumberOfRow(key), decodePartRecord(value)));
      const last = parts.at(-1);
      if (rows.length <= maxParts || !last) return { parts, isTruncated: false };
      return { parts, isTruncated: true, nextPartNumberMarker: last.partNumber };
    }
  };
}

/** Others may send to the upload at the same time; nobody ends it. */
function sharedLocksOf({ bucket, key, uploadId }: UploadName): { readonly shared: readonly RowKey[] } {
  return { shared: [bucketRow(bucket), uploadRow(bucket, key, uploadId)] };
}

/** What a completed upload lies on. @throws StoreError when the object it was made from is not that any more. */
function baseOf(
  view: RowView,
  input: UploadName & { readonly rebase?: boolean | undefined },
  { base }: UploadRecord
): OpenedObject | undefined {
  if (!base) return undefined;
  if (base.type === 'copy') return view.open(base.record);
  const current = view.find(input);
  if (!input.rebase) checkConditions(current, { ifMatch: base.etag });
  if (!current)
    throw new StoreError('NoSuchKey', `${input.key} was deleted. There is nothing to lay the upload over.`);
  return view.open(current);
}

/** @throws StoreError `InvalidPart`, `EntityTooSmall` */
function join(
  contents: UploadContents,
  named: readonly { readonly partNumber: number; readonly etag?: string | undefined }[]
): SliceMap {
  if (named.length === 0) throw new StoreError('InvalidPart', 'Name at least one part.');
  for (const [index, { partNumber, etag }] of named.entries()) {
    const part = contents.parts.get(partNumber)?.record;
    if (!part || (etag !== undefined && etag !== part.etag))
      throw new StoreError('InvalidPart', `Part ${partNumber} was not uploaded with that etag.`);
    if (index > 0 && partNumber <= named[index - 1]!.partNumber)
      throw new StoreError('InvalidPart', 'Name the parts in growing order, each once.');
    if (index < named.length - 1 && part.size < LIMITS.partBytesMin)
      throw new StoreError(
        'EntityTooSmall',
        `Only the last part may have less than ${LIMITS.partBytesMin} bytes.`
      );
  }
  return joinParts(
    contents,
    named.map(({ partNumber }) => partNumber)
  );
}

function tokenOf({ key, uploadId }: UploadHead): string {
  return encodeToken(`${key}\0${uploadId}`);
}

function rowOfToken(bucket: string, token: string): RowKey {
  return `U${bucket}\0${bytesOf(token)}` as RowKey;
}
