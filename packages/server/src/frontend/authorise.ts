import { StoreError } from '../api/index.js';
import type { Access, Principal } from './principal.js';

const RANK: Readonly<Record<Access, number>> = { read: 0, write: 1, admin: 2 };

export interface Demand {
  readonly access: Access;
  /** `undefined` = every bucket there is. */
  readonly buckets: readonly string[] | undefined;
}

/**
 * Refuses what a principal may not do.
 *
 * @throws StoreError `AccessDenied`, saying what the key lacks.
 */
export function authorise(principal: Principal, demand: Demand): void {
  if (RANK[principal.access] < RANK[demand.access]) {
    throw new StoreError(
      'AccessDenied',
      `The access key may ${principal.access}, and this takes ${demand.access}. Use a key with more access.`
    );
  }
  const { buckets: scope } = principal;
  if (!scope) return;
  if (!demand.buckets) {
    throw new StoreError(
      'AccessDenied',
      'The access key is for some buckets only, and this is about all. Use another key.'
    );
  }
  for (const bucket of demand.buckets) {
    if (!scope.has(bucket)) {
      throw new StoreError(
        'AccessDenied',
        `The access key is not for the bucket ${bucket}. Use another key.`
      );
    }
  }
}
