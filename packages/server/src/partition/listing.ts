import {
  LIMITS,
  type ListInput,
  type ListResult,
  type ObjectHead,
  type StatInput,
  type StatResult,
  StoreError,
  type UsageInput,
  type UsageResult
} from '../api/index.js';
import { decodeObjectRecord, headOf } from './object-record.js';
import type { Row } from './partition-index.js';
import type { RangePartition } from './range-partition.js';
import {
  after,
  bytesOf,
  keyOfObjectRow,
  objectRow,
  objectRows,
  type RowKey,
  successor,
  textOf
} from './row-key.js';

/** Rows that are read at once; a common prefix that goes on beyond them is skipped by a seek. */
const PAGE_ROWS_MIN = 64;
const SCAN_PAGE_ROWS = 1000;

/** One page of a listing, all of one moment. */
export async function listPage(partition: RangePartition, input: ListInput): Promise<ListResult> {
  const { bucket, prefix = '', delimiter, maxKeys = LIMITS.listKeysMax } = input;
  const range = objectRows(bucket, prefix);
  return await partition.reads.read(range, async () => {
    partition.view.bucket(bucket);
    const from = startOf(input);
    if (maxKeys === 0) return { objects: [], commonPrefixes: [], isTruncated: false };
    const page = new Page(bucket, { prefix, delimiter, maxKeys });
    let start = from > range.start ? from : range.start;
    const pageRows = Math.max(PAGE_ROWS_MIN, delimiter === undefined ? maxKeys + 1 : PAGE_ROWS_MIN);
    for (let rowCount = pageRows; ; rowCount = Math.min(SCAN_PAGE_ROWS, rowCount * 2)) {
      const rows = await partition.index.range({ start, end: range.end }, rowCount);
      const next = page.add(rows);
      if (next === 'full') return page.result(true);
      if (rows.length < rowCount) return page.result(false);
      start = next;
    }
  });
}

/** Where a page starts: behind a key, or behind everything that a common prefix stands for. */
function startOf({ bucket, prefix = '', startAfter, continuationToken, delimiter }: ListInput): RowKey {
  if (continuationToken === undefined)
    return startAfter === undefined ? objectRow(bucket, '') : after(objectRow(bucket, startAfter));
  const last = decodeToken(continuationToken);
  const row = objectRow(bucket, last);
  return isCommonPrefix(last, prefix, delimiter) ? successor(row) : after(row);
}

function isCommonPrefix(name: string, prefix: string, delimiter: string | undefined): boolean {
  if (delimiter === undefined) return false;
  const position = name.indexOf(delimiter, prefix.length);
  return position >= 0 && position + delimiter.length === name.length;
}

interface PageOptions {
  readonly prefix: string;
  readonly delimiter: string | undefined;
  readonly maxKeys: number;
}

class Page {
  readonly #bucket: string;
  readonly #options: PageOptions;
  readonly #objects: ObjectHead[] = [];
  readonly #prefixes: { prefix: string; head?: ObjectHead }[] = [];
  /** Rows before the part of a key in which the delimiter is looked for. */
  readonly #prefixEnd: number;
  readonly #delimiter: string | undefined;
  /** Everything before it is in the page. */
  #next: RowKey;
  #last: string | undefined;

  constructor(bucket: string, options: PageOptions) {
    this.#bucket = bucket;
    this.#options = options;
    this.#next = objectRow(bucket, '');
    this.#prefixEnd = objectRow(bucket, options.prefix).length;
    this.#delimiter = options.delimiter && bytesOf(options.delimiter);
  }

  /** Takes rows in order; the result is where to go on, or `full` when there is another one that has no room. */
  add(rows: readonly Row[]): RowKey | 'full' {
    for (const row of rows) {
      if (row.key < this.#next) continue;
      if (this.#objects.length + this.#prefixes.length === this.#options.maxKeys) return 'full';
      const folded = this.#foldedOf(row.key);
      if (folded === undefined) this.#addObject(row);
      else this.#addPrefix(folded, row);
    }
    return this.#next;
  }

  result(isTruncated: boolean): ListResult {
    return {
      objects: this.#objects,
      commonPrefixes: this.#prefixes,
      isTruncated,
      ...(isTruncated && { continuationToken: encodeToken(this.#last!) })
    };
  }

  #addObject({ key, value }: Row): void {
    this.#last = keyOfObjectRow(key);
    this.#objects.push(headOf(this.#bucket, this.#last, decodeObjectRecord(value)));
    this.#next = after(key);
  }

  /** The row of the prefix itself, if there is one, is the first of them. */
  #addPrefix(folded: RowKey, { key, value }: Row): void {
    const prefix = keyOfObjectRow(folded);
    this.#prefixes.push(
      key === folded ? { prefix, head: headOf(this.#bucket, prefix, decodeObjectRecord(value)) } : { prefix }
    );
    this.#last = prefix;
    this.#next = successor(folded);
  }

  #foldedOf(row: RowKey): RowKey | undefined {
    if (this.#delimiter === undefined) return undefined;
    const position = row.indexOf(this.#delimiter, this.#prefixEnd);
    return position < 0 ? undefined : (row.slice(0, position + this.#delimiter.length) as RowKey);
  }
}

/** A directory wins over an object of the same name, as on a drive; the root is always a directory. */
export async function statPath(partition: RangePartition, { bucket, path }: StatInput): Promise<StatResult> {
  const { view, index, reads } = partition;
  if (path === '') {
    view.bucket(bucket);
    return { type: 'directory' };
  }
  const key = `${path}/`;
  const below = objectRows(bucket, key);
  const whole = { start: objectRow(bucket, path), end: below.end };
  return await reads.read(whole, async () => {
    view.bucket(bucket);
    const marker = view.find({ bucket, key });
    if (marker) return { type: 'directory', head: headOf(bucket, key, marker) };
    if ((await index.range(below, 1)).length > 0) return { type: 'directory' };
    const record = view.find({ bucket, key: path });
    return record ? { type: 'object', head: headOf(bucket, path, record) } : { type: 'none' };
  });
}

/** Of a whole bucket it is counted all the time; of a prefix it is counted now. */
export async function usageOf(
  partition: RangePartition,
  { bucket, prefix = '' }: UsageInput
): Promise<UsageResult> {
  const range = objectRows(bucket, prefix);
  return await partition.reads.read(range, async () => {
    partition.view.bucket(bucket);
    if (prefix === '') return partition.view.usage(bucket);
    let objectCount = 0;
    let bytes = 0;
    for await (const rows of partition.index.pages(range, SCAN_PAGE_ROWS)) {
      objectCount += rows.length;
      for (const { value } of rows) bytes += decodeObjectRecord(value).size;
    }
    return { objectCount, bytes };
  });
}

/** Continuation tokens of every listing: the last name given. */
export function encodeToken(last: string): string {
  return `after:${Buffer.from(last).toString('base64url')}`;
}

/** @throws StoreError `InvalidArgument` */
export function decodeToken(token: string): string {
  const encoded = /^after:([\w-]*)$/.exec(token)?.[1];
  if (encoded === undefined)
    throw new StoreError(
      'InvalidArgument',
      'The continuation token is not one of this store. List from the start.'
    );
  return textOf(Buffer.from(encoded, 'base64url').toString('latin1'));
}
