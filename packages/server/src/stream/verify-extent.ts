import type { ExtentId } from '../api/index.js';
import type { BlockPlace } from './block-format.js';
import { decodeExtentHeader, EXTENT_HEADER_BYTES } from './extent-format.js';
import type { VerifyAnswer } from './extent-node-api.js';
import { checkBlock } from './inspect-blocks.js';
import type { Pacer } from './pacer.js';

/** At least one block of any size. */
const WINDOW_BYTES = 8 * 1024 * 1024;
/** What seems damaged is read again, since a read can fail where the bytes are well. */
const READS_MAX = 2;

export interface VerifyOptions {
  readonly extentId: ExtentId;
  /** Of the sealed extent. */
  readonly length: number;
  /** Bytes as they are on the disk; short at the end of the file. */
  readonly read: (offset: number, length: number) => Promise<Buffer>;
  readonly pacer: Pacer;
}

/** Reads a sealed replica from its header to its end and compares every checksum. */
export async function verifyExtent({ extentId, length, read, pacer }: VerifyOptions): Promise<VerifyAnswer> {
  const header = await read(0, EXTENT_HEADER_BYTES);
  await pacer.spend(header.byteLength);
  let blockCount = 0;
  let offset = EXTENT_HEADER_BYTES;
  if (!isSealedHeader(header, extentId, length)) {
    return { blockCount, verifiedBytes: 0, isIntact: false };
  }
  for (let readCount = 0; offset < length && readCount < READS_MAX; ) {
    const view = await read(offset, Math.min(WINDOW_BYTES, length - offset));
    await pacer.spend(view.byteLength);
    const run = countIntact(view, { extentId, offset });
    blockCount += run.blockCount;
    offset += run.bytes;
    readCount = run.bytes > 0 ? 0 : readCount + 1;
  }
  return { blockCount, verifiedBytes: offset, isIntact: offset === length };
}

function isSealedHeader(bytes: Buffer, extentId: ExtentId, length: number): boolean {
  const { identity, slot } = decodeExtentHeader(bytes, extentId);
  return identity !== undefined && slot?.state === 'sealed' && slot.length === length;
}

/** The whole, intact blocks at the start of `view`. */
function countIntact(
  view: Buffer,
  place: BlockPlace
): { readonly blockCount: number; readonly bytes: number } {
  let blockCount = 0;
  let bytes = 0;
  while (bytes < view.byteLength) {
    const check = checkBlock(view, bytes, { ...place, offset: place.offset + bytes });
    if (check.result !== 'intact') break;
    blockCount += 1;
    bytes += check.header.blockBytes;
  }
  return { blockCount, bytes };
}
