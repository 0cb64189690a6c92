import t from 'tap';
import { type LevelDatabase, type LevelOperation, LevelStore } from './level-store.js';
import type { StoreOperation } from './ordered-store.js';

t.test('writes batches that waited together, with one sync for all that asked', async (t) => {
  const { database, writes, release } = slowDatabase();
  const store = new LevelStore('x', database);
  const batches = [store.batch([put('a')]), store.batch([put('b')], { sync: true }), store.batch([put('c')])];
  release();
  await Promise.all(batches);
  t.same(writes, [
    { keys: ['a'], sync: false },
    { keys: ['b', 'c'], sync: true }
  ]);
});

t.test('accepts no write after a failed one, whose remains in the log could hide it', async (t) => {
  const { database, writes, release } = slowDatabase(new Error('IO error: x.log: No space left on device'));
  const store = new LevelStore('x', database);
  const batches = [store.batch([put('a')]), store.batch([put('b')])];
  const refused = batches.map((batch) =>
    t.rejects(batch, { code: 'NoSpace', message: /Free space.*reopen/ })
  );
  release();
  await Promise.all(refused);
  await t.rejects(store.batch([put('c')]), { code: 'NoSpace' });
  t.equal(writes.length, 1);
  await store.close();
});

function put(key: string): StoreOperation {
  return { type: 'put', key: Buffer.from(key), value: Buffer.from('') };
}

/** The first write waits for `release` and then fails with `failure`, if any. */
function slowDatabase(failure?: Error) {
  const writes: { keys: string[]; sync: boolean }[] = [];
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const database: LevelDatabase = {
    getSync: () => undefined,
    async batch(operations: LevelOperation[], { sync }) {
      writes.push({ keys: operations.map(({ key }) => Buffer.from(key).toString()), sync });
      await held;
      if (failure) throw failure;
    },
    iterator: () => ({ nextv: async () => [], close: async () => undefined }),
    close: async () => undefined
  };
  return { database, writes, release: () => release() };
}
