import { isStoreError } from '@stampede/server/api';
import t from 'tap';
import { memoryStore } from './memory-store.js';
import { storeCallsConformance } from './store-calls-conformance.js';
import { TestClock } from './test-clock.js';

t.test('the store in memory means the same as any store', (t) =>
  storeCallsConformance(t, async () => ({ calls: memoryStore(), async [Symbol.asyncDispose]() {} }))
);

t.test('uploads expire', async (t) => {
  const clock = new TestClock();
  const store = memoryStore({ clock });
  await store.buckets.create({ bucket: 'abc' });
  const at = { bucket: 'abc', key: 'k' };
  const { uploadId } = await store.uploads.create({ ...at, expiresInMs: 1000 });
  clock.advance(999);
  t.equal((await store.uploads.list({ bucket: 'abc' })).uploads.length, 1);
  clock.advance(1);
  t.same((await store.uploads.list({ bucket: 'abc' })).uploads, []);
  const late = store.uploads.complete({ ...at, uploadId });
  await late.then(
    () => t.fail('completed after its end'),
    (error: unknown) => t.ok(isStoreError(error, 'NoSuchUpload'))
  );
});

t.test('a request id is forgotten after its time', async (t) => {
  const clock = new TestClock();
  const store = memoryStore({ clock });
  const create = { bucket: 'abc', requestId: 'r' };
  await store.buckets.create(create);
  clock.advance(9 * 60_000);
  await store.buckets.create(create);
  clock.advance(2 * 60_000);
  await t.rejects(store.buckets.create(create), { code: 'BucketAlreadyExists' });
});

t.test('a watch that missed changes says so', async (t) => {
  const store = memoryStore({ changeHistoryCount: 3 });
  await store.buckets.create({ bucket: 'abc' });
  const stop = new AbortController();
  for (let index = 0; index < 10; index++)
    await store.objects.put({ bucket: 'abc', key: `k${index}`, body: new Uint8Array(0) });
  const watch = store.objects.watch({ bucket: 'abc', resumeToken: '2' }, { signal: stop.signal });
  const iterator = watch[Symbol.asyncIterator]();
  t.equal((await iterator.next()).value.type, 'reset');
  await store.objects.delete({ bucket: 'abc', key: 'k1' });
  t.match((await iterator.next()).value, { type: 'delete', key: 'k1' });
  stop.abort();
});
