import assert from 'node:assert/strict';
import { StoreError } from '../api/index.js';
import type { MetaEntry } from './meta-store.js';

/*
 * What the embedded store keeps in its ordered store. Integers are big-endian.
 *
 *   "r"                       revision record   version u8 = 1 | revision u64
 *   "e" key (UTF-8)           entry             version u8 = 1 | revision u64 | createRevision u64
 *                                               | lease id length u8 | lease id (UTF-8) | value
 *   "l" key (UTF-8)           leased key        empty; exists while the entry has a lease
 */

export interface StoredEntry extends MetaEntry {
  /** The key vanishes with this lease; absent = it stays. */
  readonly leaseId?: string;
}

export const REVISION_KEY: Uint8Array = Buffer.from('r');

const ENTRY_PREFIX = Buffer.from('e');
const LEASED_PREFIX = Buffer.from('l');
const VERSION = 1;
const HEAD_BYTES = 18;

export function entryKey(key: string): Uint8Array {
  return Buffer.concat([ENTRY_PREFIX, Buffer.from(key)]);
}

export function leasedKey(key: string): Uint8Array {
  return Buffer.concat([LEASED_PREFIX, Buffer.from(key)]);
}

/** The keys of all entries whose key starts with `prefix`, as the half-open range [start, end). */
export function entryRange(prefix: string): { readonly start: Uint8Array; readonly end: Uint8Array } {
  return rangeOf(entryKey(prefix));
}

export function leasedRange(): { readonly start: Uint8Array; readonly end: Uint8Array } {
  return rangeOf(LEASED_PREFIX);
}

export function parseLeasedKey(stored: Uint8Array): string {
  return Buffer.from(stored.subarray(LEASED_PREFIX.byteLength)).toString();
}

export function encodeRevision(revision: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeBigUInt64BE(BigInt(revision), 1);
  return bytes;
}

export function decodeRevision(stored: Uint8Array): number {
  const bytes = viewOf(stored);
  requireVersion(bytes);
  return Number(bytes.readBigUInt64BE(1));
}

export function encodeEntry(entry: StoredEntry): Uint8Array {
  const leaseId = Buffer.from(entry.leaseId ?? '');
  assert(leaseId.byteLength < 256, 'a lease id fits its length field');
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(VERSION, 0);
  head.writeBigUInt64BE(BigInt(entry.revision), 1);
  head.writeBigUInt64BE(BigInt(entry.createRevision), 9);
  head.writeUInt8(leaseId.byteLength, 17);
  return Buffer.concat([head, leaseId, entry.value]);
}

export function decodeEntry(storedKey: Uint8Array, stored: Uint8Array): StoredEntry {
  const bytes = viewOf(stored);
  requireVersion(bytes);
  const valueStart = HEAD_BYTES + bytes.readUInt8(17);
  const leaseId = bytes.toString('utf8', HEAD_BYTES, valueStart);
  return {
    key: Buffer.from(storedKey.subarray(ENTRY_PREFIX.byteLength)).toString(),
    // A copy: the entry may outlive the page it was read with.
    value: Uint8Array.from(bytes.subarray(valueStart)),
    revision: Number(bytes.readBigUInt64BE(1)),
    createRevision: Number(bytes.readBigUInt64BE(9)),
    ...(leaseId !== '' && { leaseId })
  };
}

function requireVersion(bytes: Buffer): void {
  if (bytes.byteLength > 0 && bytes.readUInt8(0) === VERSION) return;
  throw new StoreError(
    'DiskFailed',
    'The metadata has a format that this version does not know. Start the version of the store that wrote it.'
  );
}

/** The last byte of a prefix made here is never 0xff: UTF-8 has none. */
function rangeOf(prefix: Uint8Array): { readonly start: Uint8Array; readonly end: Uint8Array } {
  const end = Buffer.from(prefix);
  end[end.byteLength - 1]! += 1;
  return { start: prefix, end };
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
