import type { BucketHead, ObjectHead, Timestamp } from '@stampede/client';
import { modifiedAt } from './copy/file-mode.js';
import { formatStorePath } from './store-path.js';

/** An object as one line of a listing has it in JSON. */
export function objectSummary(head: ObjectHead) {
  const { mode, symlinkTarget } = head.attributes;
  return {
    type: symlinkTarget === undefined ? 'object' : 'symlink',
    path: formatStorePath(head.bucket, head.key),
    bucket: head.bucket,
    key: head.key,
    size: head.size,
    modifiedAt: formatIso(modifiedAt(head)),
    etag: head.etag,
    ...(mode !== undefined && { mode: formatOctal(mode) }),
    ...(symlinkTarget !== undefined && { symlinkTarget })
  };
}

/** Everything the store says of an object. */
export function objectDetails(head: ObjectHead) {
  const { uid, gid, rdev, xattrs, atime, ctime } = head.attributes;
  return {
    ...objectSummary(head),
    storedAt: new Date(head.modifiedAtMs).toISOString(),
    versionId: head.versionId,
    generation: head.generation,
    contentType: head.contentType,
    ...(head.crc32c !== undefined && { crc32c: head.crc32c.toString(16).padStart(8, '0') }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(rdev !== undefined && { rdev }),
    ...(atime && { accessedAt: formatIso(atime) }),
    ...(ctime && { changedAt: formatIso(ctime) }),
    ...(hasAny(head.tags) && { tags: head.tags }),
    ...(hasAny(head.userMetadata) && { userMetadata: head.userMetadata }),
    ...(xattrs && { xattrs: mapValues(xattrs, (bytes) => Buffer.from(bytes).toString('base64')) })
  };
}

export function bucketDetails({ bucket, createdAtMs, settings, usage }: BucketHead) {
  return {
    bucket,
    createdAt: new Date(createdAtMs).toISOString(),
    objectCount: usage.objectCount,
    bytes: usage.bytes,
    quotaBytes: settings.quotaBytes ?? null,
    tags: settings.tags ?? {}
  };
}

/** To the nanosecond, where it has them. */
export function formatIso({ seconds, nanoseconds }: Timestamp): string {
  const ms = Math.floor(nanoseconds / 1e6);
  const rest = nanoseconds % 1e6;
  const date = new Date(seconds * 1000 + ms);
  // Beyond what a date can say.
  if (Number.isNaN(date.getTime())) return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
  const text = date.toISOString();
  return rest === 0 ? text : text.replace('Z', `${String(rest).padStart(6, '0')}Z`);
}

/** As `ls -l` shows it, in the time zone of this machine: `2026-11-25 03:21:55`. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '-'.padEnd(19);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function formatOctal(mode: number): string {
  return mode.toString(8).padStart(6, '0');
}

function hasAny(record: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(record).length > 0;
}

function mapValues<Value, Result>(
  record: Readonly<Record<string, Value>>,
  map: (value: Value) => Result
): Record<string, Result> {
  return Object.fromEntries(Object.entries(record).map(([name, one]) => [name, map(one)]));
}
