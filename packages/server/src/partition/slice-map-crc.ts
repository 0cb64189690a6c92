import { combineCrc32c, crc32cOfZeros } from '../api/index.js';
import { isSlice, type Piece } from './slice.js';

/*
 * The algebra of checksums by which an edit changes an object's CRC32C without reading the rest of the object:
 * crc(A ‖ B) = crc(A)·x^(8·|B|) + crc(B) over GF(2), so each part can be taken out or replaced when its own is known.
 */

/** The order of x modulo Castagnoli's polynomial: multiplying by x^(8·ORDER) changes nothing. */
const ORDER = 2 ** 31 - 1;

/** Unknown as soon as one part is. */
export type KnownCrc = number | undefined;

/** CRC32C of a ‖ b. */
export function appendCrc(crcA: KnownCrc, crcB: KnownCrc, lengthB: number): KnownCrc {
  return crcA === undefined || crcB === undefined ? undefined : combineCrc32c(crcA, crcB, lengthB);
}

/** CRC32C of a from those of a ‖ b and b. */
export function cutCrc(crcAB: KnownCrc, crcB: KnownCrc, lengthB: number): KnownCrc {
  if (crcAB === undefined || crcB === undefined) return undefined;
  // Dividing by x^n is multiplying by x^(ORDER·8 - n).
  return combineCrc32c((crcAB ^ crcB) >>> 0, 0, ORDER - (lengthB % ORDER));
}

/** CRC32C of a whole in which a part was replaced by another of the same length, `suffixLength` bytes before the end. */
export function replaceCrc(
  whole: KnownCrc,
  parts: { readonly before: KnownCrc; readonly after: KnownCrc; readonly suffixLength: number }
): KnownCrc {
  if (whole === undefined || parts.before === undefined || parts.after === undefined) return undefined;
  return (whole ^ combineCrc32c((parts.before ^ parts.after) >>> 0, 0, parts.suffixLength)) >>> 0;
}

/** CRC32C of all bytes of `pieces`; unknown when any slice's is. */
export function crcOfPieces(pieces: Iterable<Piece>): KnownCrc {
  let crc = 0;
  for (const piece of pieces) {
    const next = isSlice(piece) ? piece.crc32c : crc32cOfZeros(piece.length);
    if (next === undefined) return undefined;
    crc = combineCrc32c(crc, next, piece.length);
  }
  return crc;
}
