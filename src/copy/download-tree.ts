import { formatStorePath } from '../store-path.js';
import { DirectoryTimes } from './directory-times.js';
import { downloadEntry, finishDirectory } from './download-entry.js';
import type { StoreEntry } from './entry.js';
import type { LocalTarget } from './local-target.js';
import { walkStore } from './store-tree.js';
import type { Transfer, TransferScope } from './transfer.js';
import { transferBytes } from './upload-entry.js';

export interface DownloadTree {
  readonly bucket: string;
  /** '' or ending in a slash. */
  readonly prefix: string;
  readonly target: LocalTarget;
}

/** Everything below a prefix, on its way to a local directory. */
export async function* downloadTree(tree: DownloadTree, scope: TransferScope): AsyncGenerator<Transfer> {
  const { target } = tree;
  const { outcome } = scope;
  const times = new DirectoryTimes(async (path, head) => {
    try {
      await finishDirectory(head, await target.ensureDirectory(path));
    } catch (error) {
      outcome.failed(formatStorePath(tree.bucket, head.key), error);
    }
  });
  await target.ensureDirectory('');
  for await (const entry of walkStore(scope.store, tree, scope.signal)) {
    const name = formatStorePath(tree.bucket, entry.head.key);
    if (entry.type !== 'directory') {
      const done = await times.begin(entry.path);
      yield downloadOf(entry, { target, name, scope, done });
      continue;
    }
    try {
      await target.ensureDirectory(entry.path);
      await times.enter(entry.path, entry.head);
      outcome.done(0);
    } catch (error) {
      outcome.failed(name, error);
    }
  }
  await times.end();
}

interface DownloadOptions {
  readonly target: LocalTarget;
  readonly name: string;
  readonly scope: TransferScope;
  readonly done: () => Promise<void>;
}

function downloadOf(entry: StoreEntry, { target, name, scope, done }: DownloadOptions): Transfer {
  return {
    name,
    bufferBytes: transferBytes(entry.head.size),
    async run() {
      try {
        return (await downloadEntry(entry, await target.placeOf(entry.path), scope)).size;
      } finally {
        await done();
      }
    }
  };
}
