import { StoreError } from '@stampede/server/api';
import type { Endpoint } from '../endpoint.js';
import { isUnreachable } from '../errors.js';

/** Why there is no connection: nothing was sent. */
export function connectionError({ url, tls }: Endpoint, cause: Error | undefined): StoreError {
  const why = cause ? describe(cause) : 'it closed the connection';
  if (tls && cause && !isUnreachable(cause))
    return new StoreError(
      'InvalidArgument',
      `no trusted connection to ${url}: ${why}; check that it serves https, and give its authority as tls.ca`,
      { cause }
    );
  return new StoreError(
    'ServiceUnavailable',
    `the store at ${url} cannot be reached (${why}); check the endpoint and that it runs`,
    { cause }
  );
}

/** Why an open connection ended: calls that were sent may have happened. */
export function lostError({ url }: Endpoint, cause: Error | undefined): StoreError {
  const why = cause ? describe(cause) : 'the store closed it';
  return new StoreError(
    'ServiceUnavailable',
    `the connection to ${url} was lost (${why}); whether the call happened is unknown`,
    { cause }
  );
}

/** Node gives several failed addresses as one error without a message. */
function describe(cause: Error): string {
  return cause.message || ('code' in cause ? String(cause.code) : cause.name);
}
