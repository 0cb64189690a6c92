const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Every bound of the store, once. Sizes in bytes, durations in milliseconds. */
export const LIMITS = {
  // Names
  keyBytesMax: 1024,
  bucketNameLengthMin: 3,
  bucketNameLengthMax: 63,
  requestIdLengthMax: 128,
  /** User metadata, tags, POSIX attributes and xattrs of one object together. */
  objectMetadataBytesMax: 64 * KIB,
  symlinkTargetBytesMax: 4095,
  tagCountMax: 50,

  // Calls
  /** Bytes that one call carries in or out. */
  bodyBytesMax: 8 * MIB,
  /** Separate writes, truncates and punches in one `objects.edit`. */
  editCountMax: 4096,
  listKeysMax: 1000,
  deleteManyKeysMax: 1000,
  composeSourcesMax: 10_000,
  callDeadlineMsDefault: 60 * SECOND_MS,
  callDeadlineMsMax: 10 * MINUTE_MS,
  requestIdKeptMs: 10 * MINUTE_MS,
  frameHeadBytesMax: MIB,
  frameBytesMax: 10 * MIB,
  httpBodyBytesMax: 16 * MIB,
  connectionCallsInFlightMax: 256,
  /** Bytes of calls in flight over all connections of a front end; more wait unread in their sockets. */
  frontEndBytesInFlightMax: 128 * MIB,
  tokenLifetimeMsMax: 15 * MINUTE_MS,
  clockSkewMs: 5 * MINUTE_MS,
  watchQueueEventsMax: 10_000,

  // Objects
  objectBytesMax: 5 * 1024 * GIB,
  partNumberMax: 10_000,
  partBytesMin: 5 * MIB,
  uploadOperationsMax: 1_500_000,
  uploadLifetimeMsDefault: 7 * DAY_MS,
  uploadLifetimeMsMax: 30 * DAY_MS,

  // Stream layer
  blockBytesMax: 4 * MIB,
  /** A block that holds one small mutation may be a little larger than its body. */
  blockHeadBytesMax: MIB,
  checksumChunkBytes: 64 * KIB,
  extentBytesMax: 256 * MIB,
  appendTimeoutMs: 2 * SECOND_MS,
  streamBytesInFlightMax: 32 * MIB,
  extentNodeOpenFilesMax: 256,
  spaceHighWatermark: 0.9,
  heartbeatMs: 3 * SECOND_MS,
  memberDeadAfterMs: MINUTE_MS,
  repairBytesPerSecond: 64 * MIB,
  repairConcurrencyMax: 2,
  scrubCycleMs: 7 * DAY_MS,
  scrubBytesPerSecond: 16 * MIB,
  orphanGraceMs: 10 * MINUTE_MS,

  // Partition layer
  checkpointRecordBytesMin: 64 * MIB,
  checkpointLogExtentsMax: 16,
  changeHistoryCountMax: 100_000,
  mutationsInFlightMax: 4096,

  // Locks
  lockLeaseMs: 10 * SECOND_MS,
  /** One call waits at most so long; who waits longer asks again and keeps its place. */
  lockWaitMsMax: 30 * SECOND_MS,
  lockSessionsMax: 10_000,
  /** Files in which one session has locks. */
  lockFilesMax: 10_000,
  /** Calls of one session that wait. */
  lockWaitersMax: 1000,
  /** Separate ranges of one kind on one file. */
  locksOfFileMax: 4096,
  locksMax: 500_000,

  // Coordination
  metaTransactionOperationsMax: 128,
  metaValueBytesMax: MIB,
  /** Keys and values that one transaction puts; etcd refuses requests above 1.5 MiB. */
  metaTransactionBytesMax: 1.25 * MIB
} as const;
