import t from 'tap';
import { StoreError } from '../api/index.js';
import { seededRandom } from '../platform/index.js';
import { KeyLocks, type LockRequest } from './key-locks.js';
import { objectRow, objectRows, type RowKey } from './row-key.js';

const row = (key: string): RowKey => objectRow('bucket', key);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Whether a request gets its locks at once; then it keeps them until released. */
async function isGranted(locks: KeyLocks, request: LockRequest): Promise<boolean> {
  let isDone = false;
  void locks.acquire(request).then(() => {
    isDone = true;
  });
  await turn();
  return isDone;
}

const TABLE: readonly { name: string; held: LockRequest; asked: LockRequest; granted: boolean }[] = [
  { name: 'other keys', held: { exclusive: [row('a')] }, asked: { exclusive: [row('b')] }, granted: true },
  { name: 'the same key', held: { exclusive: [row('a')] }, asked: { exclusive: [row('a')] }, granted: false },
  { name: 'a shared key', held: { shared: [row('a')] }, asked: { shared: [row('a')] }, granted: true },
  {
    name: 'a shared key, alone',
    held: { shared: [row('a')] },
    asked: { exclusive: [row('a')] },
    granted: false
  },
  { name: 'a key, shared', held: { exclusive: [row('a')] }, asked: { shared: [row('a')] }, granted: false },
  {
    name: 'a key in a range',
    held: { ranges: [objectRows('bucket', 'd/')] },
    asked: { exclusive: [row('d/x')] },
    granted: false
  },
  {
    name: 'a range with a key in it',
    held: { shared: [row('d/x')] },
    asked: { ranges: [objectRows('bucket', 'd/')] },
    granted: false
  },
  {
    name: 'a range beside a key',
    held: { exclusive: [row('d0')] },
    asked: { ranges: [objectRows('bucket', 'd/')] },
    granted: true
  },
  {
    name: 'ranges one in the other',
    held: { ranges: [objectRows('bucket', 'd/')] },
    asked: { ranges: [objectRows('bucket', 'd/e/')] },
    granted: false
  }
];

t.test('a request waits for what it cannot share', async (t) => {
  for (const { name, held, asked, granted } of TABLE) {
    const locks = new KeyLocks();
    const release = await locks.acquire(held);
    t.equal(await isGranted(locks, asked), granted, name);
    release();
    await turn();
    t.equal(await isGranted(locks, held), granted && overlapsNothing(held, asked), `${name}: afterwards`);
  }
});

/** Whether two requests can hold their locks together. */
function overlapsNothing(a: LockRequest, b: LockRequest): boolean {
  return TABLE.some(({ held, asked, granted }) => held === a && asked === b && granted);
}

t.test('who came first gets it first, and nobody waits for ever', async (t) => {
  const locks = new KeyLocks();
  const order: string[] = [];
  const take = async (name: string, request: LockRequest) => {
    const release = await locks.acquire(request);
    order.push(name);
    await turn();
    release();
  };
  const first = await locks.acquire({ shared: [row('a')] });
  const all = [
    take('alone', { exclusive: [row('a')] }),
    // Could be granted now, but then the one before might starve.
    take('shared 1', { shared: [row('a')] }),
    take('shared 2', { shared: [row('a')] }),
    take('other', { exclusive: [row('b')] })
  ];
  await turn();
  t.same(order, ['other']);
  first();
  await Promise.all(all);
  t.same(order, ['other', 'alone', 'shared 1', 'shared 2']);
});

t.test('who gives up leaves the queue, and others go on', async (t) => {
  const locks = new KeyLocks();
  const release = await locks.acquire({ shared: [row('a')] });
  const stop = new AbortController();
  const waiting = locks.acquire({ exclusive: [row('a')], signal: stop.signal });
  const behind = isGranted(locks, { shared: [row('a')] });
  const reason = new StoreError('Cancelled', 'given up');
  stop.abort(reason);
  await t.rejects(waiting, reason);
  t.equal(await behind, true, 'who waited only for it');
  await t.rejects(locks.acquire({ exclusive: [row('b')], signal: stop.signal }), reason);
  release();
});

t.test('random requests are never together where they must not be, and all end', async (t) => {
  const seed = Number(process.env['SEED'] ?? 1);
  const random = seededRandom(seed);
  const locks = new KeyLocks();
  const holders = new Map<string, { exclusive: number; shared: number }>();
  const keys = ['a', 'd/x', 'd/y', 'e'];
  const wrong: string[] = [];
  let doneCount = 0;
  const pick = () => keys[Math.floor(random.fraction() * keys.length)]!;
  const hold = (names: readonly string[], kind: 'exclusive' | 'shared', by: 1 | -1) => {
    for (const name of new Set(names)) {
      const entry = holders.get(name) ?? { exclusive: 0, shared: 0 };
      entry[kind] += by;
      holders.set(name, entry);
      if (entry.exclusive > 1 || (entry.exclusive > 0 && entry.shared > 0)) wrong.push(name);
    }
  };
  await Promise.all(
    Array.from({ length: 300 }, async () => {
      for (let pause = random.fraction() * 20; pause > 0; pause--) await turn();
      const isRange = random.fraction() < 0.2;
      const exclusive = isRange ? ['d/x', 'd/y'] : [pick()];
      const shared = [pick()].filter((name) => !exclusive.includes(name));
      const release = await locks.acquire({
        ...(isRange ? { ranges: [objectRows('bucket', 'd/')] } : { exclusive: exclusive.map(row) }),
        shared: shared.map(row)
      });
      hold(exclusive, 'exclusive', 1);
      hold(shared, 'shared', 1);
      await turn();
      hold(exclusive, 'exclusive', -1);
      hold(shared, 'shared', -1);
      release();
      doneCount += 1;
    })
  );
  t.same(wrong, [], `seed ${seed}`);
  t.equal(doneCount, 300);
});
