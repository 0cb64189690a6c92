import type { Random } from './random.js';

/** A deterministic generator: the same seed gives the same sequence on every machine. Not fit for secrets. */
export function seededRandom(seed: number): Random {
  const next = xorshift128(seed);
  const bytes = (length: number): Uint8Array => {
    const result = new Uint8Array(length);
    for (let index = 0; index < length; index++) result[index] = next() & 0xff;
    return result;
  };
  return {
    bytes,
    // 53 bits, all that a fraction can hold.
    fraction: () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53,
    uuid: () => formatUuid(bytes(16))
  };
}

function formatUuid(bytes: Uint8Array): string {
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Marsaglia, "Xorshift RNGs" (2003), the generator with 128 bits of state; gives unsigned 32-bit numbers. */
function xorshift128(seed: number): () => number {
  // Multiplicative steps spread near seeds apart; a state of all zeros would stay there.
  const spread = (value: number): number => {
    let mixed = (value + 0x9e3779b9) | 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return mixed ^ (mixed >>> 16);
  };
  let x = spread(seed | 0);
  let y = spread(x ^ Math.floor(seed / 2 ** 32));
  let z = spread(y);
  let w = spread(z) | 1;
  return () => {
    const t = x ^ (x << 11);
    x = y;
    y = z;
    z = w;
    w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
    return w >>> 0;
  };
}
