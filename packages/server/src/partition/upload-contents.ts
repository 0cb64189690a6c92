import type { PartitionIndex } from './partition-index.js';
import { operationRows, partNumberOfRow, partRows, type RowKey } from './row-key.js';
import type { OpenedObject } from './row-view.js';
import type { SliceMap } from './slice-map.js';
import {
  decodePartRecord,
  decodeUploadOperation,
  type PartRecord,
  type UploadOperation
} from './small-records.js';

const PAGE_ROWS = 1000;

/** Everything that was sent to an upload. */
export interface UploadContents {
  /** In the order in which they were made. */
  readonly operations: readonly { readonly row: RowKey; readonly operation: UploadOperation }[];
  readonly parts: ReadonlyMap<number, { readonly row: RowKey; readonly record: PartRecord }>;
  /** What the completed object is made of, once that was found out. */
  prepared?: { readonly base: OpenedObject | undefined; readonly map: SliceMap };
}

export async function loadUploadContents(index: PartitionIndex, uploadId: string): Promise<UploadContents> {
  const operations: { row: RowKey; operation: UploadOperation }[] = [];
  for await (const rows of index.pages(operationRows(uploadId), PAGE_ROWS))
    for (const { key, value } of rows) operations.push({ row: key, operation: decodeUploadOperation(value) });
  const parts = new Map<number, { row: RowKey; record: PartRecord }>();
  for await (const rows of index.pages(partRows(uploadId), PAGE_ROWS))
    for (const { key, value } of rows)
      parts.set(partNumberOfRow(key), { row: key, record: decodePartRecord(value) });
  return { operations, parts };
}
