import { type PrefixResult, pack, StoreError, unpack } from '../api/index.js';
import type { ApplyContext } from './apply-context.js';
import type { PrefixMutation } from './apply-mutation.js';
import type { ChangeEvent } from './change-history.js';
import { decodeObjectRecord } from './object-record.js';
import type { Row } from './partition-index.js';
import { after, keyOfObjectRow, objectRow, objectRows, type RowKey, type RowRange } from './row-key.js';

/*
 * A change of every key below a prefix: one record of the log, applied in steps of bounded size. What is left of it
 * is a row of the index, written in the same batch as each step, so that a restart goes on where it was. Meanwhile its
 * ranges are locked for mutations and closed for readers.
 */

const VERSION = 1;
/** Rows that one step changes. */
export const PREFIX_STEP_ROWS = 500;

export interface PrefixChange {
  readonly sequence: number;
  readonly atMs: number;
  readonly requestId: string | undefined;
  readonly body: PrefixMutation;
  /** Where the next step starts. */
  readonly next: RowKey;
  /** How many objects the earlier steps changed. */
  readonly objectCount: number;
}

export function encodePrefixChange(change: PrefixChange): Uint8Array {
  const { sequence, atMs, requestId, body, next, objectCount } = change;
  return pack([VERSION, sequence, atMs, requestId ?? null, body, Buffer.from(next, 'latin1'), objectCount]);
}

export function decodePrefixChange(bytes: Uint8Array): PrefixChange {
  const fields = unpack(bytes) as [number, number, number, string | null, PrefixMutation, Uint8Array, number];
  const [version, sequence, atMs, requestId, body, next, objectCount] = fields;
  if (version !== VERSION)
    throw new StoreError('ChecksumMismatch', `A change of a prefix has version ${version}, not ${VERSION}.`);
  return {
    sequence,
    atMs,
    requestId: requestId ?? undefined,
    body,
    next: Buffer.from(next).toString('latin1') as RowKey,
    objectCount
  };
}

/** The rows that a change reads or writes. */
export function rangesOf(body: PrefixMutation): readonly RowRange[] {
  const from = objectRows(body.bucket, body.prefix);
  return body.type === 'renamePrefix' ? [from, objectRows(body.bucket, body.to)] : [from];
}

export function sourceOf({ bucket, prefix }: PrefixMutation): RowRange {
  return objectRows(bucket, prefix);
}

/** Changes the rows of one step, which starts at `change.next`. */
export function applyPrefixStep(
  context: ApplyContext,
  change: PrefixChange,
  rows: readonly Row[]
): PrefixChange {
  const { body } = change;
  for (const { key, value } of rows) {
    if (body.type === 'renamePrefix') moveRow(context, body, { key, value });
    else removeRow(context, body.bucket, { key, value });
  }
  const last = rows.at(-1);
  return {
    ...change,
    next: last ? after(last.key) : change.next,
    objectCount: change.objectCount + rows.length
  };
}

/** The row moves as it is: neither bytes nor pages are touched. */
function moveRow(
  context: ApplyContext,
  { bucket, prefix, to }: Extract<PrefixMutation, { type: 'renamePrefix' }>,
  { key, value }: Row
): void {
  const target = (objectRow(bucket, to) + key.slice(objectRow(bucket, prefix).length)) as RowKey;
  // Only the marker of the target may be there.
  const replaced = context.get(target);
  if (replaced) {
    const record = decodeObjectRecord(replaced);
    context.release(record);
    context.count(bucket, { objectCount: -1, bytes: -record.size });
  }
  context.delete(key);
  context.put(target, value);
}

function removeRow(context: ApplyContext, bucket: string, { key, value }: Row): void {
  context.remove({ bucket, key: keyOfObjectRow(key) }, decodeObjectRecord(value));
}

export function eventOf(body: PrefixMutation): ChangeEvent {
  const { bucket, prefix } = body;
  return body.type === 'renamePrefix'
    ? { type: 'renamePrefix', bucket, prefix, to: body.to }
    : { type: 'deletePrefix', bucket, prefix };
}

export function resultOf({ objectCount }: PrefixChange): PrefixResult {
  return { objectCount };
}
