import { isStoreError, type ObjectHead } from '@stampede/client';
import { formatStorePath } from '../store-path.js';
import { CommandError } from '../usage-error.js';
import { walkStore } from './store-tree.js';
import type { Transfer, TransferScope } from './transfer.js';

export interface CopyTree {
  readonly bucket: string;
  /** '' or ending in a slash. */
  readonly prefix: string;
  readonly to: { readonly bucket: string; readonly prefix: string };
  /** Deletes each object when its copy is there. */
  readonly isMove: boolean;
}

/** Everything below a prefix, on its way to another place in the store. No bytes travel: copies share them. */
export async function* copyTree(tree: CopyTree, scope: TransferScope): AsyncGenerator<Transfer> {
  const { bucket, prefix, to, isMove } = tree;
  for await (const { head } of walkStore(scope.store, { bucket, prefix }, scope.signal)) {
    const key = to.prefix + head.key.slice(prefix.length);
    // The marker of a root that becomes the bucket itself.
    if (key !== '') yield copyOf(head, { to: { bucket: to.bucket, key }, isMove }, scope);
  }
}

export interface CopyOptions {
  readonly to: { readonly bucket: string; readonly key: string };
  readonly isMove: boolean;
}

export function copyOf(head: ObjectHead, { to, isMove }: CopyOptions, scope: TransferScope): Transfer {
  const { store, signal, onBytes } = scope;
  const { bucket, key } = head;
  return {
    name: formatStorePath(bucket, key),
    bufferBytes: 0,
    async run() {
      const copy = await store.objects.copy({ bucket, key, to, ...(isMove && exactly(head)) }, { signal });
      if (isMove) await removeMoved(head, scope);
      onBytes(copy.size);
      return copy.size;
    }
  };
}

/** Only what was copied: a version that somebody wrote meanwhile stays. */
async function removeMoved(head: ObjectHead, { store, signal }: TransferScope): Promise<void> {
  const { bucket, key } = head;
  try {
    await store.objects.delete({ bucket, key, ifMatch: `generation:${head.generation}` }, { signal });
  } catch (error) {
    if (!isStoreError(error, 'PreconditionFailed')) throw error;
    throw new CommandError('it was changed meanwhile, so it was copied but not deleted; move it again');
  }
}

function exactly({ generation }: ObjectHead) {
  return { sourceIfMatch: `generation:${generation}` };
}
