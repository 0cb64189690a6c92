import t from 'tap';
import { type ErrorCode, isStoreError, LIMITS, StoreError } from '../api/index.js';
import type { OrderedStore } from '../platform/index.js';
import { PartitionFixture } from './testing/partition-fixture.js';

const BUCKET = 'recovery';
const BODY = Buffer.from('body');

async function filled(fixture: PartitionFixture): Promise<PartitionFixture> {
  await fixture.layer.buckets.create({ bucket: BUCKET });
  for (let index = 0; index < 10; index++) await put(fixture, `k${index}`);
  return fixture;
}

const put = (fixture: PartitionFixture, key: string, more: object = {}) =>
  fixture.layer.objects.put({ bucket: BUCKET, key, body: BODY, ...more });

async function keysOf(fixture: PartitionFixture): Promise<readonly string[]> {
  const { objects } = await fixture.layer.objects.list({ bucket: BUCKET });
  return objects.map(({ key }) => key);
}

async function codeOf(call: Promise<unknown>): Promise<ErrorCode | 'done'> {
  try {
    await call;
    return 'done';
  } catch (error) {
    if (isStoreError(error)) return error.code;
    throw error;
  }
}

/** Calls again and again, while time passes, until it is done. */
async function eventually<Result>(fixture: PartitionFixture, call: () => Promise<Result>): Promise<Result> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      return await fixture.until(call());
    } catch {
      await fixture.clock.advance(100);
    }
  }
  return await call();
}

const KEYS = Array.from({ length: 10 }, (_, index) => `k${index}`);

t.test('an index that cannot be read is made anew from the log', async (t) => {
  let isDamaged = false;
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  fixture.wrapIndex = (store) => ({
    ...store,
    get(key) {
      if (isDamaged) throw new StoreError('ChecksumMismatch', 'A row is damaged.');
      return store.get(key);
    }
  });
  await fixture.restart();
  isDamaged = true;
  t.equal(await codeOf(fixture.layer.objects.head({ bucket: BUCKET, key: 'k1' })), 'ServiceUnavailable');
  isDamaged = false;
  t.same(await eventually(fixture, () => keysOf(fixture)), KEYS);
  await eventually(fixture, () => put(fixture, 'new'));
  t.same(await keysOf(fixture), [...KEYS, 'new'].sort());
  t.ok(fixture.events.some(({ type }) => type === 'index-damaged'));
});

t.test('a full disk under the index refuses changes, serves reads, and passes', async (t) => {
  let isFull = false;
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  fixture.wrapIndex = (store): OrderedStore => ({
    ...store,
    async batch(operations, options) {
      if (isFull) throw new StoreError('NoSpace', 'The disk is full.');
      await store.batch(operations, options);
    }
  });
  await fixture.restart();
  isFull = true;
  await put(fixture, 'last');
  await fixture.clock.advance(10);
  t.equal(await codeOf(put(fixture, 'refused')), 'NoSpace');
  t.same(await keysOf(fixture), [...KEYS, 'last'].sort(), 'everything acknowledged is there');
  isFull = false;
  await eventually(fixture, () => put(fixture, 'after'));
  t.same(await keysOf(fixture), [...KEYS, 'after', 'last'].sort());
  await fixture.crash();
  t.same(await keysOf(fixture), [...KEYS, 'after', 'last'].sort(), 'also after a power cut');
});

t.test('a log that cannot be written any more is opened again', async (t) => {
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  fixture.disk.rules.add({ on: 'sync', path: '*', fail: 'EIO' });
  fixture.disk.rules.add({ on: 'write', path: '*', fail: 'EIO' });
  const outcome = await fixture.until(codeOf(put(fixture, 'lost')));
  t.equal(outcome, 'ServiceUnavailable', 'nobody knows whether it happened');
  fixture.disk.rules.clear();
  await eventually(fixture, () => put(fixture, 'after'));
  const keys = await keysOf(fixture);
  t.same(
    keys.filter((key) => key !== 'lost'),
    ['after', ...KEYS]
  );
  t.ok(fixture.events.some(({ type }) => type === 'partition-failed'));
});

t.test('on a full disk what frees space goes on', async (t) => {
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  await put(fixture, 'large', { body: Buffer.alloc(4 * 2 ** 20) });
  const { totalBytes, freeBytes } = await fixture.memoryDisk.space('/n0');
  fixture.memoryDisk.setCapacity(Math.ceil((totalBytes - freeBytes) * 1.05));
  await fixture.until(fixture.streams.sweep());
  await fixture.streams.summary();
  t.equal(await codeOf(put(fixture, 'refused')), 'NoSpace');
  t.equal(await codeOf(put(fixture, 'empty', { body: new Uint8Array(0) })), 'done', 'what has no bytes');
  t.equal(await codeOf(fixture.layer.objects.delete({ bucket: BUCKET, key: 'k0' })), 'done', 'a deletion');
  t.same(await keysOf(fixture), ['empty', ...KEYS.slice(1), 'large'], 'all is readable');
  fixture.memoryDisk.setCapacity(totalBytes);
  await fixture.until(fixture.streams.sweep());
  t.equal(await codeOf(put(fixture, 'refused')), 'done', 'there is space again');
});

t.test('a caller that gives up waiting for a key is told at once', async (t) => {
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  // What is under way holds the key until it is durable.
  const first = put(fixture, 'k1');
  const stop = new AbortController();
  const second = fixture.layer.objects.put(
    { bucket: BUCKET, key: 'k1', body: BODY },
    { signal: stop.signal }
  );
  stop.abort(new StoreError('Cancelled', 'given up'));
  t.equal(await codeOf(second), 'Cancelled');
  await first;
  t.equal(await codeOf(put(fixture, 'k1')), 'done', 'it left no lock behind');
});

t.test('a jump of the wall clock forgets no request id', async (t) => {
  await using fixture = await PartitionFixture.start();
  await filled(fixture);
  const edit = {
    bucket: BUCKET,
    key: 'k1',
    steps: [{ type: 'write' as const, length: 4 }],
    body: BODY,
    requestId: 'once'
  };
  const first = await fixture.layer.objects.edit(edit);
  for (const jumpMs of [
    5 * LIMITS.requestIdKeptMs,
    -20 * LIMITS.requestIdKeptMs,
    3 * LIMITS.requestIdKeptMs
  ]) {
    fixture.clock.setNowMs(fixture.clock.nowMs() + jumpMs);
    await fixture.clock.advance(61_000);
    t.same((await fixture.layer.objects.edit(edit)).generation, first.generation, `after ${jumpMs} ms`);
    await fixture.restart();
    t.same((await fixture.layer.objects.edit(edit)).generation, first.generation, 'and a restart');
  }
});
