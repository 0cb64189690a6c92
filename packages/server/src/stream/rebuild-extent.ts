import { type ExtentId, StoreError } from '../api/index.js';
import type { DiskFile } from '../platform/index.js';
import {
  EXTENT_HEADER_BYTES,
  encodeExtentHeader,
  encodeExtentSlot,
  extentSlotOffset
} from './extent-format.js';
import type { FetchMessage } from './extent-node-api.js';
import { intactRun } from './inspect-blocks.js';
import type { Pacer } from './pacer.js';

/** At least one block of any size. */
const RUN_BYTES_MAX = 8 * 1024 * 1024;
/** So that no sync of the disk has much to do while appends wait for theirs. */
const UNSYNCED_BYTES_MAX = 32 * 1024 * 1024;

/** Gives raw bytes of one replica of the extent. */
export type FetchBytes = (message: FetchMessage) => Promise<Uint8Array>;

export interface RebuildOptions {
  readonly file: DiskFile;
  readonly extentId: ExtentId;
  readonly epoch: number;
  readonly length: number;
  /** In order of preference; each block comes from the first that has it intact. */
  readonly sources: readonly FetchBytes[];
  readonly pacer: Pacer;
}

/**
 * Fills an empty file with a sealed replica, every block verified, and syncs it.
 * @throws StoreError `ChecksumMismatch` when some block is intact nowhere, `ReplicaUnavailable` when a source that may
 * have it does not answer.
 */
export async function rebuildExtent({
  file,
  extentId,
  epoch,
  length,
  sources,
  pacer
}: RebuildOptions): Promise<void> {
  await file.write([encodeExtentHeader({ extentId, epoch })], 0);
  const slot = { state: 'sealed', generation: 2, epoch, length } as const;
  await file.write([encodeExtentSlot(extentId, slot)], extentSlotOffset(slot.generation));
  let syncedTo = 0;
  const inOrder = [...sources];
  for (let offset = EXTENT_HEADER_BYTES; offset < length; ) {
    const wanted = Math.min(RUN_BYTES_MAX, length - offset);
    const run = await fetchIntactRun(inOrder, { extentId, offset, length: wanted });
    await file.write([run], offset);
    offset += run.byteLength;
    if (offset - syncedTo >= UNSYNCED_BYTES_MAX) {
      await file.sync();
      syncedTo = offset;
    }
    await pacer.spend(run.byteLength);
  }
  await file.sync();
}

/** A source that does not answer is asked last from then on. */
async function fetchIntactRun(sources: FetchBytes[], message: FetchMessage): Promise<Uint8Array> {
  let failure: unknown;
  for (const fetch of [...sources]) {
    try {
      const bytes = await fetch(message);
      const run = intactRun(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), message);
      if (run.byteLength > 0) return run;
    } catch (error) {
      failure = error;
      sources.splice(sources.indexOf(fetch), 1);
      sources.push(fetch);
    }
  }
  const place = `block at ${message.offset} of extent ${message.extentId}`;
  if (failure === undefined) {
    throw new StoreError('ChecksumMismatch', `No replica has the ${place} intact. Restore it from a backup.`);
  }
  const advice = 'and some did not answer. Try again when they do.';
  throw new StoreError('ReplicaUnavailable', `No replica that answered has the ${place}, ${advice}`, {
    cause: failure
  });
}
