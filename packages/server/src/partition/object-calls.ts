import { crc32c, LIMITS, type ObjectCalls, StoreError } from '../api/index.js';
import type { StreamLayer } from '../stream/index.js';
import { checkConditions } from './conditions.js';
import { checkDigest, checkedRange, checkSize, growthOf } from './decisions.js';
import { checkDescription, describe, givenIn, NO_DESCRIPTION, withoutXattrs } from './description.js';
import { holesOf } from './holes.js';
import { listPage, statPath, usageOf } from './listing.js';
import type { MutationStep } from './mutation.js';
import type { Decided, Decision } from './mutation-request.js';
import { headOf, type ObjectRecord } from './object-record.js';
import type { RangePartition } from './range-partition.js';
import { lookUpAndRead, readPieces } from './read-pieces.js';
import { after, bucketRow, objectRow, objectRows } from './row-key.js';
import type { Piece } from './slice.js';
import { encodePieces } from './slice-codec.js';

export interface PartitionServices {
  readonly partition: RangePartition;
  readonly layer: StreamLayer;
}

/** The calls about objects of one range partition. */
export function objectCalls({ partition, layer }: PartitionServices): ObjectCalls {
  return {
    put: (input, options = {}) =>
      partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: locksOf(input.bucket, { exclusive: [input.key] }),
        body: input.body,
        load: async (body) => body.cut(0, body.length),
        decide({ view, sequence, loaded: pieces }) {
          view.bucket(input.bucket);
          checkDigest(pieces, input.crc32c);
          const current = view.find(input);
          checkConditions(current, input);
          checkDescription(describe(NO_DESCRIPTION, input));
          const growth = { bucket: input.bucket, bytes: input.body.byteLength - (current?.size ?? 0) };
          const { bucket, key } = input;
          const etag = input.md5 ?? partition.newEtag(sequence);
          return {
            growth: growthOf(partition, view, growth),
            mutation: { type: 'put', bucket, key, given: givenIn(input), etag, pieces: encodePieces(pieces) }
          };
        }
      }),

    edit: (input, options = {}) =>
      partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: locksOf(input.bucket, { exclusive: [input.key] }),
        body: input.body,
        load: async (body) => ({
          steps: stepsOf(input, (start, end) => body.cut(start, end)),
          pieces: input.crc32c === undefined ? [] : body.cut(0, body.length)
        }),
        decide({ view, sequence, loaded }) {
          view.bucket(input.bucket);
          checkDigest(loaded.pieces, input.crc32c);
          const current = view.find(input);
          checkConditions(current, input);
          const base = current ?? (input.create ? undefined : view.object(input));
          const size = sizeAfter(base?.size ?? 0, input.steps);
          checkDescription(describe(base ?? NO_DESCRIPTION, input));
          const { bucket, key } = input;
          const keepsBytes = base !== undefined && loaded.steps.length === 0;
          return {
            growth: growthOf(partition, view, { bucket, bytes: size - (base?.size ?? 0) }),
            mutation: {
              type: 'edit',
              bucket,
              key,
              given: givenIn(input),
              steps: loaded.steps,
              etag: keepsBytes ? undefined : partition.newEtag(sequence)
            }
          };
        }
      }),

    read: (input, options = {}) =>
      lookUpAndRead(async () => {
        const offset = input.offset ?? 0;
        const row = objectRow(input.bucket, input.key);
        const { record, pieces } = await partition.reads.read({ start: row, end: after(row) }, () => {
          const record = findVersion(partition, input);
          checkConditions(record, input);
          const length = input.length ?? LIMITS.bodyBytesMax;
          return { record, pieces: partition.view.openMap(record).range(offset, length) };
        });
        const body = await readPieces(layer, pieces, options);
        return { head: headOf(input.bucket, input.key, record), body, offset, crc32c: crc32c(body) };
      }),

    async head(input) {
      const row = objectRow(input.bucket, input.key);
      return await partition.reads.read({ start: row, end: after(row) }, () =>
        headOf(input.bucket, input.key, findVersion(partition, input))
      );
    },

    holes: (input) => holesOf(partition, input),
    stat: (input) => statPath(partition, input),
    list: (input) => listPage(partition, input),

    delete(input, options = {}) {
      const { bucket, key, onlyIfPrefixEmpty = false } = input;
      const range = objectRows(bucket, key);
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: onlyIfPrefixEmpty
          ? { shared: [bucketRow(bucket)], ranges: [range] }
          : locksOf(bucket, { exclusive: [key] }),
        load: async () => (onlyIfPrefixEmpty ? await isPrefixEmpty(partition, bucket, key) : true),
        decide({ view, loaded: isEmpty }) {
          view.bucket(bucket);
          const current = view.find(input);
          checkConditions(current, input);
          if (!isEmpty) throw prefixNotEmpty(key);
          if (!current) return { answer: { deleted: false } };
          return { mutation: { type: 'delete', bucket, keys: [key], isOne: true } };
        }
      });
    },

    deleteMany({ bucket, keys, requestId }, options = {}) {
      const distinct = [...new Set(keys)];
      return partition.mutate({
        requestId,
        signal: options.signal,
        locks: locksOf(bucket, { exclusive: distinct }),
        decide({ view }) {
          view.bucket(bucket);
          const found = distinct.filter((key) => view.find({ bucket, key }));
          if (found.length === 0) return { answer: { objectCount: 0 } };
          return { mutation: { type: 'delete', bucket, keys: found, isOne: false } };
        }
      });
    },

    copy(input, options = {}) {
      const { bucket, key } = input;
      const to = { bucket: input.to.bucket ?? bucket, key: input.to.key };
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: {
          exclusive: [objectRow(to.bucket, to.key)],
          shared: [bucketRow(bucket), bucketRow(to.bucket), objectRow(bucket, key)]
        },
        decide({ view }) {
          view.bucket(bucket);
          const source = view.object(input);
          view.bucket(to.bucket);
          checkConditions(source, { ifMatch: input.sourceIfMatch });
          const target = view.find(to);
          checkConditions(target, input);
          checkDescription(describe(source, input));
          const growth = { bucket: to.bucket, bytes: source.size - (target?.size ?? 0) };
          return {
            growth: growthOf(partition, view, growth),
            mutation: { type: 'copy', bucket, key, to, given: givenIn(input) }
          };
        }
      });
    },

    rename(input, options = {}) {
      const { bucket, key, to, exchange = false, attributes } = input;
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: locksOf(bucket, { exclusive: [key, to.key] }),
        decide({ view }) {
          view.bucket(bucket);
          const source = view.object(input);
          const target = exchange ? view.object({ bucket, key: to.key }) : view.find({ bucket, key: to.key });
          checkConditions(source, { ifMatch: input.sourceIfMatch });
          checkConditions(target, input);
          checkDescription(describe(source, attributes ? { attributes } : {}));
          const isExchange = exchange && to.key !== key;
          return { mutation: { type: 'rename', bucket, key, to: to.key, isExchange, attributes } };
        }
      });
    },

    compose(input, options = {}) {
      const { bucket, key, sources } = input;
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: {
          exclusive: [objectRow(bucket, key)],
          shared: [bucketRow(bucket), ...sources.map((source) => objectRow(bucket, source.key))]
        },
        decide({ view, sequence }) {
          view.bucket(bucket);
          const current = view.find(input);
          checkConditions(current, input);
          let size = 0;
          const ranges = sources.map((source) => {
            const place = { bucket, key: source.key };
            const record = view.object(place);
            checkConditions(record, { ifMatch: source.ifMatch });
            const range = checkedRange(record.size, source);
            size += range.length;
            return { ...place, ...range };
          });
          checkSize(size);
          checkDescription(describe(NO_DESCRIPTION, input));
          const etag = partition.newEtag(sequence);
          return {
            growth: growthOf(partition, view, { bucket, bytes: size - (current?.size ?? 0) }),
            mutation: { type: 'compose', bucket, key, sources: ranges, given: givenIn(input), etag }
          };
        }
      });
    },

    renamePrefix({ bucket, prefix, to, requestId }, options = {}) {
      if (to.startsWith(prefix))
        throw new StoreError('InvalidArgument', `${prefix} cannot be renamed to ${to}, which lies in it.`);
      return partition.mutate({
        requestId,
        signal: options.signal,
        locks: { shared: [bucketRow(bucket)], ranges: [objectRows(bucket, prefix), objectRows(bucket, to)] },
        load: async () => ({
          isTargetEmpty: await isPrefixEmpty(partition, bucket, to),
          longestBytes: await longestKeyBytes(partition, bucket, prefix)
        }),
        decide({ view, loaded }) {
          view.bucket(bucket);
          if (!loaded.isTargetEmpty) throw prefixNotEmpty(to);
          if (loaded.longestBytes === 0) return { answer: { objectCount: 0 } };
          const addedBytes = Buffer.byteLength(to) - Buffer.byteLength(prefix);
          if (loaded.longestBytes + addedBytes > LIMITS.keyBytesMax)
            throw new StoreError('InvalidArgument', `Keys would be longer than ${LIMITS.keyBytesMax} bytes.`);
          return { mutation: { type: 'renamePrefix', bucket, prefix, to } };
        }
      });
    },

    deletePrefix({ bucket, prefix, requestId }, options = {}) {
      const range = objectRows(bucket, prefix);
      return partition.mutate({
        requestId,
        signal: options.signal,
        locks: { shared: [bucketRow(bucket)], ranges: [range] },
        load: async () => (await partition.index.range(range, 1)).length === 0,
        decide({ view, loaded: isEmpty }) {
          view.bucket(bucket);
          if (isEmpty) return { answer: { objectCount: 0 } };
          return { mutation: { type: 'deletePrefix', bucket, prefix } };
        }
      });
    },

    setAttributes(input, options = {}) {
      const { bucket, key, removeXattrs } = input;
      return partition.mutate({
        requestId: input.requestId,
        signal: options.signal,
        locks: locksOf(bucket, { exclusive: [key] }),
        decide: ({ view, sequence }: Decision<undefined>): Decided => {
          view.bucket(bucket);
          const current = view.find(input);
          checkConditions(current, { ifMatch: input.ifMatch });
          const base = current ?? (input.create ? undefined : view.object(input));
          checkDescription(withoutXattrs(describe(base ?? NO_DESCRIPTION, input), removeXattrs));
          const given = givenIn(input);
          if (base) return { mutation: { type: 'setAttributes', bucket, key, given, removeXattrs } };
          return {
            mutation: { type: 'edit', bucket, key, given, steps: [], etag: partition.newEtag(sequence) }
          };
        }
      });
    },

    usage: (input) => usageOf(partition, input),

    async *watch({ bucket, prefix = '', resumeToken }, { signal }) {
      partition.assertServing();
      partition.view.bucket(bucket);
      yield* partition.changes.watch({ bucket, prefix, resumeToken }, signal);
    }
  };
}

/** The bucket stays, and nobody else changes the keys. */
export function locksOf(bucket: string, { exclusive }: { readonly exclusive: readonly string[] }) {
  return { exclusive: exclusive.map((key) => objectRow(bucket, key)), shared: [bucketRow(bucket)] };
}

function findVersion(
  { view }: RangePartition,
  input: { readonly bucket: string; readonly key: string; readonly versionId?: string | undefined }
): ObjectRecord {
  view.bucket(input.bucket);
  const record = view.object(input);
  if (input.versionId !== undefined && input.versionId !== record.versionId)
    throw new StoreError('NoSuchVersion', `${input.key} has no version ${input.versionId}.`);
  return record;
}

interface EditBody {
  readonly steps: readonly EditStepInput[];
  readonly body: Uint8Array;
}
type EditStepInput =
  | { readonly type: 'write'; readonly offset?: number | undefined; readonly length: number }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

/** The steps with the pieces of the body that they take, one after the other. */
function stepsOf({ steps, body }: EditBody, cut: (start: number, end: number) => Piece[]): MutationStep[] {
  const writtenBytes = steps.reduce((sum, step) => sum + (step.type === 'write' ? step.length : 0), 0);
  if (writtenBytes !== body.byteLength)
    throw new StoreError(
      'InvalidArgument',
      `The writes take ${writtenBytes} bytes, but the body has ${body.byteLength}. Make them equal.`
    );
  let taken = 0;
  return steps.map((step) => {
    if (step.type !== 'write') return step;
    const pieces = encodePieces(cut(taken, taken + step.length));
    taken += step.length;
    return { type: 'write', offset: step.offset, pieces };
  });
}

function sizeAfter(size: number, steps: readonly EditStepInput[]): number {
  let result = size;
  for (const step of steps) {
    if (step.type === 'truncate') result = step.size;
    else if (step.type === 'write') result = Math.max(result, (step.offset ?? result) + step.length);
    checkSize(result);
  }
  return result;
}

/** Whether no key but the prefix itself starts with it. */
async function isPrefixEmpty({ index }: RangePartition, bucket: string, prefix: string): Promise<boolean> {
  const rows = await index.range(objectRows(bucket, prefix), 2);
  return rows.every(({ key }) => key === objectRow(bucket, prefix));
}

function prefixNotEmpty(prefix: string): StoreError {
  return new StoreError('PrefixNotEmpty', `${prefix} has other keys. Move or delete them first.`);
}

const SCAN_PAGE_ROWS = 1000;

/** Bytes of the longest key that starts with a prefix; 0 when there is none. */
async function longestKeyBytes({ index }: RangePartition, bucket: string, prefix: string): Promise<number> {
  const before = objectRow(bucket, '').length;
  let longest = 0;
  for await (const rows of index.pages(objectRows(bucket, prefix), SCAN_PAGE_ROWS))
    for (const { key } of rows) longest = Math.max(longest, key.length - before);
  return longest;
}
