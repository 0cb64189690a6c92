import { type ExtentId, LIMITS } from '../api/index.js';
import { blockBytes, blockHeaderBytes, encodeBlockHeader, paddingBytes } from './block-format.js';

/** Below this copying a payload costs less than handing it to the system as parts of its own. */
const COPIED_PAYLOAD_BYTES_MAX = LIMITS.checksumChunkBytes / 2;

export interface BatchBlock {
  readonly sequence: number;
  readonly parts: readonly Uint8Array[];
  readonly payloadLength: number;
}

export interface BatchPlace {
  readonly extentId: ExtentId;
  /** Of the first block. */
  readonly offset: number;
  /** See block-format.ts. */
  readonly durableLength: number;
}

/**
 * Encodes blocks back to back. Large payloads stay where they are; the headers, and small payloads, share one buffer.
 * Every block's header lies within one part.
 */
export function encodeBatch(place: BatchPlace, blocks: readonly BatchBlock[]): readonly Uint8Array[] {
  const parts: Uint8Array[] = [];
  const slab = Buffer.allocUnsafe(blocks.reduce((sum, block) => sum + slabBytes(block), 0));
  let offset = place.offset;
  let at = 0;
  /** slab[partStart..at] is not yet among the parts. */
  let partStart = 0;
  for (const block of blocks) {
    const headerAt = at;
    at += blockHeaderBytes(block.payloadLength);
    const payloadAt = at;
    const isCopied = block.payloadLength <= COPIED_PAYLOAD_BYTES_MAX;
    if (isCopied) at = copyParts(slab, at, block.parts);
    encodeBlockHeader(slab, headerAt, {
      extentId: place.extentId,
      offset,
      durableLength: place.durableLength,
      sequence: block.sequence,
      payloadLength: block.payloadLength,
      parts: isCopied ? [slab.subarray(payloadAt, at)] : block.parts
    });
    if (!isCopied) {
      parts.push(slab.subarray(partStart, at), ...block.parts.filter((part) => part.byteLength > 0));
      partStart = at;
    }
    const padding = paddingBytes(block.payloadLength);
    slab.fill(0, at, at + padding);
    at += padding;
    offset += blockBytes(block.payloadLength);
  }
  if (partStart < at) parts.push(slab.subarray(partStart, at));
  return parts;
}

function slabBytes(block: BatchBlock): number {
  if (block.payloadLength <= COPIED_PAYLOAD_BYTES_MAX) return blockBytes(block.payloadLength);
  return blockHeaderBytes(block.payloadLength) + paddingBytes(block.payloadLength);
}

function copyParts(into: Buffer, at: number, parts: readonly Uint8Array[]): number {
  let end = at;
  for (const part of parts) {
    into.set(part, end);
    end += part.byteLength;
  }
  return end;
}
