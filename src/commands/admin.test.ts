import { StoreError } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';

/* bucket, key and admin. */

t.test('buckets are created, configured, shown and removed', async (t) => {
  using world = new TestWorld();
  t.match(await world.run('bucket', 'create', 'photos', '--quota', '10MB', '--tag', 'team=a'), {
    code: 0,
    stdout: ''
  });
  const info = async () => JSON.parse((await world.run('bucket', 'info', 'photos', '--json')).stdout);
  t.match(await info(), { bucket: 'photos', quotaBytes: 10_000_000, tags: { team: 'a' }, objectCount: 0 });
  t.equal((await world.run('bucket', 'set', 'photos', '--quota', 'none')).code, 0);
  t.match(await info(), { quotaBytes: null, tags: { team: 'a' } });
  t.equal((await world.run('bucket', 'set', 'photos', '--clear-tags')).code, 0);
  t.same((await info()).tags, {});
  t.match((await world.run('bucket', 'info', 'photos')).stdout, /^quota\s+none$/m);
  t.match((await world.run('bucket', 'ls')).stdout, /0 B +0 {2}photos\n$/);
  t.equal((await world.run('bucket', 'rm', 'st:photos')).code, 0);
  t.equal((await world.run('bucket', 'ls')).stdout, '');
});

t.test('what cannot be done to a bucket is said with what to do', async (t) => {
  using world = new TestWorld();
  await world.run('bucket', 'create', 'photos');
  await world.store.objects.put({ bucket: 'photos', key: 'x', body: Buffer.from('x') });
  for (const [words, code, pattern] of [
    [['create', 'photos'], 1, /BucketAlreadyExists/],
    [['rm', 'photos'], 1, /BucketNotEmpty/],
    [['info', 'nowhere'], 1, /NoSuchBucket.*bucket ls/],
    [['create', 'Photos'], 2, /no bucket name; it has 3 to 63 lower-case/],
    [['create', 'st:photos/x'], 2, /no bucket; write its name alone/],
    [['create', 'photos2', '--quota', 'much'], 2, /--quota: "much" is no size/],
    [['create', 'photos2', '--tag', 'x'], 2, /--tag: "x" is no tag/],
    [['set', 'photos'], 2, /nothing to change/],
    [['set', 'photos', '--tag', 'a=b', '--clear-tags'], 2, /contradict/],
    [['create'], 2, /missing required argument/]
  ] as const) {
    const result = await world.run('bucket', ...words);
    t.equal(result.code, code, words.join(' '));
    t.match(result.stderr, pattern);
    t.equal(result.stderr.trimEnd().split('\n').length, 1);
  }
});

t.test('a key is created with its secret, listed without, and removed', async (t) => {
  using world = new TestWorld();
  const words = [
    'key',
    'create',
    '--bucket',
    'photos',
    '--bucket',
    'docs',
    '--access',
    'read',
    '--description',
    'ci'
  ];
  const created = JSON.parse((await world.run(...words, '--json')).stdout);
  t.match(created, { access: 'read', buckets: ['photos', 'docs'], description: 'ci' });
  t.type(created.secretKey, 'string');
  const listed = await world.run('key', 'ls', '--json');
  t.equal(JSON.parse(listed.stdout).accessKey, created.accessKey);
  t.notMatch(listed.stdout, created.secretKey);
  t.match((await world.run('key', 'ls')).stdout, /^KEY .*\n.*read +photos,docs .* ci\n$/);
  t.equal((await world.run('key', 'rm', created.accessKey)).code, 0);
  t.equal((await world.run('key', 'ls', '--json')).stdout, '');
  t.match((await world.run('key', 'create')).stdout, /^access key +\S+\nsecret key +\S+\n$/);
  t.match(
    (await world.run('key', 'create', '--access', 'all')).stderr,
    /"all" is none of read, write, admin/
  );
});

t.test('admin status shows state, extent nodes and range partitions', async (t) => {
  const status = {
    version: '1',
    startedAtMs: 0,
    durability: 'sync',
    state: 'full',
    space: { totalBytes: 4096, freeBytes: 1024 },
    extentNodes: [
      { memberId: 'node-1', faultDomain: 'rack-1', totalBytes: 4096, freeBytes: 1024, extentCount: 3 }
    ],
    partitions: [
      {
        partitionId: 'p1',
        startKey: '',
        endKey: '',
        epoch: 2,
        objectCount: 5,
        lastSequence: 6,
        logExtentCount: 1,
        dataExtentCount: 2
      }
    ]
  } as const;
  using world = new TestWorld({
    calls: { ...memoryStore(), admin: { ...memoryStore().admin, status: async () => status } }
  });
  t.same(JSON.parse((await world.run('admin', 'status', '--json')).stdout), status);
  const { stdout } = await world.run('admin', 'status');
  t.match(stdout, /^state +full: it takes no more bytes/m);
  t.match(stdout, /^space +1\.00 KiB free of 4\.00 KiB$/m);
  t.match(stdout, /^node-1 +rack-1 +3 +1\.00 KiB +4\.00 KiB$/m);
  t.match(stdout, /^p1 +\["", end\) +2 +5 +6 +1 +2$/m);
});

t.test('admin shows members and extents, and orders drains and scrubs', async (t) => {
  const scrub = {
    startedAtMs: 0,
    finishedAtMs: 1,
    blockCount: 3,
    verifiedBytes: 4096,
    corruptCount: 2,
    repairedCount: 1
  };
  const member = {
    memberId: 'node-1',
    faultDomain: 'rack-1',
    liveness: 'dead' as const,
    duty: 'draining' as const,
    silentMs: 70_000,
    totalBytes: 4096,
    freeBytes: 1024,
    isFull: true,
    replicaCount: 7,
    replicaBytes: 2048,
    scrub
  };
  const totals = {
    extentCount: 9,
    openCount: 1,
    underReplicatedCount: 2,
    damagedCount: 0,
    unavailableCount: 0,
    movingCount: 0,
    bytesToCopy: 8192
  };
  const extent = {
    extentId: 5,
    state: 'sealed' as const,
    length: 4096,
    wantedCount: 3,
    replicas: [
      { memberId: 'node-1', condition: 'dead' as const },
      { memberId: 'node-2', condition: 'good' as const }
    ]
  };
  const orders: unknown[] = [];
  const order = (name: string) => async (input: unknown) => void orders.push([name, input]);
  using world = new TestWorld({
    calls: {
      ...memoryStore(),
      admin: {
        ...memoryStore().admin,
        members: async () => ({ members: [member] }),
        async extents(input) {
          orders.push(['extents', input]);
          return { extents: [extent], isTruncated: true, totals };
        },
        drain: order('drain'),
        removeMember: order('remove'),
        scrub: order('scrub')
      }
    }
  });
  t.match(
    (await world.run('admin', 'members')).stdout,
    /node-1 .*dead for 70 s, draining .*\(full\).*2 bad, 1 repaired/
  );
  t.same(JSON.parse((await world.run('admin', 'members', '--json')).stdout), { members: [member] });
  const shown = await world.run('admin', 'extents', '--filter', 'damaged', '--after', '3');
  t.match(shown.stdout, /5 +sealed .*2\/3 +node-1 \(dead\) node-2/);
  t.match(shown.stdout, /--after 5[\s\S]*under-replicated +2/);
  await world.run('admin', 'drain', 'node-1');
  await world.run('admin', 'drain', 'node-1', '--cancel');
  await world.run('admin', 'remove', 'node-1');
  await world.run('admin', 'scrub', 'node-1', 'node-2');
  await world.run('admin', 'scrub');
  t.same(orders, [
    ['extents', { filter: 'damaged', after: 3 }],
    ['drain', { memberId: 'node-1', cancel: false }],
    ['drain', { memberId: 'node-1', cancel: true }],
    ['remove', { memberId: 'node-1' }],
    ['scrub', { memberIds: ['node-1', 'node-2'] }],
    ['scrub', {}]
  ]);
  t.equal((await world.run('admin', 'extents', '--filter', 'good')).code, 2);
});

t.test('a scrub that is told as failed was not ordered', async (t) => {
  let orderCount = 0;
  const admin = {
    ...memoryStore().admin,
    async members(): Promise<never> {
      throw new StoreError('InternalError', 'The members are not known.');
    },
    async scrub() {
      orderCount += 1;
    }
  };
  using world = new TestWorld({ calls: { ...memoryStore(), admin } });
  t.match(await world.run('admin', 'scrub'), { code: 1, stdout: '', stderr: /The members are not known/ });
  t.equal(orderCount, 0);
});

t.test('a store in memory has no members', async (t) => {
  using world = new TestWorld();
  t.match(await world.run('admin', 'drain', 'node-1'), { code: 1, stderr: /There is no member node-1/ });
});
