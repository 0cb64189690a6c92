export type { EmbeddedMetaSession } from './embedded-meta-session.js';
export {
  type EmbeddedMetaStore,
  type EmbeddedMetaStoreOptions,
  openEmbeddedMetaStore
} from './embedded-meta-store.js';
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
