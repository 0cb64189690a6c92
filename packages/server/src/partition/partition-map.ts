import { z } from 'zod';
import { type MemberId, memberId, type PartitionId, partitionId, StoreError } from '../api/index.js';
import type { MetaEntry, MetaStore } from '../coordination/index.js';

/*
 * The partition map: rows /partitions/<id> of the meta store, JSON. A server becomes the owner of a range by raising
 * its epoch in one compare-and-set; the streams of the partition then refuse all earlier owners.
 */

export const PARTITION_MAP_PREFIX = '/partitions/';
const ATTEMPTS_MAX = 10;

export interface PartitionRange {
  readonly partitionId: PartitionId;
  /** `bucket NUL key` as bytes, one character each; '' = from the first. */
  readonly startKey: string;
  /** Exclusive; '' = to the last. */
  readonly endKey: string;
}

export interface OwnedRange extends PartitionRange {
  readonly epoch: number;
  readonly owner: MemberId;
}

const rowSchema = z.object({
  startKey: z.string(),
  endKey: z.string(),
  epoch: z.int().nonnegative(),
  owner: z.string()
});

/** The only range until partitions are split: every key there is. */
export const WHOLE_RANGE: PartitionRange = {
  partitionId: partitionId('partition-1'),
  startKey: '',
  endKey: ''
};

export interface TakeRangeOptions {
  readonly owner: MemberId;
  readonly signal: AbortSignal;
  /** Only a range that the map gives to `owner` already, as among several servers. */
  readonly onlyIfAssigned?: boolean | undefined;
}

/**
 * Takes a range over, under an epoch that is greater than every earlier owner's.
 *
 * @throws StoreError `WrongPartition` when the map gives it to another server.
 */
export async function takeRange(
  meta: MetaStore,
  range: PartitionRange,
  { owner, signal, onlyIfAssigned }: TakeRangeOptions
): Promise<OwnedRange> {
  const key = PARTITION_MAP_PREFIX + range.partitionId;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const entry = await meta.find(key, { signal });
    const before = entry && decodeRange(entry);
    if (onlyIfAssigned && before?.owner !== owner)
      throw new StoreError(
        'WrongPartition',
        `The partition ${range.partitionId} belongs to ${before?.owner ?? 'nobody'}, not to ${owner}.`
      );
    const owned: OwnedRange = { ...range, ...before, owner, epoch: (before?.epoch ?? 0) + 1 };
    const { committed } = await meta.transact(
      { compares: [{ key, revision: entry?.revision ?? 0 }], puts: [{ key, value: encodeRange(owned) }] },
      { signal }
    );
    if (committed) return owned;
  }
  throw new StoreError(
    'ServiceUnavailable',
    `The partition ${range.partitionId} changes owners all the time.`
  );
}

export function encodeRange({ startKey, endKey, epoch, owner }: OwnedRange): Uint8Array {
  return Buffer.from(JSON.stringify({ startKey, endKey, epoch, owner }));
}

/** Rows are looked at with each call and change rarely. */
const decoded = new WeakMap<MetaEntry, OwnedRange>();

/** @throws StoreError `ChecksumMismatch` for a row that cannot be read. */
export function decodeRange(entry: MetaEntry): OwnedRange {
  let range = decoded.get(entry);
  if (!range) {
    range = decodeRow(entry);
    decoded.set(entry, range);
  }
  return range;
}

function decodeRow({ key, value }: MetaEntry): OwnedRange {
  const id = partitionId(key.slice(PARTITION_MAP_PREFIX.length));
  const parsed = rowSchema.safeParse(parseJson(value));
  if (!parsed.success)
    throw new StoreError('ChecksumMismatch', `The row of ${id} in the partition map cannot be read.`);
  const { startKey, endKey, epoch, owner } = parsed.data;
  return { partitionId: id, startKey, endKey, epoch, owner: memberId(owner) };
}

function parseJson(value: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(value).toString());
  } catch {
    return undefined;
  }
}
