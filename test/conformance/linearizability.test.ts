import { join } from 'node:path';
import { createStoreClient, isStoreError, type StoreCalls } from '@stampede/client';
import { startStamp } from '@stampede/server';
import fc from 'fast-check';
import t from 'tap';
import { PartitionFixture } from '../../packages/server/src/partition/testing/partition-fixture.js';
import { isLinearizable, type Operation } from '../support/linearizability.js';
import { makeCall, type StoreAnswer, type StoreCall, storeModel } from '../support/store-model.js';
import { scratch } from '../support/store-process.js';

/* SEMANTICS: calls at the same time have the effect of some order of them, each at one moment between start and answer. */

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = Number(process.env['HISTORIES'] ?? 150);

type History = Operation<StoreCall, StoreAnswer>[];

const key = fc.constantFrom('a', 'd/x', 'd/y', 'e/x');
const value = fc.constantFrom('1', '2', '3');
const call: fc.Arbitrary<StoreCall> = fc.oneof(
  fc.record({ type: fc.constantFrom('put' as const, 'append' as const), key, value }),
  fc.record({ type: fc.constant('putIf' as const), key, value, generation: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ type: fc.constant('create' as const), key, value }),
  fc.record({ type: fc.constantFrom('read' as const, 'delete' as const), key }),
  fc.record({ type: fc.constant('rename' as const), key, to: key }),
  fc.constantFrom<StoreCall>(
    { type: 'renamePrefix', prefix: 'd/', to: 'e/' },
    { type: 'renamePrefix', prefix: 'e/', to: 'd/' },
    { type: 'deletePrefix', prefix: 'd/' },
    { type: 'list' },
    { type: 'list' }
  )
);
/** What each caller does, one call after the other; `pause`: turns of the event loop before it. */
const programs = fc.array(
  fc.array(fc.record({ call, pause: fc.nat({ max: 3 }) }), { minLength: 1, maxLength: 7 }),
  { minLength: 2, maxLength: 5 }
);
type Programs = readonly (readonly { readonly call: StoreCall; readonly pause: number }[])[];

async function run(calls: Pick<StoreCalls, 'objects'>, bucket: string, callers: Programs): Promise<History> {
  const history: History = [];
  let moment = 0;
  await Promise.all(
    callers.map(async (program) => {
      for (const { call, pause } of program) {
        for (let turn = 0; turn < pause; turn++) await new Promise((resolve) => setImmediate(resolve));
        const startedAt = moment++;
        const outcome = await makeCall(calls, bucket, call).catch((error: unknown) => {
          if (!isStoreError(error)) throw error;
          return error;
        });
        if (!isStoreError(outcome)) history.push({ call, answer: outcome, startedAt, endedAt: moment++ });
        else if (outcome.traits.outcome === 'unknown')
          history.push({ call, startedAt, endedAt: Number.POSITIVE_INFINITY });
      }
    })
  );
  return history;
}

async function holds(
  create: (bucket: string) => Promise<void>,
  history: (bucket: string, callers: Programs) => Promise<History>,
  runs = RUNS
): Promise<number> {
  let bucketCount = 0;
  let operationCount = 0;
  await fc.assert(
    fc.asyncProperty(programs, async (callers) => {
      const bucket = `history-${bucketCount++}`;
      await create(bucket);
      const made = await history(bucket, callers);
      operationCount += made.length;
      if (!isLinearizable(made, storeModel)) throw new Error(`no order explains ${JSON.stringify(made)}`);
    }),
    { seed: SEED, numRuns: runs }
  );
  return operationCount;
}

t.comment(`seed ${SEED}: SEED=${SEED} HISTORIES=${RUNS}`);

t.test('histories of a store in the process are linearizable', async (t) => {
  using folder = scratch();
  await using stamp = await startStamp({ directory: join(folder.path, 'data'), durability: 'os' });
  const { calls } = stamp;
  const count = await holds(
    async (bucket) => void (await calls.buckets.create({ bucket })),
    (bucket, callers) => run(calls, bucket, callers)
  );
  t.ok(count > RUNS, `${count} calls`);
});

t.test('histories of clients over the network are linearizable', async (t) => {
  using folder = scratch();
  await using stamp = await startStamp({ directory: join(folder.path, 'data'), durability: 'os', port: 0 });
  await using client = createStoreClient({ ...stamp.credentials, endpoint: stamp.endpoint! });
  const count = await holds(
    async (bucket) => void (await client.buckets.create({ bucket })),
    (bucket, callers) => run(client, bucket, callers)
  );
  t.ok(count > RUNS, `${count} calls`);
});

t.test('so they are where disks fail, whatever became of calls without an answer', async (t) => {
  let unknownCount = 0;
  await using fixture = await PartitionFixture.start({
    seed: SEED,
    folderCount: 2,
    extentBytesMax: 64 * 1024,
    checkpointRecordBytesMin: 4096
  });
  const final: Programs = [
    [
      { type: 'list' } as const,
      ...['a', 'd/x', 'd/y', 'e/x'].map((key) => ({ type: 'read', key }) as const)
    ].map((call) => ({ call, pause: 0 }))
  ];
  await holds(
    async (bucket) => void (await fixture.until(fixture.layer.buckets.create({ bucket }))),
    async (bucket, callers) => {
      for (const on of ['write', 'sync'] as const)
        fixture.disk.rules.add({ on, path: '/n*/**', fail: 'EIO', chance: 0.5 });
      const made = await fixture.until(run(fixture.layer, bucket, callers));
      fixture.disk.rules.clear();
      await fixture.until(untilServing(fixture, bucket));
      const last = Math.max(
        0,
        ...made.filter(({ answer }) => answer !== undefined).map(({ endedAt }) => endedAt)
      );
      unknownCount += made.filter(({ answer }) => answer === undefined).length;
      const seen = await fixture.until(run(fixture.layer, bucket, final));
      const shift = 1 + Math.max(last, ...made.map(({ startedAt }) => startedAt));
      return [
        ...made,
        ...seen.map((one) => ({ ...one, startedAt: one.startedAt + shift, endedAt: one.endedAt + shift }))
      ];
    },
    Math.ceil(RUNS / 6)
  );
  t.comment(`${unknownCount} calls without an answer`);
  t.ok(unknownCount > 0, 'some were in doubt');
});

/** A partition that lost its log is loaded anew meanwhile. */
async function untilServing({ layer, clock }: PartitionFixture, bucket: string): Promise<void> {
  for (;;) {
    try {
      await layer.objects.list({ bucket });
      return;
    } catch {
      await clock.sleep(100);
    }
  }
}

const at = (
  call: StoreCall,
  answer: StoreAnswer | undefined,
  [startedAt, endedAt]: readonly [number, number]
): Operation<StoreCall, StoreAnswer> => ({ call, answer, startedAt, endedAt });

const NEVER = Number.POSITIVE_INFINITY;
const HISTORIES: readonly { readonly name: string; readonly history: History; readonly isGood: boolean }[] = [
  {
    name: 'one call after the other',
    isGood: true,
    history: [
      at({ type: 'put', key: 'a', value: '1' }, 1, [0, 1]),
      at({ type: 'read', key: 'a' }, '1:1', [2, 3])
    ]
  },
  {
    name: 'two writes at once, in either order',
    isGood: true,
    history: [
      at({ type: 'put', key: 'a', value: '1' }, 2, [0, 3]),
      at({ type: 'put', key: 'a', value: '2' }, 1, [1, 2]),
      at({ type: 'read', key: 'a' }, '2:1', [4, 5])
    ]
  },
  {
    name: 'a stale read',
    isGood: false,
    history: [
      at({ type: 'put', key: 'a', value: '1' }, 1, [0, 1]),
      at({ type: 'put', key: 'a', value: '2' }, 2, [2, 3]),
      at({ type: 'read', key: 'a' }, '1:1', [4, 5])
    ]
  },
  {
    name: 'a lost update',
    isGood: false,
    history: [
      at({ type: 'append', key: 'a', value: '1' }, 1, [0, 3]),
      at({ type: 'append', key: 'a', value: '2' }, 2, [1, 2]),
      at({ type: 'read', key: 'a' }, '2:2', [4, 5])
    ]
  },
  {
    name: 'a key created twice',
    isGood: false,
    history: [
      at({ type: 'create', key: 'a', value: '1' }, 1, [0, 3]),
      at({ type: 'create', key: 'a', value: '2' }, 1, [1, 2])
    ]
  },
  {
    name: 'half a rename in a listing',
    isGood: false,
    history: [
      at({ type: 'put', key: 'd/x', value: '1' }, 1, [0, 1]),
      at({ type: 'put', key: 'd/y', value: '1' }, 1, [2, 3]),
      at({ type: 'renamePrefix', prefix: 'd/', to: 'e/' }, 2, [4, 7]),
      at({ type: 'list' }, ['d/y:1', 'e/x:1'], [5, 6])
    ]
  },
  {
    name: 'a call in doubt that happened later',
    isGood: true,
    history: [
      at({ type: 'put', key: 'a', value: '1' }, undefined, [0, NEVER]),
      at({ type: 'read', key: 'a' }, 'NoSuchKey', [1, 2]),
      at({ type: 'read', key: 'a' }, '1:1', [3, 4])
    ]
  },
  {
    name: 'a call in doubt that happened and then did not',
    isGood: false,
    history: [
      at({ type: 'put', key: 'a', value: '1' }, undefined, [0, NEVER]),
      at({ type: 'read', key: 'a' }, '1:1', [1, 2]),
      at({ type: 'read', key: 'a' }, 'NoSuchKey', [3, 4])
    ]
  }
];

t.test('the judge accepts what an order explains and nothing else', (t) => {
  for (const { name, history, isGood } of HISTORIES)
    t.equal(isLinearizable(history, storeModel), isGood, name);
  t.end();
});
