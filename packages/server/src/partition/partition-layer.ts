import type { BucketCalls, LockCalls, ObjectCalls, StampStatus, UploadCalls } from '../api/index.js';

/**
 * The partition layer as the front end sees it: the calls of the store, already parsed and authorised, each routed to
 * the partition server that owns its keys. Mutations are durable and visible on return.
 */
export interface PartitionLayer {
  readonly buckets: BucketCalls;
  readonly objects: ObjectCalls;
  readonly uploads: UploadCalls;
  /** In the memory of the partition server, and gone with it. */
  readonly locks: LockCalls;
  partitions(): Promise<StampStatus['partitions']>;
  /** Finishes what is in flight, then stops serving. Nothing acknowledged depends on it. */
  close(): Promise<void>;
}
