import { crc32c } from '../api/index.js';

/*
 * The write-ahead log of the ordered store's engine, as far as a check of it must know:
 *
 *   file      blocks of 32 KiB, the last one shorter
 *   block     fragments back to back; fewer than 7 bytes at the end are padding
 *   fragment  masked CRC32C of type and payload u32 | payload length u16 | type u8 | payload   (little-endian)
 *   type      1 = a whole batch, 2 = the first part of one, 3 = a middle part, 4 = the last part
 *
 * At open the engine skips what does not match its checksum and goes on behind it, so that a damaged byte silently
 * costs up to a block of acknowledged batches while later ones stay. What a power cut leaves looks otherwise: one
 * group of batches is in flight at a time, so nothing that begins a batch follows what was torn.
 */

const BLOCK_BYTES = 32 * 1024;
const HEAD_BYTES = 7;
const WHOLE = 1;
const FIRST = 2;
const LAST = 4;
const MASK_DELTA = 0xa282ead8;

/** The offset of damage that no torn last batch explains, or `undefined`. */
export function findLogDamage(log: Uint8Array): number | undefined {
  const bytes = Buffer.from(log.buffer, log.byteOffset, log.byteLength);
  let badOffset: number | undefined;
  for (let blockStart = 0; blockStart < bytes.byteLength; blockStart += BLOCK_BYTES) {
    const blockEnd = Math.min(blockStart + BLOCK_BYTES, bytes.byteLength);
    let offset = blockStart;
    while (offset + HEAD_BYTES <= blockEnd) {
      const fragment = findFragment(bytes, offset, blockEnd);
      if (!fragment) {
        badOffset ??= offset;
        // The length may be what is damaged, so the next fragment can begin anywhere.
        offset += 1;
        continue;
      }
      if (badOffset !== undefined && fragment.beginsBatch) return badOffset;
      offset = fragment.endOffset;
    }
  }
  return undefined;
}

interface Fragment {
  readonly beginsBatch: boolean;
  readonly endOffset: number;
}

function findFragment(bytes: Buffer, offset: number, blockEnd: number): Fragment | undefined {
  const type = bytes[offset + 6]!;
  const endOffset = offset + HEAD_BYTES + bytes.readUInt16LE(offset + 4);
  if (type < WHOLE || type > LAST || endOffset > blockEnd) return undefined;
  if (bytes.readUInt32LE(offset) !== masked(crc32c(bytes.subarray(offset + 6, endOffset)))) return undefined;
  return { beginsBatch: type === WHOLE || type === FIRST, endOffset };
}

/** The engine stores checksums rotated and shifted, because its payloads may hold checksums themselves. */
function masked(checksum: number): number {
  return (((checksum >>> 15) | (checksum << 17)) + MASK_DELTA) >>> 0;
}
