import t from 'tap';
import { memoryOrderedStores } from './memory-level-store.js';
import type { StoreOperation } from './ordered-store.js';
import { seededRandom } from './seeded-random.js';
import { orderedStoreConformance } from './testing/ordered-store-conformance.js';

t.test('conforms', async (t) => {
  orderedStoreConformance(t, async () => {
    const stores = memoryOrderedStores();
    let store = await stores.open('/db');
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await stores.open('/db');
        return store;
      },
      [Symbol.asyncDispose]: () => store.close()
    };
  });
});

t.test('keeps directories apart and opens each once', async (t) => {
  const stores = memoryOrderedStores();
  const [a, b] = [await stores.open('/a'), await stores.open('/b')];
  await a.batch([put('x')]);
  t.equal(b.get(Buffer.from('x')), undefined);
  await t.rejects(stores.open('/a'), { code: 'DiskFailed', message: /in use/ });
});

t.test('loses in a crash what no sync followed, and nothing else', async (t) => {
  const stores = memoryOrderedStores();
  const store = await stores.open('/db');
  await store.batch([put('a')]);
  await store.batch([put('b')], { sync: true });
  await store.batch([put('c'), { type: 'delete', key: Buffer.from('a') }]);
  await stores.crash();
  t.throws(() => store.get(Buffer.from('a')), { code: 'DiskFailed' });
  await t.rejects(store.batch([put('d')]), { code: 'DiskFailed' });
  const left = await stores.open('/db');
  t.same(
    (await left.range({})).map(({ key }) => Buffer.from(key).toString()),
    ['a', 'b']
  );
});

t.test('keeps unsynced batches up to some point, by the seed', async (t) => {
  const counts = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const stores = memoryOrderedStores();
    const store = await stores.open('/db');
    await store.batch([put('0')], { sync: true });
    for (const key of ['1', '2', '3']) await store.batch([put(key), put(`${key}+`)]);
    await stores.crash({ random: seededRandom(seed) });
    const left = await (await stores.open('/db')).range({});
    const keys = left.map(({ key }) => Buffer.from(key).toString());
    t.same(keys, ['0', '1', '1+', '2', '2+', '3', '3+'].slice(0, keys.length), `seed ${seed}`);
    t.equal(keys.length % 2, 1, 'batches are whole');
    counts.add(keys.length);
  }
  t.equal(counts.size, 4);
});

function put(key: string): StoreOperation {
  return { type: 'put', key: Buffer.from(key), value: Buffer.from('value') };
}
