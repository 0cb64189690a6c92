import assert from 'node:assert';
import { decodeObjectRecord } from '../object-record.js';
import {
  decodeRowKey,
  everyUploadRow,
  everyUsageRow,
  extentOfLiveBytesRow,
  liveBytesRows,
  objectRows,
  operationRows,
  pageRow,
  type RowKey,
  type RowRange,
  rowsUnder,
  usageRow
} from '../row-key.js';
import { isSlice, type Piece } from '../slice.js';
import { openSliceMap, type SliceRecord } from '../slice-pages.js';
import {
  decodeCount,
  decodePartRecord,
  decodeUploadOperation,
  decodeUploadRecord,
  decodeUsage
} from '../small-records.js';
import type { PartitionFixture } from './partition-fixture.js';

const INDEX = '/index/partition-1';
/** Beside those of log and data: of the metadata and the checkpoint stream, the last one of each and the one before. */
const OTHER_EXTENTS_MAX = 4;
const ROUNDS_MIN = 5;
const ROUNDS_MAX = 20;

/**
 * Checks a partition against its rows: the counts of buckets and of bytes in use equal a recount, all extents in use are
 * there and, after a checkpoint, no others. The fixture is open again at the end.
 */
export async function checkPartition(fixture: PartitionFixture, bucket: string): Promise<void> {
  let [status] = await fixture.until(fixture.layer.partitions());
  // What emptying extents appends is covered by the next checkpoint.
  for (let round = 0; round < ROUNDS_MIN || (status!.logExtentCount > 3 && round < ROUNDS_MAX); round++) {
    await fixture.until(fixture.layer.checkpoint());
    await fixture.clock.advance(60_000);
    [status] = await fixture.until(fixture.layer.partitions());
  }
  assert(status, 'there is a partition');
  const fileNumbers = (await fixture.extentPaths()).map((path) =>
    Number.parseInt(/(\w+)\.\w+$/.exec(path)![1]!, 10)
  );
  await fixture.until(fixture.close());
  const rows = await readRows(fixture);
  await fixture.until(fixture.open());
  checkUsage(rows, bucket);
  const counted = recount(rows);
  const kept = new Map(
    within(rows, liveBytesRows()).map(([key, value]) => [extentOfLiveBytesRow(key), decodeCount(value)])
  );
  assert.deepEqual(sorted(kept), sorted(counted), 'bytes in use equal a recount');
  for (const id of counted.keys()) assert(fileNumbers.includes(id), `extent ${id} is in use and there`);
  assert(status.logExtentCount <= 3, `${status.logExtentCount} extents of log are left after a checkpoint`);
  assert(status.dataExtentCount <= counted.size, 'every extent of data is in use');
  assert(
    fileNumbers.length <= status.logExtentCount + status.dataExtentCount + OTHER_EXTENTS_MAX,
    `${fileNumbers.length} files for ${status.logExtentCount} + ${status.dataExtentCount} extents`
  );
}

type Rows = ReadonlyMap<RowKey, Uint8Array>;

async function readRows({ stores }: PartitionFixture): Promise<Rows> {
  const store = await stores.open(INDEX);
  const rows = new Map<RowKey, Uint8Array>();
  for await (const { key, value } of store.scan({})) rows.set(decodeRowKey(key), Uint8Array.from(value));
  await store.close();
  return rows;
}

function within(rows: Rows, { start, end }: RowRange): [RowKey, Uint8Array][] {
  return [...rows].filter(([key]) => key >= start && key < end);
}

function checkUsage(rows: Rows, bucket: string): void {
  const records = within(rows, objectRows(bucket, '')).map(([, value]) => decodeObjectRecord(value));
  const bytes = records.reduce((sum, { size }) => sum + size, 0);
  const usage = decodeUsage(rows.get(usageRow(bucket)));
  assert.deepEqual(usage, { objectCount: records.length, bytes }, 'the usage of the bucket equals a recount');
  assert.equal(within(rows, everyUsageRow()).length, 1);
}

/** Bytes that rows use of each extent; every row is used by another one or is one that starts it. */
function recount(rows: Rows): Map<number, number> {
  const counts = new Map<number, number>();
  const usedPages = new Set<RowKey>();
  const count = (pieces: Iterable<Piece>): void => {
    for (const piece of pieces)
      if (isSlice(piece)) counts.set(piece.extentId, (counts.get(piece.extentId) ?? 0) + piece.length);
  };
  const countMap = (record: SliceRecord): void => {
    const map = openSliceMap(record, (layoutId, pageNumber) => {
      usedPages.add(pageRow(layoutId, pageNumber));
      return rows.get(pageRow(layoutId, pageNumber));
    });
    count(map.pieces());
  };
  for (const [, value] of within(rows, rowsUnder('O'))) countMap(decodeObjectRecord(value));
  let ownedCount = 0;
  for (const [key, value] of within(rows, everyUploadRow())) {
    const { base } = decodeUploadRecord(value);
    if (base?.type === 'copy') countMap(base.record);
    const uploadId = key.slice(-16);
    for (const [, operation] of within(rows, operationRows(uploadId))) {
      ownedCount += 1;
      const decoded = decodeUploadOperation(operation);
      if (decoded.type === 'write') count(decoded.pieces);
    }
    for (const [, part] of within(rows, rowsUnder(`T${uploadId}`))) {
      ownedCount += 1;
      count(decodePartRecord(part).pieces);
    }
  }
  const operationCount = within(rows, rowsUnder('W')).length + within(rows, rowsUnder('T')).length;
  assert.equal(operationCount, ownedCount, 'everything sent belongs to an upload');
  assert.equal(within(rows, rowsUnder('P')).length, usedPages.size, 'every page belongs to a layout');
  assert.equal(within(rows, rowsUnder('X')).length, 0, 'no change of a prefix is left half done');
  return counts;
}

function sorted(counts: ReadonlyMap<number, number>): [number, number][] {
  return [...counts].sort(([a], [b]) => a - b);
}
