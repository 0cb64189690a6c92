import { AttributeCache } from './attribute-cache.js';
import { AttributeChanges } from './attribute-changes.js';
import { DirectoryTimes } from './directory-times.js';
import type { DriveMemory } from './drive-memory.js';
import { Entries } from './entries.js';
import type { FileSystemOptions } from './file-system-options.js';
import { ForeignChanges } from './foreign-changes.js';
import { driveLocks, GuardedNames, leasedStore, type ServerLocks } from './locks/index.js';
import { Namespace } from './namespace.js';
import { OpenFiles } from './open-files.js';
import { ReadAhead } from './read-ahead.js';
import { Removals } from './removals.js';
import { SpaceReader } from './space.js';

const REMOVAL_DELAY_MS = 30;
const READ_AHEAD_BYTES_MAX = 32 * 1024 * 1024;

/** What a bucket's file system is made of. */
export interface BucketParts {
  readonly entries: Entries;
  readonly namespace: Namespace;
  readonly files: OpenFiles;
  readonly removals: Removals;
  readonly attributeCache: AttributeCache;
  readonly space: SpaceReader;
  readonly foreign: ForeignChanges;
  readonly changes: AttributeChanges;
  readonly times: DirectoryTimes;
  readonly guarded: GuardedNames;
  /** Of all mounts of the bucket; undefined where the kernel keeps them by itself. */
  readonly locks: ServerLocks | undefined;
  newReadAhead(): ReadAhead;
}

/** Makes the parts and tells each of those it needs. */
export function makeBucketParts(
  options: FileSystemOptions,
  { memory, scope }: { readonly memory: DriveMemory; readonly scope: string }
): BucketParts {
  const { bucket, prefix, clock, onEvent, uid, gid, umask } = options;
  const defaults = { uid, gid, umask, mountedAtMs: options.bornAtMs ?? clock.nowMs() };
  const times = new DirectoryTimes(clock);
  const cache = new AttributeCache({
    entries: memory.attributes,
    scope,
    ttlMs: options.attributeTtlMs,
    clock
  });
  const foreign = new ForeignChanges({
    ...options,
    cache,
    entries: { apply: (event) => entries.apply(event) }
  });
  const store = options.locks
    ? leasedStore({
        ...options,
        ...options.locks,
        store: foreign.store,
        findLease: (key) => locks?.findLease(key)
      })
    : foreign.store;
  const files = new OpenFiles({
    services: {
      store,
      bucket,
      memory: memory.writes,
      clock,
      defaults,
      openScratch: options.openScratch,
      onCommitted: (state, head) => entries.changed(state.key, { type: 'object', head }),
      onForeignBytes: (state) => foreign.bytesChanged(state.key)
    },
    clock,
    commitIntervalMs: options.commitIntervalMs,
    onEvent,
    checkLocks: () => locks?.check()
  });
  const guarded = new GuardedNames();
  const locks: ServerLocks | undefined = driveLocks(options, { store, files, cache, foreign, guarded });
  const removals = new Removals({
    store,
    bucket,
    clock,
    delayMs: REMOVAL_DELAY_MS,
    onEvent,
    onDone: (key) => cache.forget(key)
  });
  const entries: Entries = new Entries({
    store,
    bucket,
    prefix,
    cache,
    guarded,
    files,
    removals,
    defaults,
    times,
    isAtRoot: options.isAtRoot
  });
  const changes = new AttributeChanges({
    store,
    bucket,
    clock,
    entries,
    files,
    times,
    rootAttributes: options.rootAttributes
  });
  const windowBytesMax = Math.min(READ_AHEAD_BYTES_MAX, options.readMemoryBytes / 4);
  const newReadAhead = () => new ReadAhead(memory.blocks, windowBytesMax);
  const namespace = new Namespace({ store, bucket, entries, files, removals, clock, times, newReadAhead });
  const space = new SpaceReader(store, bucket, clock);
  return {
    entries,
    namespace,
    files,
    removals,
    attributeCache: cache,
    space,
    foreign,
    changes,
    times,
    guarded,
    locks,
    newReadAhead
  };
}
