import type { BigIntStats } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../usage-error.js';
import type { FailedEntry, LocalEntry } from './entry.js';

export interface LocalTreeOptions {
  /** Takes what links point to in their place. */
  readonly isFollowing: boolean;
}

/** A local file, or a directory and everything below it, each directory before what is in it, sorted by name. */
export function walkLocal(root: string, options: LocalTreeOptions): AsyncGenerator<LocalEntry | FailedEntry> {
  return walk({ localPath: root, path: '', above: [] }, options);
}

/** The entry of one path, not looked into. */
export async function localEntry(localPath: string, { isFollowing }: LocalTreeOptions): Promise<LocalEntry> {
  return {
    ...(await describe(localPath, isFollowing)),
    origin: 'local',
    path: '',
    localPath,
    isFollowed: isFollowing
  };
}

interface Place {
  readonly localPath: string;
  readonly path: string;
  /** The directories this one is in, as `device:inode`: a link to one of them would never end. */
  readonly above: readonly string[];
}

async function* walk(place: Place, options: LocalTreeOptions): AsyncGenerator<LocalEntry | FailedEntry> {
  const { localPath, path } = place;
  let names: readonly string[] = [];
  let above = place.above;
  try {
    const { type, stats } = await describe(localPath, options.isFollowing);
    if (type === 'directory') {
      const identity = `${stats.dev}:${stats.ino}`;
      if (above.includes(identity)) throw new CommandError('the link leads back to a directory it is in');
      above = [...above, identity];
      names = await namesIn(localPath);
    }
    yield {
      origin: 'local',
      path,
      localPath,
      type,
      stats,
      isFollowed: options.isFollowing
    };
  } catch (error) {
    yield { origin: 'failed', path, error };
    return;
  }
  for (const name of names)
    yield* walk(
      { localPath: join(localPath, name), path: path === '' ? name : `${path}/${name}`, above },
      options
    );
}

async function describe(
  localPath: string,
  isFollowing: boolean
): Promise<{ readonly type: LocalEntry['type']; readonly stats: BigIntStats }> {
  const stats = await (isFollowing ? stat : lstat)(localPath, { bigint: true });
  return { type: typeOf(stats), stats };
}

function typeOf(stats: BigIntStats): LocalEntry['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'other';
}

async function namesIn(directory: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (const bytes of await readdir(directory, { encoding: 'buffer' })) names.push(bytes.toString());
  return names.sort();
}
