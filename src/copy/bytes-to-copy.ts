import { resolve } from 'node:path';
import type { StoreClient } from '@stampede/client';
import { lookUp } from '../store-lookup.js';
import { type CopyPlan, contentOf } from './copy-plan.js';
import { walkLocal } from './local-tree.js';

/** How many bytes a copy has in all, for the length of its bar; a change meanwhile makes it an estimate. */
export async function bytesToCopy(plan: CopyPlan, store: StoreClient, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for (const source of plan.sources) {
    if (source.type === 'local') {
      bytes += await localBytes(resolve(plan.workingDirectory, source.path), plan, signal);
      continue;
    }
    const path = plan.isRecursive ? contentOf(source) : source;
    const prefer = plan.isRecursive ? 'directory' : 'object';
    const found = await lookUp(store, path, { prefer, signal });
    const { bucket } = source;
    if (found.type === 'object') bytes += found.head.size;
    if (found.type === 'directory')
      bytes += (await store.objects.usage({ bucket, prefix: found.prefix }, { signal })).bytes;
  }
  return bytes;
}

async function localBytes(
  localPath: string,
  { isFollowing, isRecursive }: CopyPlan,
  signal: AbortSignal
): Promise<number> {
  let bytes = 0;
  for await (const entry of walkLocal(localPath, { isFollowing })) {
    signal.throwIfAborted();
    if (entry.origin === 'local' && entry.type === 'file') bytes += Number(entry.stats.size);
    if (!isRecursive) break;
  }
  return bytes;
}
