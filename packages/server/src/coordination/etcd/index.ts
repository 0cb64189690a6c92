/* By itself, since the library for etcd takes longer to load than everything else of a store on one machine. */

export type { EtcdOptions } from './etcd-endpoint.js';
export { type EtcdMetaStoreOptions, openEtcdMetaStore } from './etcd-meta-store.js';
export { type EtcdMemberStatus, readEtcdStatus } from './etcd-status.js';
