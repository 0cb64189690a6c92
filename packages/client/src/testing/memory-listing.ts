import { LIMITS, type ListResult, type ObjectHead, type StatResult, StoreError } from '@stampede/server/api';
import type { MemoryBucket } from './memory-state.js';

interface ListQuery {
  readonly prefix?: string | undefined;
  readonly delimiter?: string | undefined;
  readonly startAfter?: string | undefined;
  readonly continuationToken?: string | undefined;
  readonly maxKeys?: number | undefined;
}

/** One page of a listing: a walk over the sorted keys that folds those with a delimiter after the prefix. */
export function listPage(bucket: MemoryBucket, query: ListQuery): ListResult {
  const { prefix = '', delimiter, maxKeys = LIMITS.listKeysMax } = query;
  const after =
    query.continuationToken === undefined ? query.startAfter : decodeToken(query.continuationToken);
  const objects: ObjectHead[] = [];
  const commonPrefixes: { prefix: string; head?: ObjectHead }[] = [];
  if (maxKeys === 0) return { objects, commonPrefixes, isTruncated: false };
  // A page that ended with a common prefix goes on behind all of its keys.
  const skipped = delimiter !== undefined && query.continuationToken !== undefined ? after : undefined;
  let last: string | undefined;
  for (const key of keysAfter(bucket, prefix, after)) {
    const folded = commonPrefixOf(key, prefix, delimiter);
    if (folded !== undefined && (folded === last || folded === skipped)) continue;
    if (objects.length + commonPrefixes.length === maxKeys)
      return { objects, commonPrefixes, isTruncated: true, continuationToken: encodeToken(last!) };
    last = folded ?? key;
    const head = bucket.objects.get(last)?.head;
    if (folded === undefined) objects.push(head!);
    else commonPrefixes.push(head ? { prefix: folded, head } : { prefix: folded });
  }
  return { objects, commonPrefixes, isTruncated: false };
}

/** A directory wins over an object of the same name, as on a drive; the root is always a directory. */
export function statPath(bucket: MemoryBucket, path: string): StatResult {
  if (path === '') return { type: 'directory' };
  const marker = `${path}/`;
  const [first] = bucket.keys.withPrefix(marker);
  if (first !== undefined) {
    const head = bucket.objects.get(marker)?.head;
    return head ? { type: 'directory', head } : { type: 'directory' };
  }
  const head = bucket.objects.get(path)?.head;
  return head ? { type: 'object', head } : { type: 'none' };
}

/** Continuation tokens of every listing: the last name given. */
export function encodeToken(last: string): string {
  return `after:${Buffer.from(last).toString('base64url')}`;
}

export function decodeToken(token: string): string {
  const encoded = /^after:([\w-]*)$/.exec(token)?.[1];
  if (encoded === undefined)
    throw new StoreError(
      'InvalidArgument',
      'the continuation token is not one of this store; list from the start'
    );
  return Buffer.from(encoded, 'base64url').toString();
}

function* keysAfter(bucket: MemoryBucket, prefix: string, after: string | undefined): Generator<string> {
  for (const key of bucket.keys.withPrefix(prefix))
    if (after === undefined || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0) yield key;
}

function commonPrefixOf(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (delimiter === undefined) return undefined;
  const position = key.indexOf(delimiter, prefix.length);
  return position < 0 ? undefined : key.slice(0, position + delimiter.length);
}
