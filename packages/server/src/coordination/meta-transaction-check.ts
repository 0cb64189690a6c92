import { LIMITS, StoreError } from '../api/index.js';
import type { MetaTransaction } from './meta-store.js';

/**
 * Refuses a transaction that some implementation of the contract would refuse.
 *
 * @throws StoreError `InvalidArgument`
 */
export function checkTransaction({ compares, puts = [], deletes = [] }: MetaTransaction): void {
  const countMax = LIMITS.metaTransactionOperationsMax;
  const count = puts.length + deletes.length;
  if (count > countMax || compares.length > countMax) {
    throw invalid(`has ${count} changes and ${compares.length} compares, more than ${countMax}. Split it.`);
  }
  const changed = [...puts.map(({ key }) => key), ...deletes];
  if (new Set(changed).size < changed.length) throw invalid('changes a key twice. Change each key once.');
  if ([...changed, ...compares.map(({ key }) => key)].includes(''))
    throw invalid('has an empty key. Name the key.');
  let bytes = 0;
  for (const { key, value } of puts) {
    if (value.byteLength > LIMITS.metaValueBytesMax) {
      throw invalid(
        `has a value of ${value.byteLength} bytes, more than ${LIMITS.metaValueBytesMax}. Split the value.`
      );
    }
    bytes += Buffer.byteLength(key) + value.byteLength;
  }
  if (bytes > LIMITS.metaTransactionBytesMax) {
    throw invalid(`puts ${bytes} bytes, more than ${LIMITS.metaTransactionBytesMax}. Split it.`);
  }
}

function invalid(what: string): StoreError {
  return new StoreError('InvalidArgument', `The transaction ${what}`);
}
