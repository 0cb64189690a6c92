import {
  abortUploadSchema,
  completeUploadSchema,
  copyRangeSchema,
  crc32c,
  createUploadSchema,
  LIMITS,
  listPartsSchema,
  listUploadsSchema,
  type PartHead,
  punchUploadSchema,
  putPartSchema,
  StoreError,
  truncateUploadSchema,
  type UploadCalls,
  writeUploadSchema
} from '@stampede/server/api';
import { compareUtf8 } from '../utf8-order.js';
import { answer, checkConditions } from './memory-call.js';
import { MemoryContent } from './memory-content.js';
import { decodeToken, encodeToken } from './memory-listing.js';
import { checkDigest, rangeOf } from './memory-objects.js';
import {
  describe,
  type MemoryPart,
  type MemoryState,
  type MemoryUpload,
  NO_DESCRIPTION,
  type StoredObject
} from './memory-state.js';

export function memoryUploads(state: MemoryState): UploadCalls {
  return {
    create: (input, options) =>
      answer(createUploadSchema, input, options, (creation) =>
        state.once(creation.requestId, () => {
          const { key, from } = creation;
          const bucket = state.bucket(creation.bucket);
          const base = from && state.object(bucket, from.key ?? key);
          if (base) checkConditions(base.head, { ifMatch: from.ifMatch });
          const createdAtMs = state.clock.nowMs();
          const expiresAtMs = createdAtMs + (creation.expiresInMs ?? LIMITS.uploadLifetimeMsDefault);
          const uploadId = state.nextId('upload');
          const head = { bucket: bucket.name, key, uploadId, createdAtMs, expiresAtMs };
          const given = structuredClone(creation);
          bucket.uploads.set(uploadId, { head, base, given, operations: [], parts: new Map() });
          return head;
        })
      ),

    write: (input, options) =>
      answer(writeUploadSchema, input, options, (write) =>
        state.once(write.requestId, () => {
          const { operations } = uploadOf(state, write);
          checkDigest(write.body, write.crc32c);
          checkEnd(write.offset + write.body.length);
          operations.push({ type: 'write', offset: write.offset, body: new Uint8Array(write.body) });
        })
      ),

    putPart: (input, options) =>
      answer(putPartSchema, input, options, (part) =>
        state.once(part.requestId, () => {
          const { parts } = uploadOf(state, part);
          checkDigest(part.body, part.crc32c);
          const offset = part.offset ?? 0;
          const before = offset === 0 ? undefined : parts.get(part.partNumber);
          if (offset !== (before?.body.length ?? 0))
            throw new StoreError(
              'InvalidArgument',
              `part ${part.partNumber} has ${before?.body.length ?? 0} bytes; send its pieces in order`
            );
          const body = Buffer.concat([before?.body ?? new Uint8Array(0), part.body]);
          const etag = part.md5 ?? state.nextEtag();
          const stored = { body: new Uint8Array(body), etag, modifiedAtMs: state.clock.nowMs() };
          parts.set(part.partNumber, stored);
          return partHead(part.partNumber, stored);
        })
      ),

    truncate: (input, options) =>
      answer(truncateUploadSchema, input, options, (truncation) =>
        state.once(truncation.requestId, () => {
          uploadOf(state, truncation).operations.push({ type: 'truncate', size: truncation.size });
        })
      ),

    punch: (input, options) =>
      answer(punchUploadSchema, input, options, ({ offset, length, ...punch }) =>
        state.once(punch.requestId, () => {
          uploadOf(state, punch).operations.push({ type: 'punch', offset, length });
        })
      ),

    copyRange: (input, options) =>
      answer(copyRangeSchema, input, options, ({ source, offset, partNumber, ...copy }) =>
        state.once(copy.requestId, () => {
          const { operations, parts } = uploadOf(state, copy);
          const { head, body } = state.object(state.bucket(source.bucket ?? copy.bucket), source.key);
          checkConditions(head, { ifMatch: source.ifMatch });
          const range = rangeOf(body, source.offset, source.length);
          if (partNumber === undefined) {
            checkEnd(offset + range.length);
            operations.push({ type: 'write', offset, body: range });
            return undefined;
          }
          if (offset !== 0)
            throw new StoreError('InvalidArgument', 'a range that becomes a part has offset 0');
          const part = { body: range, etag: state.nextEtag(), modifiedAtMs: state.clock.nowMs() };
          parts.set(partNumber, part);
          return partHead(partNumber, part);
        })
      ),

    complete: (input, options) =>
      answer(completeUploadSchema, input, options, (completion) =>
        state.once(completion.requestId, () => {
          const upload = uploadOf(state, completion);
          const bucket = state.bucket(completion.bucket);
          const current = bucket.objects.get(completion.key);
          checkConditions(current?.head, completion);
          const base = upload.base && baseOf(upload, current, completion.rebase ?? false);
          const body = completion.parts ? joinParts(upload, completion.parts) : layOver(upload, base);
          checkDigest(body, completion.crc32c);
          const started = describe(base?.head ?? NO_DESCRIPTION, upload.given);
          const head = state.write(bucket, completion.key, { ...describe(started, completion), body });
          bucket.uploads.delete(completion.uploadId);
          return head;
        })
      ),

    abort: (input, options) =>
      answer(abortUploadSchema, input, options, (abort) =>
        state.once(abort.requestId, () => {
          uploadOf(state, abort);
          state.bucket(abort.bucket).uploads.delete(abort.uploadId);
        })
      ),

    list: (input, options) =>
      answer(listUploadsSchema, input, options, ({ bucket: name, prefix = '', ...query }) => {
        const bucket = state.bucket(name);
        const after = query.continuationToken && decodeToken(query.continuationToken);
        const found = [...bucket.uploads.values()]
          .filter(({ head }) => head.key.startsWith(prefix) && !isExpired(state, head))
          .sort((a, b) => compareUtf8(placeOf(a), placeOf(b)))
          .filter((upload) => after === undefined || compareUtf8(placeOf(upload), after) > 0);
        const page = found.slice(0, query.maxUploads ?? LIMITS.listKeysMax);
        const uploads = page.map(({ head }) => head);
        const last = page.at(-1);
        if (page.length === found.length || !last) return { uploads, isTruncated: false };
        return { uploads, isTruncated: true, continuationToken: encodeToken(placeOf(last)) };
      }),

    listParts: (input, options) =>
      answer(listPartsSchema, input, options, (query) => {
        const found = [...uploadOf(state, query).parts]
          .filter(([partNumber]) => partNumber > (query.partNumberMarker ?? 0))
          .sort(([a], [b]) => a - b);
        const parts = found
          .slice(0, query.maxParts ?? LIMITS.listKeysMax)
          .map(([partNumber, part]) => partHead(partNumber, part));
        const last = parts.at(-1);
        if (parts.length === found.length || !last) return { parts, isTruncated: false };
        return { parts, isTruncated: true, nextPartNumberMarker: last.partNumber };
      })
  };
}

interface UploadName {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
}

function uploadOf(state: MemoryState, { bucket, key, uploadId }: UploadName): MemoryUpload {
  const upload = state.bucket(bucket).uploads.get(uploadId);
  if (!upload || upload.head.key !== key || isExpired(state, upload.head))
    throw new StoreError('NoSuchUpload', `there is no upload ${uploadId} of ${key}; create a new one`);
  return upload;
}

function isExpired(state: MemoryState, { expiresAtMs }: { readonly expiresAtMs: number }): boolean {
  return state.clock.nowMs() >= expiresAtMs;
}

/** Orders uploads by key, then by the order in which they were made. */
function placeOf({ head }: MemoryUpload): string {
  return `${head.key}\0${head.uploadId.padStart(32, '0')}`;
}

function partHead(partNumber: number, { body, etag, modifiedAtMs }: MemoryPart): PartHead {
  return { partNumber, size: body.length, etag, modifiedAtMs, crc32c: crc32c(body) };
}

function checkEnd(end: number): void {
  if (end > LIMITS.objectBytesMax)
    throw new StoreError('EntityTooLarge', `an object has at most ${LIMITS.objectBytesMax} bytes`);
}

/** What an upload made from an object lies on when it completes. */
function baseOf(
  upload: MemoryUpload,
  current: StoredObject | undefined,
  rebase: boolean
): StoredObject | undefined {
  const { base, head } = upload;
  if (base?.head.key !== head.key) return base;
  if (!rebase) {
    checkConditions(current?.head, { ifMatch: base.head.etag });
    return current;
  }
  if (!current) throw new StoreError('NoSuchKey', `${head.key} was deleted; there is nothing to rebase on`);
  return current;
}

function layOver({ operations }: MemoryUpload, base: StoredObject | undefined): Uint8Array {
  const end = operations.reduce(
    (most, step) => (step.type === 'write' ? Math.max(most, step.offset + step.body.length) : most),
    0
  );
  const content = new MemoryContent(base?.body, end);
  for (const operation of operations) {
    if (operation.type === 'write') content.write(operation.offset, operation.body);
    else if (operation.type === 'truncate') content.truncate(operation.size);
    else content.punch(operation.offset, operation.length);
  }
  return content.toBytes();
}

function joinParts(
  { parts }: MemoryUpload,
  named: readonly { readonly partNumber: number; readonly etag?: string | undefined }[]
): Uint8Array {
  if (named.length === 0) throw new StoreError('InvalidPart', 'name at least one part');
  const bodies = named.map(({ partNumber, etag }, index) => {
    const part = parts.get(partNumber);
    if (!part || (etag !== undefined && etag !== part.etag))
      throw new StoreError('InvalidPart', `part ${partNumber} was not uploaded with that etag`);
    if (index > 0 && partNumber <= named[index - 1]!.partNumber)
      throw new StoreError('InvalidPart', 'name the parts in growing order, each once');
    if (index < named.length - 1 && part.body.length < LIMITS.partBytesMin)
      throw new StoreError(
        'EntityTooSmall',
        `only the last part may have less than ${LIMITS.partBytesMin} bytes`
      );
    return part.body;
  });
  return new Uint8Array(Buffer.concat(bodies));
}
