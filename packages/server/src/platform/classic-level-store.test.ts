import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openClassicLevelStore } from './classic-level-store.js';
import { flipByte } from './flip-byte.js';
import { seededRandom } from './seeded-random.js';
import { systemDisk } from './system-disk.js';
import { orderedStoreConformance } from './testing/ordered-store-conformance.js';

t.test('conforms', async (t) => {
  orderedStoreConformance(t, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-store-'));
    let store = await openClassicLevelStore(join(folder, 'db'));
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await openClassicLevelStore(join(folder, 'db'));
        return store;
      },
      [Symbol.asyncDispose]: async () => {
        await store.close();
        await rm(folder, { recursive: true });
      }
    };
  });
});

t.test('fails with DiskFailed and the cause when the database cannot be opened', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-store-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const directory = join(folder, 'db');
  const store = await openClassicLevelStore(directory);
  await store.batch([{ type: 'put', key: Buffer.from('a'), value: Buffer.from('1') }], { sync: true });
  await t.rejects(openClassicLevelStore(directory), {
    code: 'DiskFailed',
    message: /in use.*Stop the other/
  });
  await store.close();
  await writeFile(join(directory, 'CURRENT'), 'garbage');
  await t.rejects(openClassicLevelStore(directory), { code: 'DiskFailed', message: /Restore/, cause: Error });
});

t.test('notices a damaged entry when it is read', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-store-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const key = Buffer.from('key');
  // Random bytes, which the engine stores as they are: the flipped one is inside the value.
  const value = seededRandom(1).bytes(100_000);
  let store = await openClassicLevelStore(folder);
  await store.batch([{ type: 'put', key, value }]);
  await store.close();
  // Opening moves the log into a table file.
  store = await openClassicLevelStore(folder);
  await store.close();
  const table = (await readdir(folder)).find((name) => name.endsWith('.ldb'))!;
  await flipByte(systemDisk(), join(folder, table), 50_000);
  store = await openClassicLevelStore(folder);
  t.throws(() => store.get(key), { code: /ChecksumMismatch|DiskFailed/ });
  await t.rejects(store.range({}), { code: /ChecksumMismatch|DiskFailed/ });
  await store.close();
});
