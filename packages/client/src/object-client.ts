import type {
  BucketHead,
  ListBucketsInput,
  ListUploadsInput,
  ObjectHead,
  StoreCalls,
  UploadHead,
  WatchEvent
} from '@stampede/server/api';
import type { Download, DownloadInput } from './download.js';
import type { ListEntry, ListObjectsInput } from './list.js';
import type { UploadInput } from './upload.js';
import type { WatchObjectsInput } from './watch.js';

/**
 * The store as programs hold it, the seam that the drive and the command line are built on: every call of the store,
 * and the verbs that take many calls. Over the network and in process it is the same.
 */
export interface StoreClient extends StoreCalls, AsyncDisposable {
  /**
   * Stores an object of any size. Up to 8 MiB travel in one call; more as blocks in parallel, which become visible in
   * one step at the end, checked by the checksum of the whole.
   *
   * @param input   A `Uint8Array` is borrowed: do not modify it until the promise settles.
   * @throws StoreError as `uploads.complete`; nothing stays behind after a failure.
   */
  upload(input: UploadInput): Promise<ObjectHead>;
  /**
   * Reads an object of any size with parallel ranged reads, all of one version.
   *
   * @throws StoreError `PreconditionFailed` (also from the body) when the object was replaced meanwhile,
   *         `ChecksumMismatch` when bytes arrived damaged again and again.
   */
  download(input: DownloadInput): Promise<Download>;
  /** Everything below a prefix in byte order; with a delimiter also the common prefixes. Holds two pages at most. */
  listObjects(input: ListObjectsInput): AsyncIterable<ListEntry>;
  listUploads(input: Pick<ListUploadsInput, 'bucket' | 'prefix'> & Cancellable): AsyncIterable<UploadHead>;
  listBuckets(input?: Pick<NonNullable<ListBucketsInput>, 'prefix'> & Cancellable): AsyncIterable<BucketHead>;
  /**
   * Changes below a prefix, over any number of connections, until the signal aborts. After `reset` changes were
   * missed: read everything again.
   */
  watch(input: WatchObjectsInput): AsyncIterable<WatchEvent>;
  /** Ends what is under way with `Cancelled` and closes the connection. */
  close(): Promise<void>;
}

export interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}
