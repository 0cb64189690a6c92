import {
  type AccessKeyHead,
  type AdminCalls,
  type BucketCalls,
  type BucketHead,
  configureBucketSchema,
  createBucketSchema,
  createKeySchema,
  deleteBucketSchema,
  deleteKeySchema,
  headBucketSchema,
  type KeyCalls,
  type LockClock,
  LockService,
  listBucketsSchema,
  type StampStatus,
  type StoreCalls,
  StoreError
} from '@stampede/server/api';
import type { Clock } from '../clock.js';
import { systemClock } from '../system-clock.js';
import { answer } from './memory-call.js';
import { MemoryChanges } from './memory-changes.js';
import { decodeToken, encodeToken } from './memory-listing.js';
import { memoryLocks } from './memory-locks.js';
import { memoryObjects } from './memory-objects.js';
import { type MemoryBucket, MemoryState } from './memory-state.js';
import { memoryUploads } from './memory-uploads.js';
import { SortedKeys } from './sorted-keys.js';

export interface MemoryStoreOptions {
  readonly clock?: Pick<Clock, 'nowMs'>;
  /** Changes kept for watchers that resume; older ones answer `reset`. */
  readonly changeHistoryCount?: number;
  /** For the leases of locks. Default: the system's. */
  readonly lockClock?: LockClock;
  /** Default: that of the store. */
  readonly lockLeaseMs?: number;
}

/**
 * A whole store in memory: every call with the meaning it has on a real one, simple enough to be seen right. For tests
 * of programs that use the SDK. Each call is one atomic step; nothing survives the process.
 */
export function memoryStore(options: MemoryStoreOptions = {}): StoreCalls {
  const locks = new LockService({
    clock: options.lockClock ?? systemClock,
    lifeId: 'memory',
    mayHaveBefore: false,
    leaseMs: options.lockLeaseMs
  });
  const changes = new MemoryChanges(options.changeHistoryCount);
  const state = new MemoryState(options.clock ?? systemClock, changes, locks);
  return {
    buckets: memoryBuckets(state),
    objects: memoryObjects(state),
    uploads: memoryUploads(state),
    locks: memoryLocks(locks),
    keys: memoryKeys(state),
    admin: memoryAdmin(state)
  };
}

const BUCKETS_MAX = 1000;

function memoryBuckets(state: MemoryState): BucketCalls {
  return {
    create: (input, options) =>
      answer(createBucketSchema, input, options, ({ bucket: name, settings = {}, requestId }) =>
        state.once(requestId, () => {
          if (state.buckets.has(name))
            throw new StoreError('BucketAlreadyExists', `${name} exists; choose another name`);
          const bucket: MemoryBucket = {
            name,
            createdAtMs: state.clock.nowMs(),
            settings,
            keys: new SortedKeys(),
            objects: new Map(),
            uploads: new Map()
          };
          state.buckets.set(name, bucket);
          return bucketHead(state, bucket);
        })
      ),

    delete: (input, options) =>
      answer(deleteBucketSchema, input, options, ({ bucket: name, requestId }) =>
        state.once(requestId, () => {
          if (state.bucket(name).objects.size > 0)
            throw new StoreError('BucketNotEmpty', `${name} still has objects; delete them first`);
          state.buckets.delete(name);
        })
      ),

    head: (input, options) =>
      answer(headBucketSchema, input, options, ({ bucket }) => bucketHead(state, state.bucket(bucket))),

    list: (input, options) =>
      answer(listBucketsSchema, input, options, (query) => {
        const { prefix = '', continuationToken, maxBuckets } = query ?? {};
        const after = continuationToken === undefined ? '' : decodeToken(continuationToken);
        const names = [...state.buckets.keys()]
          .filter((name) => name.startsWith(prefix) && name > after)
          .sort();
        const page = names.slice(0, maxBuckets ?? BUCKETS_MAX);
        const buckets = page.map((name) => bucketHead(state, state.bucket(name)));
        const last = page.at(-1);
        if (page.length === names.length || last === undefined) return { buckets, isTruncated: false };
        return { buckets, isTruncated: true, continuationToken: encodeToken(last) };
      }),

    configure: (input, options) =>
      answer(configureBucketSchema, input, options, ({ bucket: name, settings, requestId }) =>
        state.once(requestId, () => {
          const bucket = state.bucket(name);
          bucket.settings = { ...bucket.settings, ...settings };
          return bucketHead(state, bucket);
        })
      )
  };
}

function bucketHead(state: MemoryState, bucket: MemoryBucket): BucketHead {
  const { name, createdAtMs, settings } = bucket;
  return { bucket: name, createdAtMs, settings, usage: state.usage(bucket) };
}

function memoryKeys(state: MemoryState): KeyCalls {
  const keys = new Map<string, AccessKeyHead>();
  return {
    create: (input, options) =>
      answer(createKeySchema, input, options, ({ description = '', buckets, access = 'write' }) => {
        const accessKey = state.nextId('access-key');
        const createdAtMs = state.clock.nowMs();
        const head: AccessKeyHead = {
          accessKey,
          description,
          access,
          createdAtMs,
          ...(buckets && { buckets })
        };
        keys.set(accessKey, head);
        return { ...head, secretKey: state.nextId('secret-key') };
      }),
    list: async () => structuredClone([...keys.values()]),
    delete: (input, options) =>
      answer(deleteKeySchema, input, options, ({ accessKey }) => {
        keys.delete(accessKey);
      })
  };
}

function memoryAdmin(state: MemoryState): AdminCalls {
  const startedAtMs = state.clock.nowMs();
  return {
    status: async (): Promise<StampStatus> => ({
      version: 'memory',
      startedAtMs,
      durability: 'os',
      state: 'ready',
      space: { totalBytes: 0, freeBytes: 0 },
      extentNodes: [],
      partitions: []
    }),
    members: async () => ({ members: [] }),
    extents: async () => ({ extents: [], isTruncated: false, totals: NO_EXTENTS }),
    drain: ({ memberId }) => Promise.reject(noMember(memberId)),
    removeMember: ({ memberId }) => Promise.reject(noMember(memberId)),
    scrub: async () => undefined
  };
}

const NO_EXTENTS = {
  extentCount: 0,
  openCount: 0,
  underReplicatedCount: 0,
  damagedCount: 0,
  unavailableCount: 0,
  movingCount: 0,
  bytesToCopy: 0
};

function noMember(memberId: string): StoreError {
  return new StoreError('InvalidArgument', `There is no member ${memberId}. List the members.`);
}
