import { z } from 'zod';
import { type MemberId, memberId, type PartitionId, partitionId, StoreError } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';

/*
 * The partition map: rows /partitions/<id> of the meta store, JSON. A server becomes the owner of a range by raising
 * its epoch in one compare-and-set; the streams of the partition then refuse all earlier owners.
 */

const PREFIX = '/partitions/';
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

/** Takes a range over, under an epoch that is greater than every earlier owner's. */
export async function takeRange(
  meta: MetaStore,
  range: PartitionRange,
  { owner, signal }: { readonly owner: MemberId; readonly signal: AbortSignal }
): Promise<OwnedRange> {
  const key = PREFIX + range.partitionId;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const entry = await meta.find(key, { signal });
    const before = entry && decodeRow(range.partitionId, entry.value);
    const owned: OwnedRange = { ...range, ...before, owner, epoch: (before?.epoch ?? 0) + 1 };
    const { committed } = await meta.transact(
      { compares: [{ key, revision: entry?.revision ?? 0 }], puts: [{ key, value: encodeRow(owned) }] },
      { signal }
    );
    if (committed) return owned;
  }
  throw new StoreError(
    'ServiceUnavailable',
    `The partition ${range.partitionId} changes owners all the time.`
  );
}

function encodeRow({ startKey, endKey, epoch, owner }: OwnedRange): Uint8Array {
  return Buffer.from(JSON.stringify({ startKey, endKey, epoch, owner }));
}

function decodeRow(id: PartitionId, value: Uint8Array): OwnedRange {
  const parsed = rowSchema.safeParse(JSON.parse(Buffer.from(value).toString()));
  if (!parsed.success)
    throw new StoreError('ChecksumMismatch', `The row of ${id} in the partition map cannot be read.`);
  const { startKey, endKey, epoch, owner } = parsed.data;
  return { partitionId: id, startKey, endKey, epoch, owner: memberId(owner) };
}
