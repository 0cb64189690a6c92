export type {
  AbortUploadInput,
  AccessKeyHead,
  AcquireLockInput,
  AcquireLockResult,
  AdminCalls,
  BucketCalls,
  BucketHead,
  BucketSettings,
  CallOptions,
  CompleteUploadInput,
  ComposeInput,
  ConfigureBucketInput,
  CopyInput,
  CopyRangeInput,
  CreateBucketInput,
  CreateKeyInput,
  CreateUploadInput,
  DeleteBucketInput,
  DeleteInput,
  DeleteKeyInput,
  DeleteManyInput,
  DeletePrefixInput,
  DeleteResult,
  EditInput,
  EditStep,
  EndLocksInput,
  FindLockInput,
  FindLockResult,
  HeadBucketInput,
  HeadInput,
  HolesInput,
  HolesResult,
  KeyCalls,
  ListBucketsInput,
  ListBucketsResult,
  ListInput,
  ListPartsInput,
  ListPartsResult,
  ListResult,
  ListUploadsInput,
  ListUploadsResult,
  LockCalls,
  LockConflict,
  LockMode,
  LockRange,
  LockSegments,
  LockSpaceName,
  ObjectCalls,
  ObjectHead,
  PartHead,
  PosixAttributes,
  PrefixResult,
  PunchUploadInput,
  PutInput,
  PutPartInput,
  ReadInput,
  ReadResult,
  ReleaseLockInput,
  RenameInput,
  RenamePrefixInput,
  RenewLocksInput,
  RenewLocksResult,
  SetAttributesInput,
  StampExtents,
  StampMembers,
  StampStatus,
  StatInput,
  StatResult,
  StoreCalls,
  Timestamp,
  TruncateUploadInput,
  UploadCalls,
  UploadHead,
  UsageInput,
  UsageResult,
  WatchEvent,
  WatchInput,
  WriteUploadInput
} from '@stampede/server/api';
export {
  bucketNameSchema,
  combineCrc32c,
  crc32c,
  crc32cOfZeros,
  ERROR_CODES,
  type ErrorCode,
  type ErrorTraits,
  isErrorCode,
  isStoreError,
  keySchema,
  LIMITS,
  modesIn,
  type PublicErrorCode,
  publicCodeOf,
  StoreError,
  type StoreErrorOptions,
  withMode
} from '@stampede/server/api';
export { type CallKind, type CallName, callsOver, type Invoker, invokerOver } from './call-table.js';
export type { Clock, Random } from './clock.js';
export {
  type ConnectionOptions,
  type CreateStoreClientOptions,
  createStoreClient
} from './create-store-client.js';
export { type Download, DownloadBody, type DownloadInput } from './download.js';
export { storeErrorFrom } from './errors.js';
export { type FramedLink, type FramedLinkOptions, framedLink } from './framed-link.js';
export type { ListEntry, ListObjectsInput } from './list.js';
export type { StoreClient } from './object-client.js';
export { type StoreClientOptions, storeClientOver } from './store-client.js';
export { systemClock, systemRandom } from './system-clock.js';
export type {
  Connect,
  ConnectOptions,
  SocketEvents,
  StoreSocket,
  TlsOptions
} from './transport/socket-seam.js';
export type { UploadInput, UploadProgress } from './upload.js';
export type { UploadBody } from './upload-blocks.js';
export { compareUtf8 } from './utf8-order.js';
export type { WatchObjectsInput } from './watch.js';
