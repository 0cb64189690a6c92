import type { MetaCallOptions } from '../meta-store.js';
import { EtcdClient } from './etcd-client.js';
import type { EtcdOptions } from './etcd-endpoint.js';

/** What a member of etcd says of itself. */
export interface EtcdMemberStatus {
  readonly version: string;
  readonly databaseBytes: number;
  readonly hasLeader: boolean;
  readonly isLeader: boolean;
  /** As `NOSPACE` and `CORRUPT`; empty while all is well. */
  readonly alarms: readonly string[];
  /** How long a read below the prefix took on which most members agreed; in milliseconds. */
  readonly readMs: number;
}

/**
 * Asks the first of the endpoints, and only that one.
 *
 * @throws StoreError as the calls of the meta store: `AccessDenied` and `Unauthenticated` too.
 */
export async function readEtcdStatus(
  options: EtcdOptions,
  callOptions: MetaCallOptions
): Promise<EtcdMemberStatus> {
  const client = new EtcdClient({ ...options, endpoints: options.endpoints.slice(0, 1) }, 0);
  const patience = client.patience(callOptions);
  try {
    const status = await client.call('repeatable', patience, (attempt) =>
      attempt.etcd.maintenance.status(attempt.options)
    );
    const startedAtMs = client.clock.monotonicMs();
    const range = { ...client.rangeOf(''), limit: 1, keys_only: true };
    await client.call('repeatable', patience, (attempt) => attempt.etcd.kv.range(range, attempt.options));
    return {
      version: status.version,
      databaseBytes: Number(status.dbSize),
      hasLeader: status.leader !== '0',
      isLeader: status.leader === status.header.member_id,
      alarms: status.errors.map((text) => /alarm:(\w+)/.exec(text)?.[1] ?? text),
      readMs: client.clock.monotonicMs() - startedAtMs
    };
  } finally {
    await client.close([]);
  }
}
