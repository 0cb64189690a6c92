import { basename, resolve } from 'node:path';
import { findInStore } from '../store-lookup.js';
import { type BucketPath, formatStorePath, type Location } from '../store-path.js';
import { CommandError, UsageError } from '../usage-error.js';
import { copyOf, copyTree } from './copy-tree.js';
import { keyIn, type LocalDestination, nameOf, prefixIn, type StoreDestination } from './destination.js';
import { downloadEntry, downloadToStream, explicitPlace } from './download-entry.js';
import { downloadTree } from './download-tree.js';
import { isLink } from './file-mode.js';
import { LocalTarget } from './local-target.js';
import { localEntry } from './local-tree.js';
import { storeEntry } from './store-tree.js';
import type { Transfer, TransferScope } from './transfer.js';
import { transferBytes } from './upload-entry.js';
import { uploadOf, uploadTree } from './upload-tree.js';

export type Source = BucketPath | Extract<Location, { readonly type: 'local' }>;

export type Destination =
  | ({ readonly type: 'store' } & StoreDestination)
  | ({ readonly type: 'local' } & LocalDestination);

export interface CopyPlan {
  readonly sources: readonly Source[];
  readonly destination: Destination;
  readonly isRecursive: boolean;
  readonly isFollowing: boolean;
  readonly workingDirectory: string;
}

/** All that is to be copied, one object after the other, as it is found. */
export async function* transfersOf(plan: CopyPlan, scope: TransferScope): AsyncGenerator<Transfer> {
  for (const source of plan.sources) {
    try {
      yield* transfersOfOne(source, plan, scope);
    } catch (error) {
      if (scope.signal.aborted) throw error;
      scope.outcome.failed(source.text, error);
    }
  }
}

/** With -r `st:BUCKET/DIR/.` is what is in the directory, as `DIR/.` is for cp(1). */
export function contentOf(source: BucketPath): BucketPath {
  if (source.key !== '.' && !source.key.endsWith('/.')) return source;
  return { ...source, key: source.key.slice(0, -1) };
}

async function* transfersOfOne(
  source: Source,
  plan: CopyPlan,
  scope: TransferScope
): AsyncGenerator<Transfer> {
  const { destination } = plan;
  if (source.type === 'store') yield* fromStore(source, plan, scope);
  else if (destination.type === 'store') yield* fromLocal(source, destination, plan, scope);
  else throw new UsageError(`${source.text} and the target are both local; use cp`);
}

async function* fromLocal(
  source: Extract<Source, { readonly type: 'local' }>,
  destination: StoreDestination,
  { isRecursive, isFollowing, workingDirectory }: CopyPlan,
  scope: TransferScope
): AsyncGenerator<Transfer> {
  const localPath = resolve(workingDirectory, source.path);
  const entry = await localEntry(localPath, { isFollowing });
  const { bucket } = destination;
  // The root of the file system has no name; a place is always given one by the target then.
  const name = nameOf(source);
  if (entry.type !== 'directory') {
    const key = keyIn(destination, name);
    const tree = { localPath, bucket, key, isFollowing };
    return yield uploadOf(entry, tree, scope, source.text);
  }
  if (!isRecursive) throw new CommandError('it is a directory; use cp -r');
  const key = prefixIn(destination, name).replace(/\/$/, '');
  yield* uploadTree({ localPath, bucket, key, isFollowing }, scope);
}

async function* fromStore(
  source: BucketPath,
  plan: CopyPlan,
  scope: TransferScope
): AsyncGenerator<Transfer> {
  const { destination, isRecursive } = plan;
  const { store, signal } = scope;
  const path = isRecursive ? contentOf(source) : source;
  const { bucket } = source;
  const found = await findInStore(store, path, { prefer: isRecursive ? 'directory' : 'object', signal });
  const name = path === source ? nameOf(source) : '';
  if (found.type === 'object') {
    if (destination.type === 'local')
      return yield await downloadOne(found.head, { name, destination }, scope);
    const to = { bucket: destination.bucket, key: keyIn(destination, name) };
    if (to.bucket === bucket && to.key === found.head.key) throw new CommandError('it is the target itself');
    return yield copyOf(found.head, { to, isMove: false }, scope);
  }
  if (!isRecursive) throw new CommandError('it is a directory; use cp -r');
  const { prefix } = found;
  if (destination.type === 'local') {
    const target = new LocalTarget(await localRoot(destination, name));
    return yield* downloadTree({ bucket, prefix, target }, scope);
  }
  const to = { bucket: destination.bucket, prefix: prefixIn(destination, name) };
  assertOutside({ bucket, prefix }, to);
  yield* copyTree({ bucket, prefix, to, isMove: false }, scope);
}

/** A directory cannot be copied or moved into itself. */
export function assertOutside(
  from: { readonly bucket: string; readonly prefix: string },
  to: { readonly bucket: string; readonly prefix: string }
): void {
  if (from.bucket === to.bucket && to.prefix.startsWith(from.prefix))
    throw new CommandError(`${formatStorePath(to.bucket, to.prefix)} lies in it; choose another target`);
}

async function localRoot({ path, isDirectory, isFile }: LocalDestination, name: string): Promise<string> {
  if (isDirectory && name !== '') return new LocalTarget(path).ensureDirectory(name);
  if (isFile) throw new CommandError(`${path} is a file, where a directory is needed; remove it first`);
  return path;
}

async function downloadOne(
  head: Parameters<typeof storeEntry>[0],
  { name, destination }: { readonly name: string; readonly destination: LocalDestination },
  scope: TransferScope
): Promise<Transfer> {
  const { path, isDirectory } = destination;
  const entry = storeEntry(head, head.key.slice(0, head.key.length - name.length));
  const { place, isStream } = isDirectory
    ? { place: await new LocalTarget(path).placeOf(name || basename(head.key)), isStream: false }
    : await explicitPlace(path);
  return {
    name: formatStorePath(head.bucket, head.key),
    bufferBytes: transferBytes(head.size),
    async run() {
      if (!isStream || isLink(head)) return (await downloadEntry(entry, place, scope)).size;
      await downloadToStream(head, place, scope);
      return head.size;
    }
  };
}
