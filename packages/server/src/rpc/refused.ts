import { isStoreError, StoreError } from '../api/index.js';

/** Whether a call failed because nobody listens at its address any more. */
export function isRefused(error: unknown): boolean {
  if (!isStoreError(error, 'ServiceUnavailable', 'ReplicaUnavailable')) return false;
  const { cause } = error;
  if (cause instanceof StoreError) return isRefused(cause);
  return (cause as { readonly code?: unknown } | undefined)?.code === 'ECONNREFUSED';
}
