import { combineCrc32c, crc32c, crc32cOfZeros, isStoreError } from '../api/index.js';
import type { StreamLayer } from '../stream/index.js';
import { isSlice, type Piece } from './slice.js';
import { cutPiece, lengthOfPieces } from './slice-map-pieces.js';

/** Blocks of one read that are fetched at the same time. */
const PARALLEL_READS = 8;
/** What is read at once to find a checksum. */
const CHECK_BYTES = 4 * 1024 * 1024;

interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The bytes of pieces, back to back; verified, and the caller's own. */
export async function readPieces(
  layer: StreamLayer,
  pieces: readonly Piece[],
  options: ReadOptions = {}
): Promise<Uint8Array> {
  const [first] = pieces;
  if (!first) return new Uint8Array(0);
  if (pieces.length === 1 && isSlice(first)) return await readSlice(layer, first, options);
  const into = new Uint8Array(lengthOfPieces(pieces));
  const starts: { readonly piece: Piece; readonly at: number }[] = [];
  let at = 0;
  for (const piece of pieces) {
    if (isSlice(piece)) starts.push({ piece, at });
    at += piece.length;
  }
  let next = 0;
  const readNext = async (): Promise<void> => {
    for (let start = starts[next++]; start; start = starts[next++])
      into.set(await readSlice(layer, start.piece, options), start.at);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_READS, starts.length) }, readNext));
  return into;
}

async function readSlice(layer: StreamLayer, piece: Piece, { signal }: ReadOptions): Promise<Uint8Array> {
  if (!isSlice(piece)) return new Uint8Array(piece.length);
  const { extentId, blockOffset, start, length } = piece;
  return await layer.readBlock({ extentId, blockOffset, start, length }, signal ? { signal } : {});
}

/** The checksum of pieces; those whose checksum is not known are read. */
export async function checksumOf(
  layer: StreamLayer,
  pieces: Iterable<Piece>,
  options: ReadOptions = {}
): Promise<number> {
  let checksum = 0;
  for (const piece of pieces) {
    if (!isSlice(piece)) checksum = combineCrc32c(checksum, crc32cOfZeros(piece.length), piece.length);
    else if (piece.crc32c !== undefined) checksum = combineCrc32c(checksum, piece.crc32c, piece.length);
    else
      for (let at = 0; at < piece.length; at += CHECK_BYTES) {
        const part = cutPiece(piece, at, Math.min(piece.length, at + CHECK_BYTES));
        checksum = crc32c(await readSlice(layer, part, options), checksum);
      }
  }
  return checksum;
}

const ATTEMPTS_MAX = 4;

/**
 * Looks slices up and reads them. An extent that was given back in between means that its object was replaced or moved:
 * it is looked up again.
 */
export async function lookUpAndRead<Result>(run: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      if (!isStoreError(error, 'ExtentNotFound') || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}
