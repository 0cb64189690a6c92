import type { TRPCError } from '@trpc/server';
import type { Logger } from 'pino';
import { StoreError } from '../api/index.js';
import type { Caller } from './dispatcher.js';
import { faultOf } from './fault.js';

const PATH_LENGTH_MAX = 100;

interface Refusal {
  readonly error: TRPCError;
  readonly path: string | undefined;
}

/**
 * Logs what tRPC refuses before it reaches a procedure; the rest is logged there. Messages stay out: they may quote
 * the request.
 */
export function logRefusals(logger: Logger, transport: Caller['transport']): (refusal: Refusal) => void {
  return ({ error, path = '' }) => {
    const { code, cause } = error;
    const line = { transport, procedure: path.slice(0, PATH_LENGTH_MAX) };
    if (cause instanceof StoreError) {
      if (cause.code === 'Unauthenticated') logger.info({ ...line, code: cause.code }, cause.message);
    } else if (code === 'INTERNAL_SERVER_ERROR') {
      // A connection that breaks, or bytes that are no messages.
      logger.warn({ ...line, err: faultOf(cause) }, 'A request failed before it reached a procedure.');
    } else {
      logger.info({ ...line, code }, 'A request was refused before it reached a procedure.');
    }
  };
}
