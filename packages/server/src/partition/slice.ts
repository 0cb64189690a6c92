import type { ExtentId } from '../api/index.js';

/**
 * Contiguous bytes of an object within the payload of one block of the log.
 * `crc32c` is that of exactly these bytes; absent after a cut, since it cannot be known without reading.
 */
export interface Slice {
  readonly extentId: ExtentId;
  /** Of the block's header in the extent, bytes. */
  readonly blockOffset: number;
  /** First byte within the block's payload. */
  readonly start: number;
  readonly length: number;
  readonly crc32c?: number;
}

/** Zeros that take no space. */
export interface Hole {
  readonly length: number;
}

export type Piece = Slice | Hole;

export function isSlice(piece: Piece): piece is Slice {
  return 'extentId' in piece;
}
