import { crc32c as nativeCrc32c } from '@node-rs/crc32';

/** CRC32C (Castagnoli) of `bytes`, continuing from `previous`; an unsigned 32-bit number. Uses the CPU's instruction. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return nativeCrc32c(bytes as Buffer, previous);
}

/** CRC32C of a ‖ b from the CRC32C of each and the length of b, without the bytes. O(log length). */
export function combineCrc32c(crcA: number, crcB: number, lengthB: number): number {
  if (lengthB === 0) return crcA;
  return (multiplyModPoly(powerOfX(lengthB * 8), crcA) ^ crcB) >>> 0;
}

/** CRC32C of `length` zero bytes. */
export function crc32cOfZeros(length: number): number {
  // Appending zeros multiplies the inverted register by x^(8·length); the register starts and ends inverted.
  return (multiplyModPoly(powerOfX(length * 8), 0xffffffff) ^ 0xffffffff) >>> 0;
}

// Polynomials over GF(2) in reflected order: bit 31 is x^0. P is Castagnoli's, without its leading term.
const POLYNOMIAL = 0x82f63b78;
const ONE = 0x80000000;

function multiplyModPoly(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let mask = ONE; mask !== 0; mask >>>= 1) {
    if ((a & mask) !== 0) product ^= shifted;
    shifted = (shifted & 1) !== 0 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return product >>> 0;
}

/** squares[i] = x^(2^i) mod P. */
const squares: number[] = (() => {
  const table = [ONE >>> 1];
  for (let index = 1; index < 64; index++) {
    const last = table[index - 1]!;
    table.push(multiplyModPoly(last, last));
  }
  return table;
})();

function powerOfX(exponent: number): number {
  let result = ONE;
  let rest = exponent;
  for (let index = 0; rest > 0; index++) {
    if (rest % 2 === 1) result = multiplyModPoly(squares[index]!, result);
    rest = Math.floor(rest / 2);
  }
  return result >>> 0;
}
