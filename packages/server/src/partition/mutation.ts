import type { BucketSettings, PosixAttributes } from '../api/index.js';
import type { GivenDescription } from './description.js';

/*
 * What the commit log holds: each mutation as a command in which everything that chance, time or another object could
 * change is decided already. Applying it to the same index always gives the same index.
 */

/** Pieces as `encodePieces` gives them; slices of extent 0 lie in the block of the mutation itself. */
export type EncodedPieces = Uint8Array;

export interface Place {
  readonly bucket: string;
  readonly key: string;
}

interface UploadPlace extends Place {
  readonly uploadId: string;
}

export type MutationStep =
  /** Without an offset: at the end. */
  | { readonly type: 'write'; readonly offset?: number | undefined; readonly pieces: EncodedPieces }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

export interface MutationSource extends Place {
  readonly offset: number;
  readonly length: number;
}

interface Bodies {
  createBucket: { readonly bucket: string; readonly settings: BucketSettings };
  configureBucket: { readonly bucket: string; readonly settings: BucketSettings };
  deleteBucket: { readonly bucket: string };
  put: Place & {
    readonly given: GivenDescription;
    readonly etag: string;
    readonly pieces: EncodedPieces;
  };
  edit: Place & {
    readonly given: GivenDescription;
    /** Absent when no byte changes. */
    readonly etag?: string | undefined;
    readonly steps: readonly MutationStep[];
  };
  /** The same bytes at other places. Nobody can tell: version, generation, etag and times stay. */
  relocate: Place & {
    readonly runs: readonly { readonly offset: number; readonly pieces: EncodedPieces }[];
  };
  setAttributes: Place & {
    readonly given: GivenDescription;
    readonly removeXattrs?: readonly string[] | undefined;
  };
  delete: { readonly bucket: string; readonly keys: readonly string[]; readonly isOne: boolean };
  copy: Place & { readonly to: Place; readonly given: GivenDescription };
  rename: Place & {
    readonly to: string;
    readonly isExchange: boolean;
    readonly attributes?: PosixAttributes | undefined;
  };
  compose: Place & {
    readonly sources: readonly MutationSource[];
    readonly given: GivenDescription;
    readonly etag: string;
  };
  renamePrefix: { readonly bucket: string; readonly prefix: string; readonly to: string };
  deletePrefix: { readonly bucket: string; readonly prefix: string };
  createUpload: UploadPlace & {
    readonly expiresAtMs: number;
    readonly given: GivenDescription;
    /** The key of the object it starts from. */
    readonly from?: string | undefined;
  };
  writeUpload: UploadPlace & { readonly offset: number; readonly pieces: EncodedPieces };
  truncateUpload: UploadPlace & { readonly size: number };
  punchUpload: UploadPlace & { readonly offset: number; readonly length: number };
  copyRange: UploadPlace & {
    readonly offset: number;
    readonly source: MutationSource;
    /** With the checksum of the range, which may have to be read for it. */
    readonly part?:
      | { readonly partNumber: number; readonly etag: string; readonly crc32c: number }
      | undefined;
  };
  putPart: UploadPlace & {
    readonly partNumber: number;
    /** 0 replaces the part; otherwise its size so far. */
    readonly offset: number;
    readonly pieces: EncodedPieces;
    readonly etag: string;
  };
  completeUpload: UploadPlace & {
    readonly parts?: readonly number[] | undefined;
    /** Of the whole object, when the caller said it and it was found right. */
    readonly crc32c?: number | undefined;
    readonly given: GivenDescription;
    readonly etag: string;
  };
  abortUpload: UploadPlace;
  /** Bytes that a later mutation points to. */
  bytes: object;
}

export type MutationType = keyof Bodies;
export type MutationOf<Type extends MutationType> = { readonly type: Type } & Bodies[Type];
export type MutationBody = { [Type in MutationType]: MutationOf<Type> }[MutationType];

/** A mutation with what all of them have. */
export interface Mutation {
  readonly atMs: number;
  readonly requestId?: string | undefined;
  readonly body: MutationBody;
}
