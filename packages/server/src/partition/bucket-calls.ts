import { type BucketCalls, type BucketHead, StoreError } from '../api/index.js';
import { decodeToken, encodeToken } from './listing.js';
import type { RangePartition } from './range-partition.js';
import { after, bucketOfRow, bucketRow, bucketRows, objectRows, uploadRows } from './row-key.js';
import { type BucketRecord, decodeBucketRecord } from './small-records.js';
import { abortUpload, uploadNameOf } from './upload-abort.js';

const BUCKETS_MAX = 1000;
const ABORT_PAGE_ROWS = 100;

/** The calls about buckets; their records lie in the partition that holds the bucket's first key. */
export function bucketCalls(partition: RangePartition): BucketCalls {
  return {
    create: ({ bucket, settings = {}, requestId }, options = {}) =>
      partition.mutate({
        requestId,
        signal: options.signal,
        locks: { exclusive: [bucketRow(bucket)] },
        decide({ view }) {
          if (view.findBucket(bucket))
            throw new StoreError('BucketAlreadyExists', `The bucket ${bucket} exists. Choose another name.`);
          return { mutation: { type: 'createBucket', bucket, settings } };
        }
      }),

    async delete({ bucket, requestId }, options = {}) {
      if (await isEmpty(partition, bucket)) await abortUploads(partition, bucket, options.signal);
      await partition.mutate({
        requestId,
        signal: options.signal,
        // All other mutations of the bucket share this lock: there are none under way.
        locks: { exclusive: [bucketRow(bucket)] },
        load: async () => ({
          hasObjects: (await partition.index.range(objectRows(bucket, ''), 1)).length > 0,
          hasUploads: (await partition.index.range(uploadRows(bucket, ''), 1)).length > 0
        }),
        decide({ view, loaded }) {
          view.bucket(bucket);
          if (loaded.hasObjects)
            throw new StoreError(
              'BucketNotEmpty',
              `The bucket ${bucket} still has objects. Delete them first.`
            );
          if (loaded.hasUploads)
            throw new StoreError('SlowDown', `An upload to the bucket ${bucket} just began. Try again.`);
          return { mutation: { type: 'deleteBucket', bucket } };
        }
      });
    },

    async head({ bucket }) {
      partition.assertServing();
      return headOf(partition, bucket, partition.view.bucket(bucket));
    },

    async list(input = {}) {
      partition.assertServing();
      const { prefix = '', continuationToken, maxBuckets = BUCKETS_MAX } = input;
      const range = bucketRows(prefix);
      const from =
        continuationToken === undefined ? range.start : after(bucketRow(decodeToken(continuationToken)));
      const start = from > range.start ? from : range.start;
      const rows = await partition.index.range({ start, end: range.end }, maxBuckets + 1);
      const buckets = rows
        .slice(0, maxBuckets)
        .map(({ key, value }) => headOf(partition, bucketOfRow(key), decodeBucketRecord(value)));
      const last = buckets.at(-1);
      if (rows.length <= maxBuckets || !last) return { buckets, isTruncated: false };
      return { buckets, isTruncated: true, continuationToken: encodeToken(last.bucket) };
    },

    configure: ({ bucket, settings, requestId }, options = {}) =>
      partition.mutate({
        requestId,
        signal: options.signal,
        locks: { exclusive: [bucketRow(bucket)] },
        decide({ view }) {
          view.bucket(bucket);
          return { mutation: { type: 'configureBucket', bucket, settings } };
        }
      })
  };
}

function headOf(
  { view }: RangePartition,
  bucket: string,
  { createdAtMs, settings }: BucketRecord
): BucketHead {
  return { bucket, createdAtMs, settings, usage: view.usage(bucket) };
}

async function isEmpty({ view, index }: RangePartition, bucket: string): Promise<boolean> {
  if (!view.findBucket(bucket)) return false;
  return (await index.range(objectRows(bucket, ''), 1)).length === 0;
}

/** What was begun in a bucket without objects ends with it. */
async function abortUploads(
  partition: RangePartition,
  bucket: string,
  signal: AbortSignal | undefined
): Promise<void> {
  for await (const rows of partition.index.pages(uploadRows(bucket, ''), ABORT_PAGE_ROWS))
    for (const { key } of rows) await abortUpload(partition, uploadNameOf(key), { signal });
}
