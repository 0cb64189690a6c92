import t from 'tap';
import { callsOver, invokerOver } from './call-table.js';
import { type ListEntry, listBuckets, listObjects, listUploads } from './list.js';
import { memoryStore } from './testing/memory-store.js';

const nameOf = (entry: ListEntry) => (entry.type === 'object' ? entry.head.key : entry.prefix);

async function filledStore(keys: readonly string[]) {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  for (const key of keys) await store.objects.put({ bucket: 'abc', key, body: new Uint8Array(0) });
  const pages: (AbortSignal | undefined)[] = [];
  const inner = invokerOver(store);
  const calls = callsOver({
    ...inner,
    call: (call, input, options) => {
      if (call.endsWith('.list')) pages.push(options.signal);
      return inner.call(call, input, options);
    }
  });
  return { calls, pages, store };
}

async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value);
  return found;
}

t.test('entries come in byte order, keys and prefixes together', async (t) => {
  const keys = ['a', 'b/1', 'b/2', 'b0', '\uffff', '\u{10000}/x', '\u{1f600}'];
  const { calls } = await filledStore(keys);
  for (const pageSize of [1, 2, 3, 1000]) {
    const entries = await all(listObjects(calls, { bucket: 'abc', delimiter: '/', pageSize }));
    t.same(entries.map(nameOf), ['a', 'b/', 'b0', '\uffff', '\u{10000}/', '\u{1f600}'], `${pageSize} a page`);
    t.same((await all(listObjects(calls, { bucket: 'abc', pageSize }))).map(nameOf), keys);
  }
  t.same((await all(listObjects(calls, { bucket: 'abc', prefix: 'b/' }))).map(nameOf), ['b/1', 'b/2']);
  t.same((await all(listObjects(calls, { bucket: 'abc', startAfter: 'b0' }))).map(nameOf), keys.slice(4));
});

t.test('one page is fetched ahead, not more', async (t) => {
  const { calls, pages } = await filledStore(['a', 'b', 'c', 'd', 'e', 'f']);
  const entries = listObjects(calls, { bucket: 'abc', pageSize: 2 });
  await entries.next();
  t.equal(pages.length, 2, 'the first and one ahead');
  await entries.next();
  t.equal(pages.length, 2, 'while the first lasts');
  await entries.next();
  t.equal(pages.length, 3);
  await entries.return(undefined);
  t.ok(pages.at(-1)?.aborted, 'who stops early ends the fetch');
});

t.test('a failure reaches the consumer, also that of a page fetched ahead', async (t) => {
  const { calls, store } = await filledStore(['a', 'b']);
  await t.rejects(all(listObjects(calls, { bucket: 'none' })), { code: 'NoSuchBucket' });
  const entries = listObjects(calls, { bucket: 'abc', pageSize: 1 });
  await store.objects.deletePrefix({ bucket: 'abc', prefix: 'b' });
  const failing = callsOver({
    ...invokerOver(calls),
    call: async (call, input, options) => {
      const { continuationToken } = input as { continuationToken?: string };
      if (continuationToken !== undefined) throw new Error('the second page failed');
      return invokerOver(calls).call(call, input, options);
    }
  });
  await entries.return(undefined);
  await store.objects.put({ bucket: 'abc', key: 'b', body: new Uint8Array(0) });
  await t.rejects(all(listObjects(failing, { bucket: 'abc', pageSize: 1 })), { message: /second page/ });
});

t.test('an abort ends a listing', async (t) => {
  const { calls } = await filledStore(['a', 'b', 'c']);
  const stop = new AbortController();
  const entries = listObjects(calls, { bucket: 'abc', pageSize: 1, signal: stop.signal });
  await entries.next();
  stop.abort();
  const rest = async () => {
    await entries.next();
    await entries.next();
  };
  await t.rejects(rest(), { code: 'Cancelled' });
});

t.test('uploads and buckets are listed over their pages', async (t) => {
  const { calls, store } = await filledStore([]);
  for (const key of ['b', 'a', 'c']) await store.uploads.create({ bucket: 'abc', key });
  t.same(
    (await all(listUploads(calls, { bucket: 'abc' }))).map(({ key }) => key),
    ['a', 'b', 'c']
  );
  t.same(
    (await all(listUploads(calls, { bucket: 'abc', prefix: 'b' }))).map(({ key }) => key),
    ['b']
  );
  await store.buckets.create({ bucket: 'abd' });
  await store.buckets.create({ bucket: 'zzz' });
  t.same(
    (await all(listBuckets(calls))).map(({ bucket }) => bucket),
    ['abc', 'abd', 'zzz']
  );
  t.same(
    (await all(listBuckets(calls, { prefix: 'ab' }))).map(({ bucket }) => bucket),
    ['abc', 'abd']
  );
});
