import {
  type ErrorCode,
  FRAME_KIND,
  type Frame,
  type FrameError,
  publicCodeOf,
  StoreError
} from '../api/index.js';

/** What outsiders learn of errors that speak of the inside. */
const HIDDEN: Readonly<Partial<Record<ErrorCode, string>>> = {
  InternalError: 'The store failed inside. Nothing is wrong with the call; its log says more.',
  SlowDown: 'The store is moving what the call needs. Try again shortly.',
  ServiceUnavailable: 'A part of the store that the call needs does not answer. Try again shortly.'
};

export interface PublicErrorOptions {
  /** Of the call: when it aborted, whatever was thrown is its consequence. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Any thrown value as the error that leaves the front end: public codes only, and no text from inside. The original is
 * its cause.
 */
export function publicErrorOf(thrown: unknown, options: PublicErrorOptions = {}): StoreError {
  const { signal } = options;
  if (thrown instanceof StoreError) {
    const code = publicCodeOf(thrown.code);
    if (code === thrown.code) return thrown;
    return new StoreError(code, HIDDEN[code] ?? thrown.message, { cause: thrown, ...retryAfterOf(thrown) });
  }
  if (signal?.aborted) {
    const reason: unknown = signal.reason;
    if (reason instanceof StoreError) return reason;
    return new StoreError('Cancelled', 'The call was cancelled.', { cause: thrown });
  }
  return new StoreError('InternalError', HIDDEN.InternalError!, { cause: thrown });
}

/** What says so over the framed transport. */
export function errorFrame(id: number, thrown: unknown): Frame {
  return { kind: FRAME_KIND.error, id, payload: frameErrorOf(publicErrorOf(thrown)) };
}

export function frameErrorOf(error: StoreError): FrameError {
  return { code: error.code, message: error.message, ...retryAfterOf(error) };
}

function retryAfterOf({ retryAfterMs }: StoreError): { readonly retryAfterMs?: number } {
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}
