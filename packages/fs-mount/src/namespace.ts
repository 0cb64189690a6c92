import { isStoreError, type PosixAttributes, type StoreCalls } from '@stampede/client';
import { S_IFDIR, S_IFLNK, S_IFMT, timestampOfMs } from './attributes.js';
import type { Clock } from './clock.js';
import type { DirectoryTimes } from './directory-times.js';
import type { Entries, Found } from './entries.js';
import { FileSystemError } from './errno.js';
import type { FileState } from './file-state.js';
import type { OpenFiles } from './open-files.js';
import { assertUsableName, directoryPrefixOf } from './path.js';
import type { ReadAhead } from './read-ahead.js';
import type { Removals } from './removals.js';
import type { Target } from './target.js';

export interface NamespaceOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly entries: Entries;
  readonly files: OpenFiles;
  readonly removals: Removals;
  readonly clock: Clock;
  readonly times: DirectoryTimes;
  readonly newReadAhead: () => ReadAhead;
}

export interface UnlinkOptions {
  /** A name under which the driver will speak of the file while it is still open. */
  readonly alias?: string;
  /** The name may be about to be replaced by a rename: the store hears of it a moment later. */
  readonly mayBeReplaced?: boolean;
}

export interface RenameOptions {
  readonly noReplace?: boolean;
  /** Each gets the name of the other, in one step. */
  readonly exchange?: boolean;
  /** A name under which the driver will speak of the replaced file while it is still open. */
  readonly alias?: string;
}

/** Makes, removes and renames names. Each is durable on return and one call to the store, save where noted. */
export class Namespace {
  readonly #options: NamespaceOptions;

  constructor(options: NamespaceOptions) {
    this.#options = options;
  }

  async mkdir(path: string, attributes: PosixAttributes): Promise<void> {
    const target = await this.#freeTarget(path);
    const mode = S_IFDIR | ((attributes.mode ?? 0o777) & 0o7777);
    await this.#putEmpty(`${target.key}/`, { ...attributes, mode }, target.key);
  }

  async symlink(path: string, symlinkTarget: string, attributes: PosixAttributes): Promise<void> {
    const target = await this.#freeTarget(path);
    await this.#putEmpty(target.key, { ...attributes, mode: S_IFLNK | 0o777, symlinkTarget }, target.key);
  }

  /** A fifo, socket, device or empty file. */
  async mknod(path: string, attributes: PosixAttributes): Promise<void> {
    const target = await this.#freeTarget(path);
    await this.#putEmpty(target.key, attributes, target.key);
  }

  async unlink(path: string, options: UnlinkOptions = {}): Promise<void> {
    const { entries, files, removals, store, bucket, times, newReadAhead } = this.#options;
    if (entries.dropAlias(path)) return;
    const found = await entries.find(path);
    if (found.type === 'none') throw noEntry(path);
    if (found.type === 'directory') throw new FileSystemError('EISDIR', `${path} is a directory`);
    const { key } = found.target;
    await this.#keepParent(key);
    const state = files.find(key);
    await state?.detach(newReadAhead());
    if (state) files.remove(state);
    if (state && options.alias !== undefined) entries.keepAlias(options.alias, state);
    if (!state || state.base) {
      if (options.mayBeReplaced) removals.add(key);
      else await store.objects.delete({ bucket, key });
    }
    entries.changed(key, { type: 'none' });
    times.nameChanged(key);
  }

  async rmdir(path: string): Promise<void> {
    const { entries, removals, store, bucket, times } = this.#options;
    const found = await entries.find(path);
    if (found.type === 'none') throw noEntry(path);
    if (found.type !== 'directory') throw new FileSystemError('ENOTDIR', `${path} is a file`);
    const { key } = found.target;
    if (entries.isRoot(found.target)) throw new FileSystemError('EBUSY', 'the root of a mount stays');
    if (entries.hasUnstored(`${key}/`)) throw new FileSystemError('ENOTEMPTY', `${path} has files in it`);
    await removals.flushUnder(`${key}/`);
    await this.#keepParent(key);
    await store.objects.delete({ bucket, key: `${key}/`, onlyIfPrefixEmpty: true });
    entries.changed(key, { type: 'none' });
    times.forget(key);
    times.nameChanged(key);
  }

  async rename(from: string, to: string, options: RenameOptions = {}): Promise<void> {
    const { entries, times } = this.#options;
    const [source, target] = await Promise.all([entries.find(from), entries.find(to)]);
    if (source.type === 'none') throw noEntry(from);
    if (source.target.key === target.target.key) return;
    if (options.noReplace && target.type !== 'none')
      throw new FileSystemError('EEXIST', `${to} exists already`);
    assertUsableName(to, target.target.key);
    if (options.exchange) await this.#exchange(source, target, to);
    else if (source.type === 'directory') await this.#renameDirectory(source, target, { from, to });
    else await this.#renameFile(source, target, { to, alias: options.alias });
    times.nameChanged(source.target.key);
    times.nameChanged(target.target.key);
  }

  async #exchange(source: Found, target: Found, to: string): Promise<void> {
    const { entries, files, store, bucket } = this.#options;
    if (target.type === 'none') throw noEntry(to);
    if (source.type === 'directory' || target.type === 'directory')
      throw new FileSystemError('EINVAL', 'only files are exchanged');
    const [key, otherKey] = [source.target.key, target.target.key];
    const [state, other] = [files.find(key), files.find(otherKey)];
    const states = [state, other].filter((one) => one !== undefined);
    const head = await this.#holding(states, () =>
      store.objects.rename({ bucket, key, to: { key: otherKey }, exchange: true })
    );
    if (state) files.remove(state);
    if (other) files.rename(other, key);
    if (state) files.rename(state, otherKey, head);
    entries.forgetTree(key);
    entries.changed(otherKey, { type: 'object', head });
  }

  async #renameFile(
    source: Found,
    target: Found,
    { to, alias }: { readonly to: string; readonly alias: string | undefined }
  ): Promise<void> {
    const { entries, files, removals, store, bucket, newReadAhead } = this.#options;
    if (target.type === 'directory') throw new FileSystemError('EISDIR', `${to} is a directory`);
    const key = source.target.key;
    const newKey = target.target.key;
    await this.#keepParent(key);
    const replaced = files.find(newKey);
    await replaced?.detach(newReadAhead());
    if (replaced) files.remove(replaced);
    if (replaced && alias !== undefined) entries.keepAlias(alias, replaced);
    await removals.cancel(newKey);
    const state = files.find(key);
    const moveKey = () => store.objects.rename({ bucket, key, to: { key: newKey } });
    const head = await (state ? this.#holding([state], moveKey) : moveKey());
    if (state) files.rename(state, newKey, head);
    entries.changed(key, { type: 'none' });
    entries.changed(newKey, { type: 'object', head });
  }

  async #renameDirectory(
    source: Found,
    target: Found,
    { from, to }: { readonly from: string; readonly to: string }
  ): Promise<void> {
    const { entries, files, removals, store, bucket, times } = this.#options;
    const prefix = `${source.target.key}/`;
    const newPrefix = `${target.target.key}/`;
    if (entries.isRoot(source.target)) throw new FileSystemError('EBUSY', 'the root of a mount stays');
    if (newPrefix.startsWith(prefix))
      throw new FileSystemError('EINVAL', 'a directory cannot move into itself');
    if (target.type !== 'none' && target.type !== 'directory')
      throw new FileSystemError('ENOTDIR', `${to} is a file`);
    if (entries.hasUnstored(newPrefix)) throw new FileSystemError('ENOTEMPTY', `${to} has files in it`);
    await Promise.all([
      removals.flushUnder(prefix),
      removals.flushUnder(newPrefix),
      removals.flush(target.target.key)
    ]);
    await this.#keepParent(source.target.key);
    const states = files.under(prefix);
    await this.#holding(states, () => store.objects.renamePrefix({ bucket, prefix, to: newPrefix }));
    for (const state of states) files.rename(state, newPrefix + state.key.slice(prefix.length));
    entries.moveAliases(from, to);
    times.forget(target.target.key);
    times.moveTree(source.target.key, target.target.key);
    entries.forgetTree(source.target.key);
    entries.forgetTree(target.target.key);
    entries.changed(source.target.key, { type: 'none' });
  }

  /** Stores what the files have and keeps them from storing more until `run` is over. */
  async #holding<Result>(states: readonly FileState[], run: () => Promise<Result>): Promise<Result> {
    const [state, ...others] = states;
    if (!state) return run();
    return state.exclusively(async () => {
      await state.commitExclusively();
      return this.#holding(others, run);
    });
  }

  /** Directories are seen because of the keys in them: one that is about to lose a key gets one of its own. */
  async #keepParent(key: string): Promise<void> {
    const { entries, store, bucket } = this.#options;
    const parent = directoryPrefixOf(key);
    if (parent === '') return;
    const target: Target = { key: parent.slice(0, -1), form: 'any' };
    if (entries.isRoot(target)) return;
    const found = await entries.findTarget(target);
    if (found.type !== 'directory' || found.head) return;
    const head = await store.objects.setAttributes({ bucket, key: parent, create: true });
    entries.changed(target.key, { type: 'directory', head });
  }

  /** A name that can be made and is not there. What is being removed under it is gone on return. */
  async #freeTarget(path: string): Promise<Target> {
    const { entries, removals } = this.#options;
    const found = await entries.find(path);
    if (found.type !== 'none') throw new FileSystemError('EEXIST', `${path} exists already`);
    assertUsableName(path, found.target.key);
    await removals.flush(found.target.key);
    return found.target;
  }

  async #putEmpty(storeKey: string, attributes: PosixAttributes, key: string): Promise<void> {
    const { entries, store, bucket, clock, times } = this.#options;
    const now = timestampOfMs(clock.nowMs());
    try {
      const head = await store.objects.put({
        bucket,
        key: storeKey,
        body: new Uint8Array(0),
        attributes: { ...attributes, mtime: now, atime: now, ctime: now },
        ifNoneMatch: '*'
      });
      const isDirectory = ((attributes.mode ?? 0) & S_IFMT) === S_IFDIR;
      entries.changed(key, isDirectory ? { type: 'directory', head } : { type: 'object', head });
      times.nameChanged(key);
    } catch (error) {
      if (!isStoreError(error, 'PreconditionFailed')) throw error;
      entries.forgetTree(key);
      throw new FileSystemError('EEXIST', `${key} was made elsewhere`, { cause: error });
    }
  }
}

function noEntry(path: string): FileSystemError {
  return new FileSystemError('ENOENT', `${path} does not exist`);
}
