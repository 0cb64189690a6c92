import { type HolesResult, LIMITS } from '@stampede/server/api';

/** Shorter runs of zeros are bytes as any others. */
const BLOCK_BYTES = 4096;
const ZEROS = new Uint8Array(BLOCK_BYTES);

/** The in-memory store keeps holes as zeros: whatever is zeros for a while counts as one. */
export function holesIn(body: Uint8Array, offset: number): Omit<HolesResult, 'head'> {
  const holes: { offset: number; length: number }[] = [];
  for (let at = offset; at < body.length; ) {
    const block = body.subarray(at, at + BLOCK_BYTES);
    if (!isZeros(block)) {
      at = lastNonZero(body, at, at + block.length) + 1;
      continue;
    }
    let end = at;
    while (end + BLOCK_BYTES <= body.length && isZeros(body.subarray(end, end + BLOCK_BYTES)))
      end += BLOCK_BYTES;
    while (end < body.length && body[end] === 0) end++;
    if (end - at >= BLOCK_BYTES) {
      if (holes.length === LIMITS.listKeysMax) return { holes, nextOffset: at };
      holes.push({ offset: at, length: end - at });
    }
    at = end;
  }
  return { holes };
}

/** How many bytes lie in holes. */
export function holeBytesIn(body: Uint8Array): number {
  let bytes = 0;
  for (let offset: number | undefined = 0; offset !== undefined; ) {
    const page: Omit<HolesResult, 'head'> = holesIn(body, offset);
    bytes += page.holes.reduce((sum, { length }) => sum + length, 0);
    offset = page.nextOffset;
  }
  return bytes;
}

/** Of at most a block. */
function isZeros(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0;
}

/** A run of zeros that a block begins or ends with may go on in the next one. */
function lastNonZero(body: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at > start && body[at] === 0) at--;
  return at;
}
