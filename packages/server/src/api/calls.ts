import type { z } from 'zod';
import type { AdminCalls } from './admin-calls.js';
import type { LockCalls } from './lock-calls.js';
import type * as schema from './schemas.js';
import type { BucketSettings, PosixAttributes } from './schemas.js';

/*
 * The calls of the store as interfaces: the tRPC router serves exactly these, the client offers exactly these, and the
 * in-memory store of the tests implements them too. Errors are `StoreError` with a public code.
 */

type Input<Schema extends z.ZodType> = z.input<Schema>;

export type PutInput = Input<typeof schema.putSchema>;
export type EditInput = Input<typeof schema.editSchema>;
export type ReadInput = Input<typeof schema.readSchema>;
export type HeadInput = Input<typeof schema.headSchema>;
export type HolesInput = Input<typeof schema.holesSchema>;
export type StatInput = Input<typeof schema.statSchema>;
export type ListInput = Input<typeof schema.listSchema>;
export type DeleteInput = Input<typeof schema.deleteSchema>;
export type DeleteManyInput = Input<typeof schema.deleteManySchema>;
export type CopyInput = Input<typeof schema.copySchema>;
export type RenameInput = Input<typeof schema.renameSchema>;
export type ComposeInput = Input<typeof schema.composeSchema>;
export type RenamePrefixInput = Input<typeof schema.renamePrefixSchema>;
export type DeletePrefixInput = Input<typeof schema.deletePrefixSchema>;
export type SetAttributesInput = Input<typeof schema.setAttributesSchema>;
export type UsageInput = Input<typeof schema.usageSchema>;
export type WatchInput = Input<typeof schema.watchSchema>;
export type CreateUploadInput = Input<typeof schema.createUploadSchema>;
export type WriteUploadInput = Input<typeof schema.writeUploadSchema>;
export type PutPartInput = Input<typeof schema.putPartSchema>;
export type TruncateUploadInput = Input<typeof schema.truncateUploadSchema>;
export type PunchUploadInput = Input<typeof schema.punchUploadSchema>;
export type CopyRangeInput = Input<typeof schema.copyRangeSchema>;
export type CompleteUploadInput = Input<typeof schema.completeUploadSchema>;
export type AbortUploadInput = Input<typeof schema.abortUploadSchema>;
export type ListUploadsInput = Input<typeof schema.listUploadsSchema>;
export type ListPartsInput = Input<typeof schema.listPartsSchema>;
export type CreateBucketInput = Input<typeof schema.createBucketSchema>;
export type DeleteBucketInput = Input<typeof schema.deleteBucketSchema>;
export type HeadBucketInput = Input<typeof schema.headBucketSchema>;
export type ConfigureBucketInput = Input<typeof schema.configureBucketSchema>;
export type ListBucketsInput = Input<typeof schema.listBucketsSchema>;
export type CreateKeyInput = Input<typeof schema.createKeySchema>;
export type DeleteKeyInput = Input<typeof schema.deleteKeySchema>;

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** How long the call may take in all, retries included. Default `LIMITS.callDeadlineMsDefault`. */
  readonly deadlineMs?: number;
}

/** An object as every face shows it, without its bytes. */
export interface ObjectHead {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string;
  /** 1 for the first version of a key, one more with each change of the bytes or attributes. */
  readonly generation: number;
  /** Changes with the bytes, not with the attributes. Ends in `-N` when it is not an MD5. */
  readonly etag: string;
  readonly size: number;
  readonly modifiedAtMs: number;
  readonly contentType: string;
  readonly userMetadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly attributes: PosixAttributes;
  /** CRC32C of all bytes; absent after an edit that left part of a slice. */
  readonly crc32c?: number;
  /** How many of the bytes lie in holes and take no space; absent where none do, or nobody has counted. */
  readonly holeBytes?: number;
}

export interface ReadResult {
  readonly head: ObjectHead;
  /** The asked range, cut at the object's end; shorter only there. */
  readonly body: Uint8Array;
  readonly offset: number;
  /** CRC32C of `body`, made from the verified bytes on the disk. */
  readonly crc32c: number;
}

export type StatResult =
  | { readonly type: 'object'; readonly head: ObjectHead }
  /** `head` is the marker `path/` of an explicit directory; absent for one implied by its keys. */
  | { readonly type: 'directory'; readonly head?: ObjectHead }
  | { readonly type: 'none' };

export interface HolesResult {
  readonly head: ObjectHead;
  /** In order; `offset` and `length` in bytes. One that goes on behind `nextOffset` is cut there. */
  readonly holes: readonly { readonly offset: number; readonly length: number }[];
  /** Where to go on; absent when the end of the object was reached. */
  readonly nextOffset?: number;
}

export interface ListResult {
  /** Keys and common prefixes are each in byte order; both count towards `maxKeys`. */
  readonly objects: readonly ObjectHead[];
  readonly commonPrefixes: readonly { readonly prefix: string; readonly head?: ObjectHead }[];
  readonly isTruncated: boolean;
  readonly continuationToken?: string;
}

export interface DeleteResult {
  /** False when there was nothing to delete (which is no error, as in S3). */
  readonly deleted: boolean;
}

export interface PrefixResult {
  readonly objectCount: number;
}

export interface UsageResult {
  readonly objectCount: number;
  /** Sum of the objects' sizes. */
  readonly bytes: number;
}

/** One change under a watched prefix. `reset`: changes were missed; read everything again from here. */
export type WatchEvent = { readonly resumeToken: string } & (
  | { readonly type: 'put'; readonly head: ObjectHead }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'renamePrefix'; readonly prefix: string; readonly to: string }
  | { readonly type: 'deletePrefix'; readonly prefix: string }
  | { readonly type: 'reset' }
);

export interface UploadHead {
  readonly bucket: string;
  readonly key: string;
  readonly uploadId: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}
export interface PartHead {
  readonly partNumber: number;
  readonly size: number;
  readonly etag: string;
  readonly modifiedAtMs: number;
  readonly crc32c: number;
}
export interface ListUploadsResult {
  readonly uploads: readonly UploadHead[];
  readonly isTruncated: boolean;
  readonly continuationToken?: string;
}
export interface ListPartsResult {
  readonly parts: readonly PartHead[];
  readonly isTruncated: boolean;
  readonly nextPartNumberMarker?: number;
}

export interface BucketHead {
  readonly bucket: string;
  readonly createdAtMs: number;
  readonly settings: BucketSettings;
  readonly usage: UsageResult;
}
export interface ListBucketsResult {
  readonly buckets: readonly BucketHead[];
  readonly isTruncated: boolean;
  readonly continuationToken?: string;
}

export interface AccessKeyHead {
  readonly accessKey: string;
  readonly description: string;
  readonly buckets?: readonly string[] | undefined;
  readonly access: 'read' | 'write' | 'admin';
  readonly createdAtMs: number;
}

export interface StampStatus {
  readonly version: string;
  readonly startedAtMs: number;
  readonly durability: 'sync' | 'os';
  /** `ready` serves everything; `full` refuses bytes with `NoSpace`; of `unavailable` some keys are served by nobody. */
  readonly state: 'ready' | 'full' | 'unavailable';
  /** What an operator should look at, each as a sentence or two. Absent = nothing is known to be wrong. */
  readonly problems?: readonly string[] | undefined;
  readonly space: { readonly totalBytes: number; readonly freeBytes: number };
  readonly extentNodes: readonly {
    readonly memberId: string;
    readonly faultDomain: string;
    readonly totalBytes: number;
    readonly freeBytes: number;
    readonly extentCount: number;
  }[];
  readonly partitions: readonly {
    readonly partitionId: string;
    readonly startKey: string;
    readonly endKey: string;
    readonly epoch: number;
    readonly objectCount: number;
    readonly lastSequence: number;
    readonly logExtentCount: number;
    readonly dataExtentCount: number;
  }[];
}

export interface ObjectCalls {
  /** Stores an object whole. Durable and visible to everyone on return. */
  put(input: PutInput, options?: CallOptions): Promise<ObjectHead>;
  /** Changes parts of an object in one atomic step that costs what it changes. */
  edit(input: EditInput, options?: CallOptions): Promise<ObjectHead>;
  /** Reads a range. Past the end: empty body. `NoSuchKey`, `PreconditionFailed`. */
  read(input: ReadInput, options?: CallOptions): Promise<ReadResult>;
  head(input: HeadInput, options?: CallOptions): Promise<ObjectHead>;
  /**
   * Ranges from `offset` on that are zeros and take no space, a page of at most `LIMITS.listKeysMax`. What is in none of them
   * may be zeros all the same. `NoSuchKey`, `PreconditionFailed`.
   */
  holes(input: HolesInput, options?: CallOptions): Promise<HolesResult>;
  /** Says what a path is: an object, a directory, or nothing. The path has no trailing slash; empty = the bucket's root. */
  stat(input: StatInput, options?: CallOptions): Promise<StatResult>;
  list(input: ListInput, options?: CallOptions): Promise<ListResult>;
  delete(input: DeleteInput, options?: CallOptions): Promise<DeleteResult>;
  deleteMany(input: DeleteManyInput, options?: CallOptions): Promise<PrefixResult>;
  copy(input: CopyInput, options?: CallOptions): Promise<ObjectHead>;
  rename(input: RenameInput, options?: CallOptions): Promise<ObjectHead>;
  compose(input: ComposeInput, options?: CallOptions): Promise<ObjectHead>;
  renamePrefix(input: RenamePrefixInput, options?: CallOptions): Promise<PrefixResult>;
  deletePrefix(input: DeletePrefixInput, options?: CallOptions): Promise<PrefixResult>;
  setAttributes(input: SetAttributesInput, options?: CallOptions): Promise<ObjectHead>;
  usage(input: UsageInput, options?: CallOptions): Promise<UsageResult>;
  /** Changes in order, until the signal aborts. */
  watch(input: WatchInput, options: { readonly signal: AbortSignal }): AsyncIterable<WatchEvent>;
}

export interface UploadCalls {
  create(input: CreateUploadInput, options?: CallOptions): Promise<UploadHead>;
  write(input: WriteUploadInput, options?: CallOptions): Promise<void>;
  putPart(input: PutPartInput, options?: CallOptions): Promise<PartHead>;
  truncate(input: TruncateUploadInput, options?: CallOptions): Promise<void>;
  punch(input: PunchUploadInput, options?: CallOptions): Promise<void>;
  copyRange(input: CopyRangeInput, options?: CallOptions): Promise<PartHead | undefined>;
  complete(input: CompleteUploadInput, options?: CallOptions): Promise<ObjectHead>;
  abort(input: AbortUploadInput, options?: CallOptions): Promise<void>;
  list(input: ListUploadsInput, options?: CallOptions): Promise<ListUploadsResult>;
  listParts(input: ListPartsInput, options?: CallOptions): Promise<ListPartsResult>;
}

export interface BucketCalls {
  create(input: CreateBucketInput, options?: CallOptions): Promise<BucketHead>;
  delete(input: DeleteBucketInput, options?: CallOptions): Promise<void>;
  head(input: HeadBucketInput, options?: CallOptions): Promise<BucketHead>;
  list(input?: ListBucketsInput, options?: CallOptions): Promise<ListBucketsResult>;
  configure(input: ConfigureBucketInput, options?: CallOptions): Promise<BucketHead>;
}

export interface KeyCalls {
  /** The only answer that ever holds the secret. */
  create(
    input: CreateKeyInput,
    options?: CallOptions
  ): Promise<AccessKeyHead & { readonly secretKey: string }>;
  list(options?: CallOptions): Promise<readonly AccessKeyHead[]>;
  delete(input: DeleteKeyInput, options?: CallOptions): Promise<void>;
}

/** Everything a store answers: what clients hold, over whatever transport. */
export interface StoreCalls {
  readonly buckets: BucketCalls;
  readonly objects: ObjectCalls;
  readonly uploads: UploadCalls;
  readonly locks: LockCalls;
  readonly keys: KeyCalls;
  readonly admin: AdminCalls;
}
