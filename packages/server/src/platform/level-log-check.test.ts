import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openClassicLevelStore } from './classic-level-store.js';
import { findLogDamage } from './level-log-check.js';
import { seededRandom } from './seeded-random.js';

const BATCH_COUNT = 120;
const VALUE_BYTES = 1000;

t.test('finds nothing wrong with a log, whole or cut anywhere', async (t) => {
  const log = await logOf(t);
  t.equal(findLogDamage(log), undefined);
  t.equal(findLogDamage(new Uint8Array(0)), undefined);
  const random = seededRandom(1);
  for (let round = 0; round < 300; round++) {
    const length = Math.floor(random.fraction() * log.byteLength);
    if (findLogDamage(log.subarray(0, length)) !== undefined) t.fail(`cut at ${length}`);
  }
  t.pass('cut at 300 places');
});

t.test('takes a torn last batch for what a power cut leaves, also with a hole in it', async (t) => {
  const log = await logOf(t, { lastValueBytes: 200_000 });
  for (const holeStart of [log.byteLength - 150_000, log.byteLength - 60_000, log.byteLength - 100]) {
    const torn = Buffer.from(log);
    torn.fill(0, holeStart, Math.min(holeStart + 4096, torn.byteLength));
    t.equal(findLogDamage(torn), undefined, `hole at ${holeStart}`);
  }
});

t.test('finds every damaged byte before the last batch', async (t) => {
  const log = await logOf(t);
  const random = seededRandom(2);
  for (let round = 0; round < 300; round++) {
    const offset = Math.floor(random.fraction() * (log.byteLength - 2 * VALUE_BYTES));
    // The padding at the end of a block means nothing.
    if (offset % 32_768 >= 32_768 - 7) continue;
    const damaged = Buffer.from(log);
    damaged[offset]! ^= 1 << Math.floor(random.fraction() * 8);
    const foundOffset = findLogDamage(damaged);
    if (foundOffset === undefined || foundOffset > offset || offset - foundOffset > 2 * VALUE_BYTES) {
      t.fail(`damage at ${offset}, found ${foundOffset}`);
    }
  }
  t.pass('found 300 damaged bytes');
});

t.test(
  'keeps a database with a damaged log from opening, and opens one with a torn last batch',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-log-'));
    t.teardown(() => rm(folder, { recursive: true }));
    await fill(folder, VALUE_BYTES);
    const path = join(folder, (await readdir(folder)).find((name) => name.endsWith('.log'))!);
    const log = await readFile(path);
    const damaged = Buffer.from(log);
    damaged[50_000]! ^= 1;
    await writeFile(path, damaged);
    await t.rejects(openClassicLevelStore(folder), { code: 'DiskFailed', message: /damaged.*rebuild/ });
    await writeFile(path, log.subarray(0, -10));
    const store = await openClassicLevelStore(folder);
    t.equal((await store.range({})).length, BATCH_COUNT - 1);
    await store.close();
  }
);

async function logOf(
  t: { teardown: (run: () => unknown) => void },
  options = { lastValueBytes: VALUE_BYTES }
) {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-log-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await fill(folder, options.lastValueBytes);
  const name = (await readdir(folder)).find((name) => name.endsWith('.log'))!;
  return await readFile(join(folder, name));
}

async function fill(folder: string, lastValueBytes: number): Promise<void> {
  const random = seededRandom(3);
  const store = await openClassicLevelStore(folder);
  for (let index = 0; index < BATCH_COUNT; index++) {
    const length = index === BATCH_COUNT - 1 ? lastValueBytes : VALUE_BYTES;
    await store.batch([{ type: 'put', key: Buffer.from(`key-${index}`), value: random.bytes(length) }]);
  }
  await store.close();
}
