/**
 * What may go wrong, in one table. A code exists only if some caller acts differently on it.
 * `retry`: never = the call is wrong or refused; later = the same call may succeed soon; refresh = look the owner up again.
 * `outcome`: none = nothing happened; unknown = a mutation may have happened: repeat it with its `requestId`.
 * Codes without `publicCode` may leave the front end as they are; the others leave as their public code.
 */
export interface ErrorTraits {
  readonly trpc:
    | 'BAD_REQUEST'
    | 'UNAUTHORIZED'
    | 'FORBIDDEN'
    | 'NOT_FOUND'
    | 'CONFLICT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'TOO_MANY_REQUESTS'
    | 'TIMEOUT'
    | 'SERVICE_UNAVAILABLE'
    | 'CLIENT_CLOSED_REQUEST'
    | 'INTERNAL_SERVER_ERROR';
  readonly retry: 'never' | 'later' | 'refresh';
  readonly outcome: 'none' | 'unknown';
  readonly publicCode?: string;
}

export const ERROR_CODES = {
  // The request is wrong.
  InvalidArgument: { trpc: 'BAD_REQUEST', retry: 'never', outcome: 'none' },
  InvalidRange: { trpc: 'BAD_REQUEST', retry: 'never', outcome: 'none' },
  InvalidPart: { trpc: 'BAD_REQUEST', retry: 'never', outcome: 'none' },
  EntityTooLarge: { trpc: 'PAYLOAD_TOO_LARGE', retry: 'never', outcome: 'none' },
  EntityTooSmall: { trpc: 'BAD_REQUEST', retry: 'never', outcome: 'none' },
  BadDigest: { trpc: 'BAD_REQUEST', retry: 'never', outcome: 'none' },
  // The caller may not.
  Unauthenticated: { trpc: 'UNAUTHORIZED', retry: 'never', outcome: 'none' },
  AccessDenied: { trpc: 'FORBIDDEN', retry: 'never', outcome: 'none' },
  QuotaExceeded: { trpc: 'FORBIDDEN', retry: 'never', outcome: 'none' },
  // What is named does not exist, or exists already, or is another than expected.
  NoSuchBucket: { trpc: 'NOT_FOUND', retry: 'never', outcome: 'none' },
  NoSuchKey: { trpc: 'NOT_FOUND', retry: 'never', outcome: 'none' },
  NoSuchUpload: { trpc: 'NOT_FOUND', retry: 'never', outcome: 'none' },
  NoSuchVersion: { trpc: 'NOT_FOUND', retry: 'never', outcome: 'none' },
  BucketAlreadyExists: { trpc: 'CONFLICT', retry: 'never', outcome: 'none' },
  BucketNotEmpty: { trpc: 'CONFLICT', retry: 'never', outcome: 'none' },
  PrefixNotEmpty: { trpc: 'CONFLICT', retry: 'never', outcome: 'none' },
  PreconditionFailed: { trpc: 'PRECONDITION_FAILED', retry: 'never', outcome: 'none' },
  // The store cannot now.
  SlowDown: { trpc: 'TOO_MANY_REQUESTS', retry: 'later', outcome: 'none' },
  ServiceUnavailable: { trpc: 'SERVICE_UNAVAILABLE', retry: 'later', outcome: 'unknown' },
  DeadlineExceeded: { trpc: 'TIMEOUT', retry: 'later', outcome: 'unknown' },
  Cancelled: { trpc: 'CLIENT_CLOSED_REQUEST', retry: 'never', outcome: 'unknown' },
  NoSpace: { trpc: 'SERVICE_UNAVAILABLE', retry: 'never', outcome: 'none' },
  ChecksumMismatch: { trpc: 'INTERNAL_SERVER_ERROR', retry: 'never', outcome: 'none' },
  InternalError: { trpc: 'INTERNAL_SERVER_ERROR', retry: 'never', outcome: 'unknown' },
  // Between roles only.
  WrongPartition: { trpc: 'SERVICE_UNAVAILABLE', retry: 'refresh', outcome: 'none', publicCode: 'SlowDown' },
  StaleEpoch: { trpc: 'CONFLICT', retry: 'refresh', outcome: 'none', publicCode: 'SlowDown' },
  ExtentSealed: { trpc: 'CONFLICT', retry: 'refresh', outcome: 'none', publicCode: 'SlowDown' },
  ExtentNotFound: {
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'refresh',
    outcome: 'none',
    publicCode: 'InternalError'
  },
  ReplicaUnavailable: {
    trpc: 'SERVICE_UNAVAILABLE',
    retry: 'later',
    outcome: 'unknown',
    publicCode: 'ServiceUnavailable'
  },
  MetaCompacted: { trpc: 'SERVICE_UNAVAILABLE', retry: 'refresh', outcome: 'none', publicCode: 'SlowDown' },
  DiskFailed: {
    trpc: 'INTERNAL_SERVER_ERROR',
    retry: 'never',
    outcome: 'unknown',
    publicCode: 'InternalError'
  }
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The codes a client of the store can meet. */
export type PublicErrorCode = {
  [Code in ErrorCode]: (typeof ERROR_CODES)[Code] extends { publicCode: string } ? never : Code;
}[ErrorCode];

export interface StoreErrorOptions {
  readonly cause?: unknown;
  /** With `SlowDown`: how long to wait before the next try. */
  readonly retryAfterMs?: number;
}

/** The only error that crosses a layer. The message says what to do; the code is API, the message is not. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: StoreErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  get traits(): ErrorTraits {
    return ERROR_CODES[this.code];
  }
}

export function isStoreError(error: unknown, ...codes: readonly ErrorCode[]): error is StoreError {
  return error instanceof StoreError && (codes.length === 0 || codes.includes(error.code));
}

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(ERROR_CODES, text);
}

/** The code under which an error leaves the front end. */
export function publicCodeOf(code: ErrorCode): PublicErrorCode {
  const traits: ErrorTraits = ERROR_CODES[code];
  return (traits.publicCode ?? code) as PublicErrorCode;
}
