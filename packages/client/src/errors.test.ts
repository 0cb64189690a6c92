import { StoreError } from '@stampede/server/api';
import t from 'tap';
import { cancelledError, storeErrorFrom } from './errors.js';

const withCode = (code: string) => Object.assign(new Error(`socket: ${code}`), { code });

t.test('every failure on the way to the store has a code', async (t) => {
  const own = new StoreError('NoSuchKey', 'not there');
  t.equal(storeErrorFrom(own), own, 'the store’s own stays');
  const table: readonly [string, unknown, string][] = [
    ['refused', withCode('ECONNREFUSED'), 'ServiceUnavailable'],
    ['reset', withCode('ECONNRESET'), 'ServiceUnavailable'],
    ['unknown host', withCode('ENOTFOUND'), 'ServiceUnavailable'],
    ['timed out', withCode('ETIMEDOUT'), 'DeadlineExceeded'],
    ['wrapped', new Error('fetch failed', { cause: withCode('ECONNREFUSED') }), 'ServiceUnavailable'],
    ['wrapped twice', new Error('a', { cause: new Error('b', { cause: own }) }), 'NoSuchKey'],
    [
      'a tRPC error',
      Object.assign(new Error('no'), { data: { storeCode: 'QuotaExceeded' } }),
      'QuotaExceeded'
    ],
    ['aborted', new DOMException('x', 'AbortError'), 'Cancelled'],
    ['a time-out', new DOMException('x', 'TimeoutError'), 'DeadlineExceeded'],
    ['an error nobody knows', new TypeError('x is not a function'), 'InternalError'],
    ['something that is no error', 'text', 'InternalError']
  ];
  for (const [name, thrown, code] of table) t.equal(storeErrorFrom(thrown).code, code, name);
  const circular = new Error('round');
  circular.cause = circular;
  t.equal(storeErrorFrom(circular).code, 'InternalError', 'a cause that is its own');
});

t.test('an abort says what its caller gave', async (t) => {
  t.equal(cancelledError(AbortSignal.abort()).code, 'Cancelled');
  const own = new StoreError('DeadlineExceeded', 'over');
  t.equal(cancelledError(AbortSignal.abort(own)), own);
  const timeout = AbortSignal.abort(new DOMException('x', 'TimeoutError'));
  t.equal(cancelledError(timeout).code, 'DeadlineExceeded');
});
