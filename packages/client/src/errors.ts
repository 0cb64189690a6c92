import { type ErrorCode, isErrorCode, StoreError } from '@stampede/server/api';

/** What a system call, a socket or a runtime says when the other side is not there. */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ECONNABORTED',
  'EHOSTDOWN',
  'ERR_STREAM_PREMATURE_CLOSE',
  'UND_ERR_SOCKET'
]);
const CAUSE_DEPTH_MAX = 8;

/**
 * Whatever was thrown on the way to the store, as a `StoreError`: the store's own errors stay as they are, a lost
 * connection is `ServiceUnavailable` (outcome unknown), a time-out `DeadlineExceeded`, an abort `Cancelled`.
 */
export function storeErrorFrom(error: unknown): StoreError {
  let cause: unknown = error;
  for (let depth = 0; depth < CAUSE_DEPTH_MAX && cause instanceof Error; depth++) {
    if (cause instanceof StoreError) return cause;
    const code = codeOf(cause);
    if (code) return new StoreError(code, messageFor(code, cause), { cause: error });
    cause = cause.cause;
  }
  const text = error instanceof Error ? error.message : String(error);
  return new StoreError('InternalError', `the call failed in a way the client does not know: ${text}`, {
    cause: error
  });
}

/** Whether the other side is not there, or no longer. */
export function isUnreachable(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && UNREACHABLE.has(error.code);
}

/** Why a call ended early, as a `StoreError`: what the caller gave to `abort()`, else `Cancelled`. */
export function cancelledError(signal: AbortSignal): StoreError {
  const { reason } = signal;
  if (reason instanceof StoreError) return reason;
  if (reason instanceof Error && reason.name === 'TimeoutError')
    return new StoreError('DeadlineExceeded', 'the time given to the call is over', { cause: reason });
  return new StoreError('Cancelled', 'the caller cancelled the call', { cause: reason });
}

function codeOf(error: Error): ErrorCode | undefined {
  if (error.name === 'AbortError') return 'Cancelled';
  if (error.name === 'TimeoutError') return 'DeadlineExceeded';
  // tRPC clients carry what the server's error formatter put into `data`.
  if ('data' in error && typeof error.data === 'object' && error.data !== null) {
    const { storeCode, code } = error.data as { storeCode?: unknown; code?: unknown };
    if (isErrorCode(storeCode)) return storeCode;
    if (isErrorCode(code)) return code;
  }
  if (!('code' in error) || typeof error.code !== 'string') return undefined;
  if (isUnreachable(error)) return 'ServiceUnavailable';
  return error.code === 'ETIMEDOUT' ? 'DeadlineExceeded' : undefined;
}

function messageFor(code: ErrorCode, error: Error): string {
  if (code === 'ServiceUnavailable')
    return `the store cannot be reached (${error.message}); check the endpoint and that it runs`;
  return error.message;
}
