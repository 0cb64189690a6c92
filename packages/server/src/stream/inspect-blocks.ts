import assert from 'node:assert/strict';
import type { ExtentId } from '../api/index.js';
import type { DiskFile } from '../platform/index.js';
import {
  BLOCK_ALIGNMENT,
  BLOCK_BYTES_MAX,
  BLOCK_MAGIC_BYTES,
  type BlockHeader,
  type BlockPlace,
  decodeBlockHeader,
  isPayloadIntact
} from './block-format.js';

/** At least one block of any size, and large enough for the disk's full speed. */
const WINDOW_BYTES = 8 * 1024 * 1024;

export interface InspectOptions {
  readonly file: DiskFile;
  readonly extentId: ExtentId;
  readonly start: number;
  /** Blocks that end after it count as damaged. */
  readonly limit: number;
  /** Stops at the first damaged block. */
  readonly stopsAtDamage?: boolean;
}

export interface Inspection {
  /** Every byte of [start, goodEnd) belongs to an intact block. */
  readonly goodEnd: number;
  /** The end of the last intact block, or `start`; past `goodEnd` when damage lies between. */
  readonly lastGoodEnd: number;
  /** The greatest durable length that an intact block recorded. */
  readonly durableLength: number;
}

export type BlockCheck =
  | { readonly result: 'intact'; readonly header: BlockHeader }
  /** The bytes at hand end before the block does. */
  | { readonly result: 'short' }
  | { readonly result: 'damaged' };

const SHORT: BlockCheck = { result: 'short' };
const DAMAGED: BlockCheck = { result: 'damaged' };

/** Verifies the block that should start at `at` of `bytes`, every byte of it. */
export function checkBlock(bytes: Buffer, at: number, place: BlockPlace): BlockCheck {
  const header = decodeBlockHeader(bytes, at, place);
  if (header === 'short') return SHORT;
  if (header === 'bad') return DAMAGED;
  if (bytes.byteLength - at < header.blockBytes) return SHORT;
  const payloadAt = at + header.headerBytes;
  const payload = bytes.subarray(payloadAt, payloadAt + header.payloadLength);
  if (!isPayloadIntact(bytes, at, payload)) return DAMAGED;
  return { result: 'intact', header };
}

/** The whole blocks at the start of `bytes`, which lie at `place`, that are intact. */
export function intactRun(bytes: Buffer, { extentId, offset }: BlockPlace): Buffer {
  let at = 0;
  while (at < bytes.byteLength) {
    const check = checkBlock(bytes, at, { extentId, offset: offset + at });
    if (check.result !== 'intact') break;
    at += check.header.blockBytes;
  }
  return bytes.subarray(0, at);
}

/** Verifies the blocks of a file in order, in large reads, and looks for intact ones after damage. */
export async function inspectBlocks(options: InspectOptions): Promise<Inspection> {
  const { extentId, limit } = options;
  const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(WINDOW_BYTES, limit - options.start)));
  const tally: Tally = { damagedAt: undefined, lastGoodEnd: options.start, durableLength: 0 };
  for (let offset = options.start; offset < limit; ) {
    const wanted = Math.min(buffer.byteLength, limit - offset);
    const view = buffer.subarray(0, await options.file.read(buffer.subarray(0, wanted), offset));
    const isLast = view.byteLength < wanted || offset + wanted === limit;
    offset += inspectView({ view, place: { extentId, offset }, isLast, tally, options });
    if (isLast || (options.stopsAtDamage && tally.damagedAt !== undefined)) break;
  }
  return {
    goodEnd: tally.damagedAt ?? tally.lastGoodEnd,
    lastGoodEnd: tally.lastGoodEnd,
    durableLength: tally.durableLength
  };
}

interface Tally {
  damagedAt: number | undefined;
  lastGoodEnd: number;
  durableLength: number;
}

interface ViewInspection {
  /** Starts at a block boundary, `place`. */
  readonly view: Buffer;
  readonly place: BlockPlace;
  /** Nothing follows the view, so a block that it does not hold whole is damaged. */
  readonly isLast: boolean;
  readonly tally: Tally;
  readonly options: InspectOptions;
}

/** Looks at the blocks that lie whole in the view; returns where in it the next view has to start. */
function inspectView({ view, place, isLast, tally, options }: ViewInspection): number {
  let at = 0;
  while (at < view.byteLength) {
    const here = { extentId: place.extentId, offset: place.offset + at };
    const check = checkBlock(view, at, here);
    if (check.result === 'intact') {
      at += check.header.blockBytes;
      tally.lastGoodEnd = place.offset + at;
      tally.durableLength = Math.max(tally.durableLength, check.header.durableLength);
      continue;
    }
    // A window holds any block whole, so what is short at its start is damaged too.
    if (check.result === 'short' && !isLast && at > 0) return at;
    tally.damagedAt ??= here.offset;
    if (options.stopsAtDamage) return at;
    const header = decodeBlockHeader(view, at, here);
    // A valid header says where the next block is even if its own payload is damaged.
    at = typeof header === 'object' ? at + header.blockBytes : findHeader(view, at + BLOCK_ALIGNMENT, place);
  }
  return at;
}

/** Where in `view` the next valid header may start; `view.byteLength` at the latest. */
function findHeader(view: Buffer, from: number, viewPlace: BlockPlace): number {
  for (let at = view.indexOf(BLOCK_MAGIC_BYTES, from); at >= 0; ) {
    const isAligned = at % BLOCK_ALIGNMENT === 0;
    const place = { extentId: viewPlace.extentId, offset: viewPlace.offset + at };
    if (isAligned && decodeBlockHeader(view, at, place) !== 'bad') return at;
    at = view.indexOf(BLOCK_MAGIC_BYTES, at + 1);
  }
  // The view starts at a block boundary, so its aligned end keeps the alignment; a header may begin right before it.
  const lastAligned = view.byteLength - (view.byteLength % BLOCK_ALIGNMENT);
  return Math.max(from, lastAligned);
}

assert(WINDOW_BYTES >= BLOCK_BYTES_MAX, 'a window holds the longest block whole');
