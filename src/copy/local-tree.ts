import type { BigIntStats, Dir } from 'node:fs';
import { lstat, opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../usage-error.js';
import type { FailedEntry, LocalEntry } from './entry.js';

const NAMES_READ_AHEAD = 256;

export interface LocalTreeOptions {
  /** Takes what links point to in their place. */
  readonly isFollowing: boolean;
}

/**
 * A local file, or a directory and everything below it, each directory before what is in it. Names are read as
 * they are needed: a directory of a million files takes no more memory than one of ten.
 */
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
  const { isFollowing } = options;
  let directory: Dir | undefined;
  try {
    const { type, stats } = await describe(localPath, isFollowing);
    const identity = `${stats.dev}:${stats.ino}`;
    if (type === 'directory') {
      if (place.above.includes(identity))
        throw new CommandError('the link leads back to a directory it is in');
      directory = await opendir(localPath, { bufferSize: NAMES_READ_AHEAD });
    }
    yield { origin: 'local', path, localPath, type, stats, isFollowed: isFollowing };
    const above = [...place.above, identity];
    for await (const { name } of directory ?? []) {
      const below = path === '' ? name : `${path}/${name}`;
      yield* walk({ localPath: join(localPath, name), path: below, above }, options);
    }
  } catch (error) {
    yield { origin: 'failed', path, error };
  } finally {
    // Closed already when it was read to its end.
    await directory?.close().catch(() => undefined);
  }
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
