import {
  type BucketSettings,
  crc32c,
  LIMITS,
  type LockService,
  type ObjectHead,
  type PosixAttributes,
  StoreError,
  type UploadHead,
  type UsageResult
} from '@stampede/server/api';
import type { Clock } from '../clock.js';
import type { MemoryChanges } from './memory-changes.js';
import { holeBytesIn } from './memory-holes.js';
import type { SortedKeys } from './sorted-keys.js';

/** A version of an object. `body` is never modified: a change makes a new one. */
export interface StoredObject {
  readonly head: ObjectHead;
  readonly body: Uint8Array;
}

export interface Description {
  readonly contentType: string;
  readonly userMetadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly attributes: PosixAttributes;
}

export const NO_DESCRIPTION: Description = {
  contentType: 'application/octet-stream',
  userMetadata: {},
  tags: {},
  attributes: {}
};

export interface MemoryPart {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly modifiedAtMs: number;
}

export type UploadOperation =
  | { readonly type: 'write'; readonly offset: number; readonly body: Uint8Array }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

export interface MemoryUpload {
  readonly head: UploadHead;
  /** What the upload was made from; absent = from nothing. */
  readonly base: StoredObject | undefined;
  /** Fields that `create` gave; those of `complete` win. */
  readonly given: DescriptiveInput;
  readonly operations: UploadOperation[];
  readonly parts: Map<number, MemoryPart>;
}

export interface MemoryBucket {
  readonly name: string;
  readonly createdAtMs: number;
  settings: BucketSettings;
  readonly keys: SortedKeys;
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, MemoryUpload>;
}

export interface NewVersion extends Description {
  readonly body: Uint8Array;
  /** Kept when the bytes are those of another version; absent = a new one. */
  readonly etag?: string | undefined;
}

/** The whole state of an in-memory store, and the few ways in which it changes. */
export class MemoryState {
  readonly buckets = new Map<string, MemoryBucket>();
  readonly changes: MemoryChanges;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly locks: LockService;
  #sequence = 0;
  readonly #requests = new Map<
    string,
    { readonly atMs: number; readonly result: unknown; readonly refusal?: StoreError }
  >();

  constructor(clock: Pick<Clock, 'nowMs'>, changes: MemoryChanges, locks: LockService) {
    this.clock = clock;
    this.changes = changes;
    this.locks = locks;
  }

  nextId(name: string): string {
    this.#sequence += 1;
    return `${name}-${this.#sequence}`;
  }

  nextEtag(): string {
    this.#sequence += 1;
    return `${this.#sequence.toString(16).padStart(32, '0')}-1`;
  }

  /** Runs an action once for each request id and gives its result, or its refusal, again for a repeat. */
  once<Result>(requestId: string | undefined, action: () => Result): Result {
    if (requestId === undefined) return action();
    const nowMs = this.clock.nowMs();
    for (const [id, { atMs }] of this.#requests) {
      if (atMs > nowMs - LIMITS.requestIdKeptMs) break;
      this.#requests.delete(id);
    }
    const earlier = this.#requests.get(requestId);
    if (earlier?.refusal) throw earlier.refusal;
    if (earlier) return earlier.result as Result;
    try {
      const result = action();
      this.#requests.set(requestId, { atMs: nowMs, result });
      return result;
    } catch (error) {
      if (error instanceof StoreError && error.traits.retry === 'never' && error.traits.outcome === 'none')
        this.#requests.set(requestId, { atMs: nowMs, result: undefined, refusal: error });
      throw error;
    }
  }

  bucket(name: string): MemoryBucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw new StoreError('NoSuchBucket', `there is no bucket ${name}; create it first`);
    return bucket;
  }

  object(bucket: MemoryBucket, key: string): StoredObject {
    const object = bucket.objects.get(key);
    if (!object) throw new StoreError('NoSuchKey', `there is no object ${key} in ${bucket.name}`);
    return object;
  }

  usage(bucket: MemoryBucket, prefix = ''): UsageResult {
    const keys = bucket.keys.withPrefix(prefix);
    return {
      objectCount: keys.length,
      bytes: keys.reduce((sum, key) => sum + this.object(bucket, key).body.length, 0)
    };
  }

  /** Makes the next version of a key. */
  write(bucket: MemoryBucket, key: string, version: NewVersion): ObjectHead {
    const current = bucket.objects.get(key);
    checkDescription(version);
    this.checkQuota(bucket, version.body.length - (current?.body.length ?? 0));
    return this.#place(bucket, key, version);
  }

  remove(bucket: MemoryBucket, key: string): void {
    bucket.objects.delete(key);
    bucket.keys.delete(key);
    this.changes.add(bucket.name, { type: 'delete', key });
  }

  /** Moves a version to another key; no bytes are added, so no quota is asked. */
  move(bucket: MemoryBucket, key: string, to: string, attributes: PosixAttributes): ObjectHead {
    const { head, body } = this.object(bucket, key);
    const version = { ...head, attributes, body };
    checkDescription(version);
    if (to !== key) this.remove(bucket, key);
    return this.#place(bucket, to, version);
  }

  exchange(bucket: MemoryBucket, key: string, to: string, attributes: PosixAttributes): ObjectHead {
    const source = this.object(bucket, key);
    const target = this.object(bucket, to);
    checkDescription({ ...source.head, attributes });
    this.#place(bucket, key, { ...target.head, body: target.body });
    return this.#place(bucket, to, { ...source.head, attributes, body: source.body });
  }

  /** Moves keys without an event for each. */
  moveQuietly(bucket: MemoryBucket, key: string, to: string): void {
    const { head, body } = this.object(bucket, key);
    bucket.objects.delete(key);
    bucket.keys.delete(key);
    bucket.objects.set(to, { head: { ...head, key: to }, body });
    bucket.keys.add(to);
  }

  checkQuota(bucket: MemoryBucket, addedBytes: number): void {
    const { quotaBytes } = bucket.settings;
    if (quotaBytes === null || quotaBytes === undefined || addedBytes <= 0) return;
    if (this.usage(bucket).bytes + addedBytes > quotaBytes)
      throw new StoreError(
        'QuotaExceeded',
        `${bucket.name} may hold ${quotaBytes} bytes; delete something or raise its quota`
      );
  }

  #place(bucket: MemoryBucket, key: string, version: NewVersion): ObjectHead {
    const holeBytes = holeBytesIn(version.body);
    const head: ObjectHead = {
      bucket: bucket.name,
      key,
      versionId: this.nextId('version'),
      generation: (bucket.objects.get(key)?.head.generation ?? 0) + 1,
      etag: version.etag ?? this.nextEtag(),
      size: version.body.length,
      modifiedAtMs: this.clock.nowMs(),
      contentType: version.contentType,
      userMetadata: version.userMetadata,
      tags: version.tags,
      attributes: version.attributes,
      crc32c: crc32c(version.body),
      ...(holeBytes > 0 && { holeBytes })
    };
    const stored = { head: structuredClone(head), body: version.body };
    bucket.objects.set(key, stored);
    bucket.keys.add(key);
    this.changes.add(bucket.name, { type: 'put', head: stored.head });
    return stored.head;
  }
}

/** What a writer says laid over what was there: a given field replaces, of attributes and xattrs each one by itself. */
export function describe(base: Description, given: DescriptiveInput): Description {
  const { attributes = {} } = given;
  const xattrs = { ...base.attributes.xattrs };
  // A copy: the caller may use its bytes again.
  for (const [name, value] of Object.entries(attributes.xattrs ?? {})) xattrs[name] = new Uint8Array(value);
  const present = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return {
    contentType: given.contentType ?? base.contentType,
    userMetadata: given.userMetadata ?? base.userMetadata,
    tags: given.tags ?? base.tags,
    attributes: {
      ...base.attributes,
      ...Object.fromEntries(present),
      ...(Object.keys(xattrs).length > 0 && { xattrs })
    }
  };
}

export interface DescriptiveInput {
  readonly contentType?: string | undefined;
  readonly userMetadata?: Readonly<Record<string, string>> | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly attributes?:
    | { readonly [Name in keyof PosixAttributes]: PosixAttributes[Name] | undefined }
    | undefined;
}

function checkDescription({ userMetadata, tags, attributes }: Description): void {
  const texts = [userMetadata, tags].flatMap((fields) => Object.entries(fields).flat());
  const xattrs = Object.entries(attributes.xattrs ?? {});
  const bytes =
    [...texts, attributes.symlinkTarget ?? ''].reduce((sum, text) => sum + Buffer.byteLength(text), 0) +
    xattrs.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + value.length, 0);
  if (bytes > LIMITS.objectMetadataBytesMax)
    throw new StoreError(
      'EntityTooLarge',
      `metadata, tags and attributes have at most ${LIMITS.objectMetadataBytesMax} bytes together`
    );
}
