export { depose } from './election.js';
export type { EmbeddedMetaSession } from './embedded-meta-session.js';
export {
  type EmbeddedMetaStore,
  type EmbeddedMetaStoreOptions,
  openEmbeddedMetaStore
} from './embedded-meta-store.js';
export { MemberDirectory } from './member-directory.js';
export type { Member, MemberRole } from './member-table.js';
export { type MemberLife, Membership, type MembershipOptions } from './membership.js';
export type { MetaStoreEvent } from './meta-rows.js';
export type {
  CampaignOptions,
  LeaderEntry,
  Leadership,
  MetaCallOptions,
  MetaChange,
  MetaEntry,
  MetaLease,
  MetaRange,
  MetaStore,
  MetaTransaction,
  MetaTransactionResult,
  MetaWatchOptions
} from './meta-store.js';
export { WatchedRange, type WatchedRangeOptions } from './watched-range.js';
