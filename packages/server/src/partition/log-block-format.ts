import { LIMITS, pack, StoreError, unpack } from '../api/index.js';
import type { Mutation, MutationBody } from './mutation.js';

/*
 * The payload of one block of the commit log: a mutation, and the bytes of objects that came with it.
 *
 *   u8 version = 1 | 3 × 0 | u32 LE head length | head | bytes of objects
 *   head = MessagePack [type, atMs, requestId or nil, fields of the mutation]
 */

const VERSION = 1;
export const LOG_PREFIX_BYTES = 8;

export interface LogBlock {
  /** The payload before the bytes of objects. */
  readonly prefix: Uint8Array;
  /** How many bytes of the payload are not bytes of objects. */
  readonly headBytes: number;
}

/**
 * Packs a mutation.
 *
 * @throws StoreError `EntityTooLarge` when it would not fit a block beside `bodyBytes` bytes of objects.
 */
export function encodeLogBlock({ atMs, requestId, body }: Mutation, bodyBytes: number): LogBlock {
  const { type, ...fields } = body;
  const head = pack([type, atMs, requestId ?? null, fields]);
  const headBytes = LOG_PREFIX_BYTES + head.byteLength;
  if (headBytes + bodyBytes > LIMITS.blockBytesMax + LIMITS.blockHeadBytesMax)
    throw new StoreError(
      'EntityTooLarge',
      'The call names more than one step of the store can hold. Make it in several calls.'
    );
  const prefix = Buffer.allocUnsafe(headBytes);
  prefix.writeUInt32LE(VERSION, 0);
  prefix.writeUInt32LE(head.byteLength, 4);
  prefix.set(head, LOG_PREFIX_BYTES);
  return { prefix, headBytes };
}

/** How much of a payload must be read to decode its mutation, from its first bytes. */
export function logHeadBytes(start: Uint8Array): number {
  if (start.byteLength < LOG_PREFIX_BYTES) throw unreadable('it is too short');
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const version = view.getUint32(0, true);
  if (version !== VERSION)
    throw unreadable(`it has version ${version}; read it with the release that wrote it`);
  return LOG_PREFIX_BYTES + view.getUint32(4, true);
}

/** @param head   At least `logHeadBytes` bytes. */
export function decodeLogBlock(head: Uint8Array): Mutation {
  const fields = unpack(head.subarray(LOG_PREFIX_BYTES, logHeadBytes(head)));
  if (!Array.isArray(fields) || fields.length !== 4) throw unreadable('it is no mutation');
  const [type, atMs, requestId, body] = fields as [string, number, string | null, object];
  return {
    atMs,
    ...(requestId !== null && { requestId }),
    body: { type, ...body } as MutationBody
  };
}

function unreadable(reason: string): StoreError {
  return new StoreError('ChecksumMismatch', `A block of the commit log cannot be read: ${reason}.`);
}
