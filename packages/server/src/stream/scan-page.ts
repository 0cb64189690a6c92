import { LIMITS } from '../api/index.js';
import { type BlockPlace, decodeBlockHeader, isPayloadIntact } from './block-format.js';
import type { ScannedHead, ScanPage } from './extent-node-api.js';

/**
 * Takes the blocks that start in `view`, the bytes of an extent from `place` on, with the verified head of each.
 * A large block's payload may run past the view: the page goes on after it.
 */
export function parseScanPage(view: Buffer, place: BlockPlace, limit: number): ScanPage {
  const { extentId, offset } = place;
  const blocks: ScannedHead[] = [];
  let at = 0;
  let isDamaged = false;
  while (at < view.byteLength) {
    const header = decodeBlockHeader(view, at, { extentId, offset: offset + at });
    if (header === 'short') break;
    if (header === 'bad' || offset + at + header.blockBytes > limit) {
      isDamaged = true;
      break;
    }
    const headAt = at + header.headerBytes;
    const headEnd = headAt + Math.min(header.payloadLength, LIMITS.checksumChunkBytes);
    if (headEnd > view.byteLength) break;
    const head = view.subarray(headAt, headEnd);
    if (!isPayloadIntact(view, at, head)) {
      isDamaged = true;
      break;
    }
    const { sequence, payloadLength } = header;
    blocks.push({ offset: offset + at, sequence, payloadLength, head });
    at += header.blockBytes;
  }
  // Nothing at all: the replica ends here, although the extent goes on.
  if (at === 0) isDamaged = true;
  return { blocks, nextOffset: offset + at, isDamaged };
}
