import { StoreError } from '../api/index.js';
import type { AccessKeys } from './access-keys.js';
import type { Caller } from './dispatcher.js';

/**
 * The caller behind an access key as of now: keys that were deleted since the connection was opened are refused.
 *
 * @throws StoreError `Unauthenticated`
 */
export function callerOf(keys: AccessKeys, accessKey: string, transport: Caller['transport']): Caller {
  const principal = keys.findPrincipal(accessKey);
  if (principal) return { principal, transport };
  throw new StoreError('Unauthenticated', 'The access key was deleted. Use another one.');
}
