import { bucketNameSchema, keySchema } from '@stampede/client';
import { UsageError } from './usage-error.js';

/** `st:`, `st:BUCKET` or `st:BUCKET/KEY`. */
export interface StorePath {
  readonly type: 'store';
  /** Absent for `st:`, which stands for all buckets. */
  readonly bucket: string | undefined;
  /** '' for the bucket itself. Ends in a slash when it was written so. */
  readonly key: string;
  /** As it was written. */
  readonly text: string;
}

export type Location =
  | StorePath
  | { readonly type: 'local'; readonly path: string; readonly text: string }
  | { readonly type: 'stream'; readonly text: '-' };

/** A store path that names a bucket. */
export type BucketPath = StorePath & { readonly bucket: string };

const SCHEME = 'st:';

/** A place in the store, in the local file system, or the standard streams (`-`). */
export function parseLocation(text: string): Location {
  if (text === '-') return { type: 'stream', text };
  if (text.startsWith(SCHEME)) return parseStorePath(text);
  if (text === '') throw new UsageError('a path is empty; write a file name or st:BUCKET/KEY');
  if (/^(s3|st|stampede):\/\//i.test(text))
    throw new UsageError(`"${text}" is no place; a place in the store is written st:BUCKET/KEY`);
  return { type: 'local', path: text, text };
}

export function parseStorePath(text: string): StorePath {
  const rest = text.slice(SCHEME.length);
  if (rest === '') return { type: 'store', bucket: undefined, key: '', text };
  if (rest.startsWith('/'))
    throw new UsageError(
      `"${text}" names no bucket; write st:${rest.replace(/^\/+/, '') || 'BUCKET/KEY'}, without a slash after st:`
    );
  const end = rest.indexOf('/');
  const bucket = parseBucket(end < 0 ? rest : rest.slice(0, end));
  const key = end < 0 ? '' : rest.slice(end + 1);
  if (key !== '') parseKey(key, text);
  return { type: 'store', bucket, key, text };
}

export function parseBucket(text: string): string {
  const result = bucketNameSchema.safeParse(text);
  if (result.success) return result.data;
  throw new UsageError(
    `"${text}" is no bucket name; it has 3 to 63 lower-case letters, digits, dots and hyphens, and starts and ends with a letter or digit`
  );
}

export function formatStorePath(bucket: string, key: string): string {
  return `${SCHEME}${bucket}/${key}`;
}

/** Refuses what the store has no part in. */
export function parseInStore(text: string, localCommand: string): StorePath {
  const location = parseLocation(text);
  if (location.type === 'store') return location;
  throw new UsageError(
    `"${text}" is not in the store; write st:BUCKET/KEY, or use ${localCommand} for local files`
  );
}

/** As `parseInStore`, for what needs a bucket. */
export function parseInBucket(text: string, localCommand: string): BucketPath {
  const path = parseInStore(text, localCommand);
  if (path.bucket === undefined) throw new UsageError(`"${text}" names no bucket; write st:BUCKET/KEY`);
  return { ...path, bucket: path.bucket };
}

function parseKey(key: string, text: string): void {
  const result = keySchema.safeParse(key);
  if (!result.success) throw new UsageError(`"${text}": ${result.error.issues[0]?.message}`);
}
