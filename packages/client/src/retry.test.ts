import { ERROR_CODES, type ErrorCode, isStoreError, StoreError } from '@stampede/server/api';
import t from 'tap';
import type { Invoker, UnaryCallName } from './call-table.js';
import { mayRepeat, withRetries } from './retry.js';
import { seededRandom } from './testing/seeded-random.js';
import { TestClock } from './testing/test-clock.js';

/** Calls that fail with these codes in turn and then succeed; they remember what they were given. */
function failing(codes: readonly (ErrorCode | StoreError)[]) {
  const inputs: unknown[] = [];
  const deadlinesMs: (number | undefined)[] = [];
  const invoker: Invoker = {
    async call(_call, input, options) {
      inputs.push(input);
      deadlinesMs.push(options.deadlineMs);
      const code = codes[inputs.length - 1];
      if (code === undefined) return 'done';
      throw code instanceof StoreError ? code : new StoreError(code, `failed with ${code}`);
    },
    async *watch() {}
  };
  const clock = new TestClock();
  const retrying = withRetries(invoker, { clock, random: seededRandom(1) });
  const call = (name: UnaryCallName, options = {}, input: object = { bucket: 'b', key: 'k' }) =>
    retrying.call(name, input, options);
  return { call, clock, inputs, deadlinesMs };
}

const codeOf = async (call: Promise<unknown>) =>
  call.then(
    () => 'success',
    (error: unknown) => (isStoreError(error) ? error.code : String(error))
  );

t.test('each code is repeated, or not, as the table says', async (t) => {
  for (const [code, traits] of Object.entries(ERROR_CODES)) {
    for (const call of ['objects.head', 'objects.put', 'keys.create'] as const) {
      const { call: make, inputs } = failing([code as ErrorCode]);
      const outcome = await codeOf(make(call));
      const isSafe = call !== 'keys.create' || traits.outcome === 'none';
      const isRepeated = traits.retry !== 'never' && isSafe;
      t.equal(outcome, isRepeated ? 'success' : code, `${call} after ${code}`);
      t.equal(inputs.length, isRepeated ? 2 : 1, `${call} after ${code}: calls`);
    }
  }
});

t.test('a mutation keeps one request id over all its tries, and the caller’s when it has one', async (t) => {
  const { call, inputs } = failing(['ServiceUnavailable', 'SlowDown', 'DeadlineExceeded']);
  t.equal(await call('objects.put'), 'done');
  const ids = inputs.map((input) => (input as { requestId: string }).requestId);
  t.equal(ids.length, 4);
  t.equal(new Set(ids).size, 1, 'the same');
  t.match(ids[0], /^[0-9a-f-]{36}$/);
  const given = failing(['SlowDown']);
  await given.call('objects.put', {}, { bucket: 'b', key: 'k', requestId: 'mine' });
  t.same(
    given.inputs.map((input) => (input as { requestId: string }).requestId),
    ['mine', 'mine']
  );
  const reading = failing([]);
  await reading.call('objects.head');
  t.notOk('requestId' in (reading.inputs[0] as object), 'a read has none');
  const keys = failing([]);
  await keys.call('keys.create', {}, {});
  t.notOk('requestId' in (keys.inputs[0] as object), 'nor a call that takes none');
});

t.test('a read whose time is over tells what had kept it from an answer', async (t) => {
  const lost = new StoreError('ServiceUnavailable', 'nobody leads');
  const late = new StoreError('DeadlineExceeded', 'too late', { retryAfterMs: 60_000 });
  const reading = failing([lost, late]).call('admin.members', { deadlineMs: 10_000 });
  await t.rejects(reading, { code: 'ServiceUnavailable', message: 'nobody leads' });
  await t.rejects(failing([late]).call('admin.members', { deadlineMs: 10_000 }), {
    code: 'DeadlineExceeded'
  });
});

t.test('two mutations have two request ids', async (t) => {
  const { call, inputs } = failing([]);
  await call('objects.put');
  await call('objects.put');
  const [first, second] = inputs as { requestId: string }[];
  t.not(first?.requestId, second?.requestId);
});

t.test('pauses grow, jitter from zero, and stay bounded', async (t) => {
  const { call, clock } = failing(Array.from({ length: 12 }, () => 'SlowDown' as const));
  await call('objects.head');
  t.equal(clock.sleptMs.length, 12);
  for (const [index, pauseMs] of clock.sleptMs.entries()) {
    const bound = Math.min(5000, 50 * 2 ** index);
    t.ok(pauseMs >= 0 && pauseMs <= bound, `pause ${index}: ${pauseMs} of at most ${bound}`);
  }
  t.ok(Math.max(...clock.sleptMs) > 1000, 'they do grow');
});

t.test('what the store asks for is waited', async (t) => {
  const { call, clock } = failing([new StoreError('SlowDown', 'busy', { retryAfterMs: 700 })]);
  await call('objects.head');
  t.ok(clock.sleptMs[0]! >= 700 && clock.sleptMs[0]! <= 750);
});

t.test('all tries share one deadline', async (t) => {
  const { call, clock, inputs, deadlinesMs } = failing(
    Array.from({ length: 1000 }, () => 'SlowDown' as const)
  );
  const startMs = clock.monotonicMs();
  t.equal(await codeOf(call('objects.head', { deadlineMs: 3000 })), 'SlowDown', 'the last error');
  t.ok(clock.monotonicMs() - startMs <= 3000, 'in time');
  t.ok(inputs.length > 3, 'after several tries');
  t.equal(deadlinesMs[0], 3000);
  for (const [index, deadlineMs] of deadlinesMs.slice(1).entries())
    t.ok(deadlineMs! < deadlinesMs[index]!, `try ${index + 2} has less time`);
  const long = new StoreError('SlowDown', 'busy', { retryAfterMs: 60_000 });
  const patient = failing([long]);
  t.equal(await codeOf(patient.call('objects.head', { deadlineMs: 3000 })), 'SlowDown');
  t.same(patient.clock.sleptMs, [], 'no pause that would end too late');
});

t.test('an abort ends the tries and the pauses', async (t) => {
  const before = failing([]);
  t.equal(await codeOf(before.call('objects.head', { signal: AbortSignal.abort() })), 'Cancelled');
  t.same(before.inputs, [], 'not even one');
  const stop = new AbortController();
  const { clock, inputs, call } = failing(Array.from({ length: 10 }, () => 'SlowDown' as const));
  clock.sleep = async () => {
    stop.abort();
    stop.signal.throwIfAborted();
  };
  t.equal(await codeOf(call('objects.head', { signal: stop.signal })), 'Cancelled');
  t.equal(inputs.length, 1);
});

t.test('a call that may have happened is never reported as one that did not', async (t) => {
  const cases: readonly [ErrorCode, ErrorCode, string][] = [
    ['ServiceUnavailable', 'AccessDenied', 'ServiceUnavailable'],
    ['DeadlineExceeded', 'Unauthenticated', 'ServiceUnavailable'],
    ['DeadlineExceeded', 'NoSpace', 'ServiceUnavailable'],
    ['ServiceUnavailable', 'PreconditionFailed', 'PreconditionFailed'],
    ['SlowDown', 'AccessDenied', 'AccessDenied'],
    ['ServiceUnavailable', 'InternalError', 'InternalError']
  ];
  for (const [first, second, wanted] of cases)
    t.equal(await codeOf(failing([first, second]).call('objects.put')), wanted, `${first}, then ${second}`);
  const read = failing(['ServiceUnavailable', 'AccessDenied']);
  t.equal(await codeOf(read.call('objects.head')), 'AccessDenied', 'a read changes nothing');
  const slow = failing(['ServiceUnavailable', ...Array.from({ length: 99 }, () => 'SlowDown' as const)]);
  t.equal(await codeOf(slow.call('objects.put', { deadlineMs: 1000 })), 'ServiceUnavailable', 'given up');
});

t.test('what may be repeated follows the kind of call', async (t) => {
  const slow = new StoreError('SlowDown', '');
  const lost = new StoreError('ServiceUnavailable', '');
  t.ok(mayRepeat('unrepeatable', slow), 'nothing happened');
  t.notOk(mayRepeat('unrepeatable', lost), 'it may have happened');
  t.ok(mayRepeat('mutation', lost), 'with its request id');
  t.notOk(mayRepeat('read', new StoreError('NoSuchKey', '')));
});
