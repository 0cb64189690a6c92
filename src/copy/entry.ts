import type { BigIntStats } from 'node:fs';
import type { ObjectHead } from '@stampede/client';

/** A file, link or directory of a local tree. */
export interface LocalEntry {
  readonly origin: 'local';
  /** Below the root of the tree, components joined by slashes; '' for the root. */
  readonly path: string;
  readonly localPath: string;
  readonly type: 'file' | 'symlink' | 'directory' | 'other';
  readonly stats: BigIntStats;
  /** Whether a link may stand at `localPath` and is taken for what it points to. */
  readonly isFollowed: boolean;
}

/** An object of a tree in the store. */
export interface StoreEntry {
  readonly origin: 'store';
  /** The key below the prefix of the tree, without the slash of a directory's marker; '' for the root. */
  readonly path: string;
  readonly type: 'file' | 'symlink' | 'directory';
  readonly head: ObjectHead;
}

/** What could not even be looked at. */
export interface FailedEntry {
  readonly origin: 'failed';
  readonly path: string;
  readonly error: unknown;
}

export type Entry = LocalEntry | StoreEntry | FailedEntry;
