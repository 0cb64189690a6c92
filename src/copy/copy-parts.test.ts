import type { ObjectHead } from '@stampede/client';
import t from 'tap';
import { DirectoryTimes } from './directory-times.js';
import { runTransfers } from './transfer-pool.js';

/* The bounds of a copy, and the order in which directories are finished. */

const HEAD = {} as ObjectHead;

t.test('a directory is finished once all below it is written, the inner one first', async (t) => {
  const finished: string[] = [];
  const times = new DirectoryTimes(async (path) => {
    finished.push(path);
  });
  await times.enter('', HEAD);
  await times.enter('a', HEAD);
  const slow = await times.begin('a/slow');
  await times.enter('a/b', HEAD);
  const inner = await times.begin('a/b/x');
  await inner();
  t.same(finished, [], 'entries of a/b may follow');
  const beside = await times.begin('ab');
  t.same(finished, ['a/b'], 'a still writes');
  await beside();
  await slow();
  t.same(finished, ['a/b', 'a']);
  await times.end();
  t.same(finished, ['a/b', 'a', '']);
});

t.test('no more transfers run at once than may, in count and in bytes', async (t) => {
  let running = 0;
  let bytes = 0;
  let runningMax = 0;
  let bytesMax = 0;
  const taken: number[] = [];
  async function* sizes() {
    for (const size of [1, 1, 1, 1, 8, 100, 1, 1, 5, 5, 5]) {
      taken.push(size);
      yield size;
    }
  }
  await runTransfers(sizes(), {
    workersMax: 3,
    bytesMax: 10,
    bytesOf: (size) => size,
    signal: new AbortController().signal,
    async run(size) {
      running += 1;
      bytes += Math.min(size, 10);
      runningMax = Math.max(runningMax, running);
      bytesMax = Math.max(bytesMax, bytes);
      t.ok(taken.length <= 11);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      bytes -= Math.min(size, 10);
    }
  });
  t.equal(runningMax, 3);
  t.ok(bytesMax <= 10);
  t.equal(taken.length, 11);
});

t.test('the first failure ends the pool, after those under way', async (t) => {
  const ended: number[] = [];
  async function* numbers() {
    for (let index = 0; index < 1000; index++) yield index;
  }
  const running = runTransfers(numbers(), {
    workersMax: 4,
    bytesMax: 100,
    bytesOf: () => 1,
    signal: new AbortController().signal,
    async run(index) {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push(index);
      if (index === 5) throw new Error('five');
    }
  });
  await t.rejects(running, /five/);
  t.ok(ended.length < 20);
});
