import { LIMITS, StoreError } from '../api/index.js';
import type { RangePartition } from './range-partition.js';
import type { RowView } from './row-view.js';
import type { Piece } from './slice.js';
import { crcOfPieces } from './slice-map-crc.js';

/* What several calls judge before a mutation is made. */

/** @throws StoreError `BadDigest` unless the bytes of the body are what the caller says. */
export function checkDigest(pieces: readonly Piece[], expected: number | undefined): void {
  if (expected !== undefined && crcOfPieces(pieces) !== expected)
    throw new StoreError('BadDigest', 'The body is not what its crc32c says. Send it again.');
}

/** @throws StoreError `EntityTooLarge` */
export function checkSize(sizeBytes: number): void {
  if (sizeBytes > LIMITS.objectBytesMax)
    throw new StoreError('EntityTooLarge', `An object has at most ${LIMITS.objectBytesMax} bytes.`);
}

export interface Growth {
  readonly bucket: string;
  readonly bytes: number;
}

/**
 * What a bucket grows by, counted until the mutation is applied.
 *
 * @throws StoreError `QuotaExceeded` when that is more than it may have.
 */
export function growthOf(partition: RangePartition, view: RowView, growth: Growth): Growth | undefined {
  const { bucket, bytes } = growth;
  if (bytes <= 0) return undefined;
  const { quotaBytes } = view.bucket(bucket).settings;
  if (quotaBytes === null || quotaBytes === undefined) return undefined;
  if (view.usage(bucket).bytes + partition.growing.of(bucket) + bytes > quotaBytes)
    throw new StoreError(
      'QuotaExceeded',
      `The bucket ${bucket} may hold ${quotaBytes} bytes. Delete something, or raise its quota.`
    );
  return growth;
}

/** [start, end) of an object's bytes as a caller asked for it. @throws StoreError `InvalidRange` */
export function checkedRange(
  size: number,
  asked: { readonly offset?: number | undefined; readonly length?: number | undefined }
): { readonly offset: number; readonly length: number } {
  const offset = asked.offset ?? 0;
  const length = asked.length ?? size - offset;
  if (length < 0 || offset + length > size)
    throw new StoreError('InvalidRange', `The source has ${size} bytes. Choose a range within them.`);
  return { offset, length };
}
