import { StoreError } from '../api/index.js';

/*
 * The rows of a partition's index, by kind. A row's key is a string with one character for each byte, so that comparing
 * strings compares bytes.
 *
 *   B bucket                      a bucket                  N bucket                 its count of objects and bytes
 *   O bucket NUL key              an object                 P layoutId pageNumber    a page of its slices
 *   U bucket NUL key NUL upload   an upload                 W upload sequence        what was written to it
 *   T upload partNumber           a part of it              L extentId               bytes of an extent in use
 *   Q period requestId            the answer to a request   X sequence               a change of a prefix under way
 *   Mposition                     where in the commit log the index stands
 */

declare const brand: unique symbol;
export type RowKey = string & { readonly [brand]: 'RowKey' };

/** A half-open range of rows. */
export interface RowRange {
  readonly start: RowKey;
  readonly end: RowKey;
}

const NUL = '\0';
const UPLOAD_ID_LENGTH = 16;

export const bucketRow = (bucket: string): RowKey => asRowKey(`B${bucket}`);
export const usageRow = (bucket: string): RowKey => asRowKey(`N${bucket}`);
export const objectRow = (bucket: string, key: string): RowKey => asRowKey(`O${bucket}${NUL}${bytesOf(key)}`);
export const pageRow = (layoutId: number, pageNumber: number): RowKey =>
  asRowKey(`P${hex(layoutId, 14)}${hex(pageNumber, 6)}`);
export const uploadRow = (bucket: string, key: string, uploadId: string): RowKey =>
  asRowKey(`U${bucket}${NUL}${bytesOf(key)}${NUL}${uploadId}`);
export const operationRow = (uploadId: string, sequence: number): RowKey =>
  asRowKey(`W${uploadId}${hex(sequence, 14)}`);
export const partRow = (uploadId: string, partNumber: number): RowKey =>
  asRowKey(`T${uploadId}${hex(partNumber, 4)}`);
export const liveBytesRow = (extentId: number): RowKey => asRowKey(`L${hex(extentId, 14)}`);
export const requestRow = (period: number, requestId: string): RowKey =>
  asRowKey(`Q${hex(period, 8)}${bytesOf(requestId)}`);
export const positionRow = (): RowKey => asRowKey('Mposition');
/** A change of a whole prefix that is under way. */
export const prefixChangeRow = (sequence: number): RowKey => asRowKey(`X${hex(sequence, 14)}`);
export const prefixChangeRows = (): RowRange => rowsUnder('X');

export const ALL_ROWS: RowRange = { start: asRowKey(''), end: asRowKey('\u00ff') };
export const bucketRows = (prefix: string): RowRange => rowsUnder(`B${prefix}`);
export const objectRows = (bucket: string, prefix: string): RowRange => rowsUnder(objectRow(bucket, prefix));
export const uploadRows = (bucket: string, prefix: string): RowRange =>
  rowsUnder(`U${bucket}${NUL}${bytesOf(prefix)}`);
export const everyObjectRow = (): RowRange => rowsUnder('O');
export const everyUploadRow = (): RowRange => rowsUnder('U');
export const operationRows = (uploadId: string): RowRange => rowsUnder(`W${uploadId}`);
export const partRows = (uploadId: string): RowRange => rowsUnder(`T${uploadId}`);
export const liveBytesRows = (): RowRange => rowsUnder('L');
export const everyUsageRow = (): RowRange => rowsUnder('N');
/** The requests of all periods before one. */
export const requestRowsBefore = (period: number): RowRange => ({
  start: asRowKey('Q'),
  end: asRowKey(`Q${hex(period, 8)}`)
});
export const requestRowsFrom = (period: number): RowRange => ({
  start: asRowKey(`Q${hex(period, 8)}`),
  end: successor('Q')
});

export function bucketOfRow(row: RowKey): string {
  return row.slice(1);
}

export function placeOfObjectRow(row: RowKey): { readonly bucket: string; readonly key: string } {
  return { bucket: row.slice(1, row.indexOf(NUL)), key: keyOfObjectRow(row) };
}

export function keyOfObjectRow(row: RowKey): string {
  return textOf(row.slice(row.indexOf(NUL) + 1));
}

/** A key may hold NUL itself: bucket names do not, and an upload id has a fixed length. */
export function partsOfUploadRow(row: RowKey): {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
} {
  const bucketEnd = row.indexOf(NUL);
  const keyEnd = row.length - UPLOAD_ID_LENGTH - 1;
  return {
    bucket: row.slice(1, bucketEnd),
    key: textOf(row.slice(bucketEnd + 1, keyEnd)),
    uploadId: row.slice(keyEnd + 1)
  };
}

export function extentOfLiveBytesRow(row: RowKey): number {
  return Number.parseInt(row.slice(1), 16);
}

export function partNumberOfRow(row: RowKey): number {
  return Number.parseInt(row.slice(1 + UPLOAD_ID_LENGTH), 16);
}

export function requestOfRow(row: RowKey): { readonly period: number; readonly requestId: string } {
  return { period: Number.parseInt(row.slice(1, 9), 16), requestId: textOf(row.slice(9)) };
}

/** The id of the upload that a sequence number creates. */
export const uploadIdOf = (sequence: number): string => hex(sequence, UPLOAD_ID_LENGTH);

export function rowsUnder(prefix: string): RowRange {
  return { start: asRowKey(prefix), end: successor(prefix) };
}

/** The first key that sorts after everything that starts with `prefix`. */
export function successor(prefix: string): RowKey {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 0xff) end -= 1;
  return asRowKey(prefix.slice(0, end - 1) + String.fromCharCode(prefix.charCodeAt(end - 1) + 1));
}

/** The first key after this one. */
export const after = (row: string): RowKey => asRowKey(`${row}${NUL}`);

export const encodeRowKey = (row: RowKey): Uint8Array => Buffer.from(row, 'latin1');
export const decodeRowKey = (bytes: Uint8Array): RowKey =>
  asRowKey(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'));

/** UTF-8 as one character for each byte. */
export function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

export function textOf(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function asRowKey(text: string): RowKey {
  return text as RowKey;
}

/** Fixed width, so that the order of the text is that of the numbers. */
function hex(value: number, length: number): string {
  const text = value.toString(16);
  if (text.length > length) throw new StoreError('InternalError', `${value} does not fit a row key`);
  return text.padStart(length, '0');
}
