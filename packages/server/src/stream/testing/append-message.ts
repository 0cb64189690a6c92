import type { ExtentId } from '../../api/index.js';
import { blockBytes } from '../block-format.js';
import { encodeBatch } from '../encode-batch.js';
import type { AppendMessage } from '../extent-node-api.js';
import { payloadOf } from './payload.js';

export interface AppendOfOne {
  readonly extentId: ExtentId;
  readonly epoch: number;
  readonly offset: number;
  readonly sequence: number;
  readonly length: number;
  readonly durability?: 'sync' | 'os';
  /** What was acknowledged when it was sent; all before it when absent. */
  readonly durableLength?: number;
}

/** An append of one block with `payloadOf(sequence, length)`, and where the next one goes. */
export function appendOfOne(options: AppendOfOne): { message: AppendMessage; end: number } {
  const { extentId, epoch, offset, sequence, length, durability = 'sync' } = options;
  const { durableLength = offset } = options;
  const block = { sequence, parts: [payloadOf(sequence, length)], payloadLength: length };
  const parts = encodeBatch({ extentId, offset, durableLength }, [block]);
  return { message: { extentId, epoch, offset, parts, durability }, end: offset + blockBytes(length) };
}
