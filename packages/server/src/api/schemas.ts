import { z } from 'zod';
import { LIMITS } from './limits.js';

/*
 * The shapes of every call, checked once where a request enters. Bodies are `Uint8Array`; over JSON transports they
 * travel as `{ "$bytes": base64 }` (see json-transformer.ts), over the framed transport as raw bytes.
 */

const encoder = new TextEncoder();

export const bytesSchema = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');
export const bodySchema = bytesSchema.refine((body) => body.byteLength <= LIMITS.bodyBytesMax, {
  error: `a body is at most ${LIMITS.bodyBytesMax} bytes a call; use uploads for more`
});

export const bucketNameSchema = z
  .string()
  .min(LIMITS.bucketNameLengthMin)
  .max(LIMITS.bucketNameLengthMax)
  .regex(
    /^[a-z0-9][a-z0-9.-]*[a-z0-9]$/,
    'a bucket name has lower-case letters, digits, dots and hyphens, and starts and ends with a letter or digit'
  )
  .refine((name) => !name.includes('..') && !/^\d+\.\d+\.\d+\.\d+$/.test(name), 'not a bucket name');

const wellFormed = (text: string) => text.isWellFormed();
const keyText = z
  .string()
  .refine(wellFormed, 'a key is well-formed Unicode')
  // Each UTF-16 unit is at most 3 bytes, so only long keys need counting.
  .refine(
    (key) => key.length * 3 <= LIMITS.keyBytesMax || encoder.encode(key).length <= LIMITS.keyBytesMax,
    `a key is at most ${LIMITS.keyBytesMax} bytes of UTF-8`
  );
export const keySchema = keyText.min(1, 'a key has at least one byte');
export const prefixSchema = keyText;

const count = z.int().nonnegative();
const offset = count;
const requestId = z.string().min(1).max(LIMITS.requestIdLengthMax).optional();
const crc = z.int().min(0).max(0xffffffff);

/** Seconds since 1970, possibly negative, and 0 ≤ nanoseconds < 1e9. */
export const timestampSchema = z.object({ seconds: z.int(), nanoseconds: z.int().min(0).max(999_999_999) });
export type Timestamp = z.infer<typeof timestampSchema>;

/** POSIX attributes an object carries; an absent one takes the mount's default. */
export const posixAttributesSchema = z.object({
  /** Type and permission bits, as `st_mode`. */
  mode: count.max(0o177777).optional(),
  uid: count.max(0xffffffff).optional(),
  gid: count.max(0xffffffff).optional(),
  rdev: count.optional(),
  mtime: timestampSchema.optional(),
  atime: timestampSchema.optional(),
  ctime: timestampSchema.optional(),
  symlinkTarget: z.string().max(LIMITS.symlinkTargetBytesMax).optional(),
  xattrs: z.record(z.string().max(255), bytesSchema).optional()
});
export type PosixAttributes = z.infer<typeof posixAttributesSchema>;

/** `*` = any existing version; otherwise an etag, or `generation:N`. Judged in the order of the key's one log. */
const condition = z.string().min(1).max(100);
const preconditions = {
  /** Fails with `PreconditionFailed` unless the key now has this etag or generation (`*`: exists). */
  ifMatch: condition.optional(),
  /** Fails with `PreconditionFailed` when the key now has this etag (`*`: exists). */
  ifNoneMatch: condition.optional()
};

const userMetadata = z.record(z.string().min(1).max(128), z.string().max(4096));
const tags = z
  .record(z.string().min(1).max(128), z.string().max(256))
  .refine((all) => Object.keys(all).length <= LIMITS.tagCountMax, `at most ${LIMITS.tagCountMax} tags`);

/** What a writer says of an object besides its bytes. */
const descriptiveFields = {
  contentType: z.string().max(256).optional(),
  userMetadata: userMetadata.optional(),
  tags: tags.optional(),
  attributes: posixAttributesSchema.optional()
};

const at = { bucket: bucketNameSchema, key: keySchema };

export const putSchema = z.object({
  ...at,
  body: bodySchema,
  /** CRC32C of the body; checked before anything is stored (`BadDigest`). */
  crc32c: crc.optional(),
  /** MD5 of the body in hex when the caller has it: becomes the etag, as over S3. */
  md5: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  ...descriptiveFields,
  ...preconditions,
  requestId
});

/** One step of an edit; offsets in bytes of the object as the earlier steps left it. */
export const editStepSchema = z.discriminatedUnion('type', [
  /** Takes the next `length` bytes of `body` and lays them at `offset`, or at the end when `offset` is absent. */
  z.object({ type: z.literal('write'), offset: offset.optional(), length: count.min(1) }),
  /** Cuts or extends with a hole. */
  z.object({ type: z.literal('truncate'), size: count.max(LIMITS.objectBytesMax) }),
  /** Replaces [offset, offset + length) with a hole; never extends. */
  z.object({ type: z.literal('punch'), offset, length: count.min(1) })
]);
export type EditStep = z.infer<typeof editStepSchema>;

/** Changes parts of an object, or creates it, as one atomic durable step. */
export const editSchema = z.object({
  ...at,
  steps: z.array(editStepSchema).max(LIMITS.editCountMax),
  body: bodySchema,
  crc32c: crc.optional(),
  /** Set on the object with the same step; absent fields stay as they are. */
  ...descriptiveFields,
  ...preconditions,
  /** Creates an empty object first when the key has none; otherwise `NoSuchKey`. */
  create: z.boolean().optional(),
  requestId
});

export const readSchema = z.object({
  ...at,
  offset: offset.optional(),
  length: count.max(LIMITS.bodyBytesMax).optional(),
  ifMatch: condition.optional(),
  ifNoneMatch: condition.optional(),
  versionId: z.string().max(64).optional()
});

export const headSchema = z.object({ ...at, versionId: z.string().max(64).optional() });
export const holesSchema = z.object({ ...at, offset: offset.optional(), ifMatch: condition.optional() });
export const statSchema = z.object({ bucket: bucketNameSchema, path: prefixSchema });

export const listSchema = z.object({
  bucket: bucketNameSchema,
  prefix: prefixSchema.optional(),
  delimiter: z.string().min(1).max(16).optional(),
  startAfter: prefixSchema.optional(),
  continuationToken: z.string().max(8192).optional(),
  maxKeys: count.max(LIMITS.listKeysMax).optional()
});

export const deleteSchema = z.object({
  ...at,
  ...preconditions,
  /** Fails with `PrefixNotEmpty` when other keys start with this key: how a directory marker is removed. */
  onlyIfPrefixEmpty: z.boolean().optional(),
  requestId
});
export const deleteManySchema = z.object({
  bucket: bucketNameSchema,
  keys: z.array(keySchema).min(1).max(LIMITS.deleteManyKeysMax),
  requestId
});

const target = { bucket: bucketNameSchema.optional(), key: keySchema };

/** Copies without moving bytes: the target shares the source's slices. */
export const copySchema = z.object({
  ...at,
  to: z.object(target),
  /** Judged on the source. */
  sourceIfMatch: condition.optional(),
  /** Judged on the target. */
  ...preconditions,
  /** Absent fields are copied from the source. */
  ...descriptiveFields,
  requestId
});

export const renameSchema = z.object({
  ...at,
  to: z.object({ key: keySchema }),
  sourceIfMatch: condition.optional(),
  ...preconditions,
  /** Swap the two objects; both must exist. */
  exchange: z.boolean().optional(),
  attributes: posixAttributesSchema.optional(),
  requestId
});

/** Concatenates ranges of objects of the bucket into one, by slices. */
export const composeSchema = z.object({
  ...at,
  sources: z
    .array(
      z.object({
        key: keySchema,
        offset: offset.optional(),
        length: count.optional(),
        ifMatch: condition.optional()
      })
    )
    .min(1)
    .max(LIMITS.composeSourcesMax),
  ...descriptiveFields,
  ...preconditions,
  requestId
});

/** Renames every key that starts with `prefix`; both prefixes end in `/`. The target prefix must have no key, save its own marker. */
export const renamePrefixSchema = z.object({
  bucket: bucketNameSchema,
  prefix: prefixSchema.endsWith('/'),
  to: prefixSchema.endsWith('/'),
  requestId
});
export const deletePrefixSchema = z.object({ bucket: bucketNameSchema, prefix: prefixSchema, requestId });

export const setAttributesSchema = z.object({
  ...at,
  ...descriptiveFields,
  /** Names of xattrs to remove; `attributes.xattrs` adds and replaces. */
  removeXattrs: z.array(z.string().max(255)).max(1000).optional(),
  /** Creates an empty object when the key has none: an implied directory becomes explicit. */
  create: z.boolean().optional(),
  ifMatch: condition.optional(),
  requestId
});
export const usageSchema = z.object({ bucket: bucketNameSchema, prefix: prefixSchema.optional() });
export const watchSchema = z.object({
  bucket: bucketNameSchema,
  prefix: prefixSchema.optional(),
  /** From an earlier event; absent = from now. */
  resumeToken: z.string().max(200).optional(),
  /** Set by tRPC clients that resume a subscription on their own. */
  lastEventId: z.string().max(200).optional()
});

// Uploads

export const createUploadSchema = z.object({
  ...at,
  /** Start from the slices of an existing object: the bucket's key by default, its etag checked when given. */
  from: z.object({ key: keySchema.optional(), ifMatch: condition.optional() }).optional(),
  ...descriptiveFields,
  expiresInMs: count.min(1000).max(LIMITS.uploadLifetimeMsMax).optional(),
  requestId
});
const upload = { ...at, uploadId: z.string().min(1).max(64) };
export const writeUploadSchema = z.object({
  ...upload,
  offset,
  body: bodySchema,
  crc32c: crc.optional(),
  requestId
});
export const putPartSchema = z.object({
  ...upload,
  partNumber: z.int().min(1).max(LIMITS.partNumberMax),
  /** Where in the part this piece goes: parts larger than one call arrive in pieces, in order. A piece at 0 replaces the part. */
  offset: offset.optional(),
  body: bodySchema,
  crc32c: crc.optional(),
  /** MD5 of the whole part in hex, with its last piece: becomes the part's etag. */
  md5: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  requestId
});
export const truncateUploadSchema = z.object({
  ...upload,
  size: count.max(LIMITS.objectBytesMax),
  requestId
});
export const punchUploadSchema = z.object({ ...upload, offset, length: count.min(1), requestId });
export const copyRangeSchema = z.object({
  ...upload,
  offset,
  source: z.object({
    bucket: bucketNameSchema.optional(),
    key: keySchema,
    offset,
    length: count.min(1),
    ifMatch: condition.optional()
  }),
  /** With it the range becomes that part (UploadPartCopy); `offset` must be 0. */
  partNumber: z.int().min(1).max(LIMITS.partNumberMax).optional(),
  requestId
});
export const completeUploadSchema = z.object({
  ...upload,
  /** The parts that make the object, in order (S3 form); absent for uploads made with `write`. */
  parts: z
    .array(z.object({ partNumber: z.int().min(1), etag: z.string().max(100).optional() }))
    .max(LIMITS.partNumberMax)
    .optional(),
  /** CRC32C of the whole object; checked against the combined one (`BadDigest`). */
  crc32c: crc.optional(),
  ...descriptiveFields,
  ...preconditions,
  /**
   * An upload made `from` an object fails with `PreconditionFailed` when the key has changed since. With `rebase`
   * what was written, truncated and punched is laid over the newest version instead.
   */
  rebase: z.boolean().optional(),
  requestId
});
export const abortUploadSchema = z.object({ ...upload, requestId });
export const listUploadsSchema = z.object({
  bucket: bucketNameSchema,
  prefix: prefixSchema.optional(),
  continuationToken: z.string().max(8192).optional(),
  maxUploads: count.max(LIMITS.listKeysMax).optional()
});
export const listPartsSchema = z.object({
  ...upload,
  partNumberMarker: count.optional(),
  maxParts: count.max(LIMITS.listKeysMax).optional()
});

// Buckets, keys

export const bucketSettingsSchema = z.object({
  /** Most bytes the bucket's objects may have together; `null` = no limit. */
  quotaBytes: count.nullable().optional(),
  tags: tags.optional()
});
export type BucketSettings = z.infer<typeof bucketSettingsSchema>;
export const createBucketSchema = z.object({
  bucket: bucketNameSchema,
  settings: bucketSettingsSchema.optional(),
  requestId
});
export const deleteBucketSchema = z.object({ bucket: bucketNameSchema, requestId });
export const headBucketSchema = z.object({ bucket: bucketNameSchema });
export const configureBucketSchema = z.object({
  bucket: bucketNameSchema,
  settings: bucketSettingsSchema,
  requestId
});
export const listBucketsSchema = z
  .object({
    prefix: z.string().max(63).optional(),
    continuationToken: z.string().max(200).optional(),
    maxBuckets: count.max(1000).optional()
  })
  .optional();

export const createKeySchema = z.object({
  description: z.string().max(256).optional(),
  /** Absent = every bucket. */
  buckets: z.array(bucketNameSchema).max(100).optional(),
  access: z.enum(['read', 'write', 'admin']).optional()
});
export const deleteKeySchema = z.object({ accessKey: z.string().min(1).max(128) });
