import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { StoreClient } from '@stampede/client';
import { lookUp } from '../store-lookup.js';
import { type BucketPath, formatStorePath, type Location } from '../store-path.js';
import { CommandError } from '../usage-error.js';

/*
 * Where copies go, as cp(1) decides it: into the target when it is a directory, else the target is the copy. A target
 * that ends in a slash is a directory whether it exists or not, so that a second run does what the first one did.
 */

export interface StoreDestination {
  readonly bucket: string;
  /** Without a slash at its end; '' for the bucket. */
  readonly key: string;
  readonly isDirectory: boolean;
  /** Whether an object stands there now. */
  readonly isObject: boolean;
}

export interface LocalDestination {
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
}

export async function storeDestination(
  store: StoreClient,
  { bucket, key }: BucketPath,
  signal: AbortSignal
): Promise<StoreDestination> {
  const found = await lookUp(store, { bucket, key }, { prefer: 'object', signal });
  return {
    bucket,
    key: key.replace(/\/$/, ''),
    isDirectory: key.endsWith('/') || found.type === 'directory',
    isObject: found.type === 'object'
  };
}

export async function localDestination(path: string, isSlashed: boolean): Promise<LocalDestination> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const isDirectory = isSlashed || found?.isDirectory() === true;
  return { path, isDirectory, isFile: found !== undefined && !found.isDirectory() };
}

/**
 * The name of a source in the directory it is copied into; '' for what stands for its content, as `docs/.`.
 * A bucket has its own name.
 */
export function nameOf(source: Location): string {
  if (source.type === 'stream') return '';
  if (source.type === 'store') {
    if (source.key === '') return source.bucket ?? '';
    const name = source.key.replace(/\/$/, '');
    return name.slice(name.lastIndexOf('/') + 1);
  }
  const name = basename(source.path);
  return name === '.' || name === '..' ? '' : name;
}

/** The key of a copy. */
export function keyIn({ key, isDirectory }: StoreDestination, name: string): string {
  if (!isDirectory || name === '') return key;
  return key === '' ? name : `${key}/${name}`;
}

/** The prefix of a copied directory: '' or ending in a slash. */
export function prefixIn(destination: StoreDestination, name: string): string {
  const key = keyIn(destination, name);
  if (destination.isObject && key === destination.key)
    throw new CommandError(
      `${formatStorePath(destination.bucket, key)} is a file, where a directory is needed; remove it first`
    );
  return key === '' ? '' : `${key}/`;
}
