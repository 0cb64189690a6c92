import type { ObjectHead, StoreClient } from '@stampede/client';
import type { StoreEntry } from './entry.js';
import { isLink } from './file-mode.js';

export interface StoreTree {
  readonly bucket: string;
  /** '' or ending in a slash. */
  readonly prefix: string;
}

/** Every object below a prefix, markers of directories included, in byte order of the keys. */
export async function* walkStore(
  store: StoreClient,
  { bucket, prefix }: StoreTree,
  signal: AbortSignal
): AsyncGenerator<StoreEntry> {
  for await (const listed of store.listObjects({ bucket, prefix, signal }))
    if (listed.type === 'object') yield storeEntry(listed.head, prefix);
}

export function storeEntry(head: ObjectHead, prefix: string): StoreEntry {
  const path = head.key.slice(prefix.length);
  const isMarker = head.key.endsWith('/') && head.size === 0;
  if (isMarker) return { origin: 'store', type: 'directory', path: path.replace(/\/$/, ''), head };
  return { origin: 'store', type: isLink(head) ? 'symlink' : 'file', path, head };
}
