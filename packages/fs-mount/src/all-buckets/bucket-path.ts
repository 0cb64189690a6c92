/** A place in a drive of all buckets. */
export interface BucketPath {
  readonly bucket: string;
  /** From the bucket on; `/` for the bucket itself. */
  readonly path: string;
}

/** Undefined for the root of the drive. */
export function splitPath(path: string): BucketPath | undefined {
  if (path === '/') return undefined;
  const end = path.indexOf('/', 1);
  if (end < 0) return { bucket: path.slice(1), path: '/' };
  return { bucket: path.slice(1, end), path: path.slice(end) };
}

export function joinPath({ bucket, path }: BucketPath): string {
  return path === '/' ? `/${bucket}` : `/${bucket}${path}`;
}
