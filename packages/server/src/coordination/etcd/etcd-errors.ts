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
  [/too many requests/, 'SlowDown', 'etcd has more to do than it can. Retry later.'],
  [
    /request is too large|too many operations/,
    'InvalidArgument',
    'etcd refused the transaction as too large. Split it.'
  ]
];

/** Any failure of a call of etcd. Where nothing certain is known it is `ServiceUnavailable`. */
export function errorOf(cause: unknown): StoreError {
  if (isStoreError(cause)) return cause;
  const text = textOf(cause);
  for (const [part, code, message] of ANSWERS)
    if (part.test(text)) return new StoreError(code, message, { cause });
  return new StoreError('ServiceUnavailable', `etcd does not answer: ${text}. Check its members.`, { cause });
}

/** Nothing but the user or the configuration can change it: a watch that meets it ends. */
export function isRefusal(error: StoreError): boolean {
  return isStoreError(error, 'Unauthenticated', 'AccessDenied');
}

/** No connection was there to send it on. */
export function wasNotSent(cause: unknown): boolean {
  return /No connection established|ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|name resolution/i.test(textOf(cause));
}

/** Users or roles were changed after this client signed in. */
export function wantsNewSignIn(cause: unknown): boolean {
  return /revision of auth store is old/.test(textOf(cause));
}

/** The answer is larger than this client takes. */
export function isTooLarge(cause: unknown): boolean {
  return /received message larger than max/i.test(textOf(cause));
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
