import type { ObjectHead, StoreClient } from '@stampede/client';
import { findInStore } from '../store-lookup.js';
import { type BucketPath, formatStorePath } from '../store-path.js';
import { CommandError } from '../usage-error.js';
import { isLink } from './file-mode.js';

/** The object that a path names, when its bytes are what a reader expects there: no directory and no link. */
export async function readableObject(
  store: StoreClient,
  path: BucketPath,
  signal: AbortSignal
): Promise<ObjectHead> {
  const found = await findInStore(store, path, { prefer: 'object', signal });
  const name = formatStorePath(path.bucket, path.key);
  if (found.type === 'directory') throw new CommandError(`${name} is a directory; name an object in it`);
  if (isLink(found.head))
    throw new CommandError(`${name} is a link to ${found.head.attributes.symlinkTarget}; name that`);
  return found.head;
}
