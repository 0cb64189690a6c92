import type { LocalEntry } from './entry.js';
import { walkLocal } from './local-tree.js';
import type { Transfer, TransferScope } from './transfer.js';
import { uploadBytes, uploadEntry } from './upload-entry.js';

export interface UploadTree {
  readonly localPath: string;
  readonly bucket: string;
  /** Of the object that the root becomes; '' for the bucket itself. Without a slash at its end. */
  readonly key: string;
  readonly isFollowing: boolean;
}

/** Everything at and below a local path, on its way to the store. */
export async function* uploadTree(tree: UploadTree, scope: TransferScope): AsyncGenerator<Transfer> {
  for await (const entry of walkLocal(tree.localPath, tree)) {
    const { path } = entry;
    const name = path === '' ? tree.localPath : `${tree.localPath.replace(/\/$/, '')}/${path}`;
    if (entry.origin === 'failed') scope.outcome.failed(name, entry.error);
    // A bucket is a directory without a marker.
    else if (keyOf(tree, path) !== '') yield uploadOf(entry, tree, scope, name);
  }
}

/** One local file, link or directory, without what is in it. */
export function uploadOf(
  entry: LocalEntry,
  tree: UploadTree,
  { store, signal, onBytes }: TransferScope,
  name: string
): Transfer {
  const { bucket } = tree;
  return {
    name,
    bufferBytes: uploadBytes(entry),
    async run() {
      const key = keyOf(tree, entry.path);
      const { size } = await uploadEntry(entry, { store, bucket, key, signal, onBytes });
      return size;
    }
  };
}

function keyOf({ key }: UploadTree, path: string): string {
  if (path === '') return key;
  return key === '' ? path : `${key}/${path}`;
}
