import type { Clock } from '../platform/index.js';
import type { RangePartition } from './range-partition.js';
import { bucketRow, everyUploadRow, partsOfUploadRow, type RowKey, uploadRow } from './row-key.js';
import { decodeUploadRecord } from './small-records.js';
import { loadUploadContents } from './upload-contents.js';

export interface UploadName {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
}

export const uploadNameOf = (row: RowKey): UploadName => partsOfUploadRow(row);

/** Gives up an upload and the bytes it uses; one that is over already is fine. */
export async function abortUpload(
  partition: RangePartition,
  { bucket, key, uploadId }: UploadName,
  options: { readonly signal?: AbortSignal | undefined } = {}
): Promise<void> {
  await partition.mutate({
    signal: options.signal,
    locks: { exclusive: [uploadRow(bucket, key, uploadId)], shared: [bucketRow(bucket)] },
    load: async () => await loadUploadContents(partition.index, uploadId),
    decide({ view, loaded: contents }) {
      if (!view.findUpload({ bucket, key, uploadId })) return { answer: undefined };
      return { mutation: { type: 'abortUpload', bucket, key, uploadId }, contents };
    }
  });
}

const PAGE_ROWS = 100;

/** Gives up every upload whose time is over. */
export async function abortExpiredUploads(
  partition: RangePartition,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }
): Promise<void> {
  for await (const rows of partition.index.pages(everyUploadRow(), PAGE_ROWS))
    for (const { key, value } of rows) {
      if (signal.aborted) return;
      if (decodeUploadRecord(value).expiresAtMs <= clock.nowMs())
        await abortUpload(partition, uploadNameOf(key), { signal });
    }
}
