import type { ObjectHead, StatResult, Timestamp } from '@stampede/client';

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

const NONE: Readonly<Record<string, never>> = Object.freeze({});

/**
 * Makes answers of the store small enough to keep hundreds of thousands: what many of them have in common is one value,
 * what was decoded piece by piece becomes one plain object, and the checksum, which no file operation asks for, is left out.
 */
export class StatCompactor {
  #bucket = '';
  #contentType = '';

  compact(stat: StatResult): StatResult {
    if (stat.type === 'none' || stat.head === undefined) return stat;
    return { type: stat.type, head: this.#compactHead(stat.head) };
  }

  #compactHead(head: ObjectHead): ObjectHead {
    if (head.bucket !== this.#bucket) this.#bucket = head.bucket;
    if (head.contentType !== this.#contentType) this.#contentType = head.contentType;
    const compact: Mutable<ObjectHead> = {
      bucket: this.#bucket,
      key: head.key,
      versionId: head.versionId,
      generation: head.generation,
      etag: head.etag,
      size: head.size,
      modifiedAtMs: head.modifiedAtMs,
      contentType: this.#contentType,
      userMetadata: orNone(head.userMetadata),
      tags: orNone(head.tags),
      attributes: compactAttributes(head.attributes)
    };
    if (head.holeBytes !== undefined) compact.holeBytes = head.holeBytes;
    return compact;
  }
}

/** The three times of a file are mostly one. */
function compactAttributes(attributes: ObjectHead['attributes']): ObjectHead['attributes'] {
  const { mtime, atime, ctime } = attributes;
  if (!mtime) return attributes;
  const shared = { ...attributes };
  if (isSame(mtime, atime)) shared.atime = mtime;
  if (isSame(mtime, ctime)) shared.ctime = mtime;
  return shared;
}

function isSame(one: Timestamp, other: Timestamp | undefined): boolean {
  return other?.seconds === one.seconds && other.nanoseconds === one.nanoseconds;
}

function orNone(fields: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const _ in fields) return fields;
  return NONE;
}
