import { isStoreError, StoreError } from '../../api/index.js';

/** What etcd answers, by a part of its text, as the contract of the meta store has it. */
const ANSWERS: readonly (readonly [part: RegExp, code: StoreError['code'], message: string])[] = [
  [/requested lease not found/, 'StaleEpoch', 'The lease has ended. Grant a new one.'],
  [
    /required revision has been compacted/,
    'MetaCompacted',
    'The history before was given up. Read the range anew.'
  ],
  [/database space exceeded/, 'NoSpace', 'etcd is full. Compact and defragment it, or raise its quota.'],
  [
    /authentication failed|invalid auth token|user name is empty|user name not found/,
    'Unauthenticated',
    'etcd refused the user or the password. Correct them.'
  ],
  [
    /permission denied/,
    'AccessDenied',
    "etcd does not let its user write the stamp's keys. Grant it the prefix."
  ],
  [/request is too large/, 'InvalidArgument', 'etcd refused the transaction as too large. Split it.']
];

/** Any failure of a call of etcd. Where nothing certain is known it is `ServiceUnavailable`. */
export function errorOf(cause: unknown): StoreError {
  if (isStoreError(cause)) return cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  for (const [part, code, message] of ANSWERS)
    if (part.test(text)) return new StoreError(code, message, { cause });
  return new StoreError('ServiceUnavailable', `etcd does not answer: ${text}. Check its members.`, { cause });
}

/** No connection was there to send it on. */
export function wasNotSent(cause: unknown): boolean {
  const text = cause instanceof Error ? cause.message : '';
  return /No connection established|ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|name resolution/i.test(text);
}
