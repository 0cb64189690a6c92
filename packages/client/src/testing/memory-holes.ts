import { type HolesResult, LIMITS } from '@stampede/server/api';

/** Shorter runs of zeros are bytes as any others. */
const BLOCK_BYTES = 4096;
const ZEROS = new Uint8Array(BLOCK_BYTES);

/** The in-memory store keeps holes as zeros: whatever is zeros for a while counts as one. */
export function holesIn(body: Uint8Array, offset: number): Omit<HolesResult, 'head'> {
  const holes: { offset: number; length: number }[] = [];
  for (let at = offset; at < body.length; ) {
    const block = body.subarray(at, at + BLOCK_BYTES);
    if (Buffer.compare(block, ZEROS.subarray(0, block.length)) !== 0) {
      at = lastNonZero(body, at, at + block.length) + 1;
      continue;
    }
    let end = at;
    while (end < body.length && body[end] === 0) end++;
    if (end - at >= BLOCK_BYTES) {
      if (holes.length === LIMITS.listKeysMax) return { holes, nextOffset: at };
      holes.push({ offset: at, length: end - at });
    }
    at = end;
  }
  return { holes };
}

/** A run of zeros that a block begins or ends with may go on in the next one. */
function lastNonZero(body: Uint8Array, start: number, end: number): number {
  let at = end - 1;
  while (at > start && body[at] === 0) at--;
  return at;
}
