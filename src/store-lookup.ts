import { isStoreError, type ObjectHead, type StoreClient } from '@stampede/client';
import { type BucketPath, formatStorePath } from './store-path.js';
import { CommandError } from './usage-error.js';

/** What a path in the store names. */
export type Found =
  | { readonly type: 'object'; readonly head: ObjectHead }
  /** `prefix`: '' or ending in a slash. `head`: of its marker, when it has one. */
  | { readonly type: 'directory'; readonly prefix: string; readonly head?: ObjectHead }
  | { readonly type: 'none' };

export interface LookupOptions {
  /** Which of the two a name means when there is an object `a` beside objects `a/…`. */
  readonly prefer: 'object' | 'directory';
  readonly signal: AbortSignal;
}

/** A path that ends in a slash names a directory only, as everywhere. @throws StoreError `NoSuchBucket`. */
export async function lookUp(
  store: StoreClient,
  { bucket, key }: Pick<BucketPath, 'bucket' | 'key'>,
  { prefer, signal }: LookupOptions
): Promise<Found> {
  if (key === '') {
    await store.buckets.head({ bucket }, { signal });
    return { type: 'directory', prefix: '' };
  }
  const isDirectoryAsked = key.endsWith('/');
  const path = isDirectoryAsked ? key.slice(0, -1) : key;
  if (path === '') return onlyKey(store, { bucket, key }, signal);
  const found = await store.objects.stat({ bucket, path }, { signal });
  if (found.type === 'object') return isDirectoryAsked ? { type: 'none' } : found;
  if (found.type === 'none') return found;
  if (!isDirectoryAsked && prefer === 'object') {
    const only = await onlyKey(store, { bucket, key }, signal);
    if (only.type === 'object') return only;
  }
  return { ...found, prefix: `${path}/` };
}

/** As `lookUp`; nothing there is an error. */
export async function findInStore(
  store: StoreClient,
  path: Pick<BucketPath, 'bucket' | 'key'>,
  options: LookupOptions
): Promise<Exclude<Found, { readonly type: 'none' }>> {
  const found = await lookUp(store, path, options);
  if (found.type !== 'none') return found;
  throw new CommandError(`there is no ${formatStorePath(path.bucket, path.key)}`);
}

async function onlyKey(
  store: StoreClient,
  { bucket, key }: { readonly bucket: string; readonly key: string },
  signal: AbortSignal
): Promise<Found> {
  try {
    return { type: 'object', head: await store.objects.head({ bucket, key }, { signal }) };
  } catch (error) {
    if (!isStoreError(error, 'NoSuchKey')) throw error;
    return { type: 'none' };
  }
}
