import { createHash } from 'node:crypto';
import type { ObjectHead } from '@stampede/client';

const ID = /^[0-9a-f]{32}$/;
const CHECKSUM = /^[0-9a-f]{8}$/;

/** Asked for with each read of an open file. */
const KNOWN_IDS = new WeakMap<ObjectHead, string>();

/**
 * Files of a version of an object, by its id:
 *
 *   ID            bytes, sparse while some are missing
 *   ID.sums       which cells of them are there, and their checksums (sums.ts)
 *   ID.CHECKSUM   bytes of a file of one cell, with their CRC32C in the name
 */
export type CacheName =
  | { readonly type: 'bytes' | 'sums'; readonly id: string }
  | { readonly type: 'single'; readonly id: string; readonly checksum: number };

/**
 * Names the bytes of a version: the same wherever they were renamed to, never the same for others. The etag alone would
 * do for one store; the time tells a store that was put back to an earlier state and went on from there.
 */
export function cacheIdOf(head: ObjectHead): string {
  const known = KNOWN_IDS.get(head);
  if (known !== undefined) return known;
  const { bucket, etag, size, modifiedAtMs } = head;
  const identity = `${bucket}\0${etag}\0${size}\0${modifiedAtMs}`;
  const id = createHash('sha256').update(identity).digest('hex').slice(0, 32);
  KNOWN_IDS.set(head, id);
  return id;
}

export function bytesNameOf(id: string, checksum: number | undefined): string {
  return checksum === undefined ? id : `${id}.${checksum.toString(16).padStart(8, '0')}`;
}

export function sumsNameOf(id: string): string {
  return `${id}.sums`;
}

/** Undefined for what no cache has written under its final name. */
export function parseCacheName(name: string): CacheName | undefined {
  const [id = '', suffix, ...rest] = name.split('.');
  if (!ID.test(id) || rest.length > 0) return undefined;
  if (suffix === undefined) return { type: 'bytes', id };
  if (suffix === 'sums') return { type: 'sums', id };
  if (!CHECKSUM.test(suffix)) return undefined;
  return { type: 'single', id, checksum: Number.parseInt(suffix, 16) };
}
