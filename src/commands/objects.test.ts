import { storeClientOver } from '@stampede/client';
import { faultyCalls, memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';

/* mv, rm, cat, stat and du. */

async function worldWith(keys: readonly string[]): Promise<TestWorld> {
  const world = new TestWorld();
  for (const bucket of ['docs', 'other']) await world.store.buckets.create({ bucket });
  for (const key of keys)
    await world.store.objects.put({ bucket: 'docs', key, body: Buffer.from(key.endsWith('/') ? '' : key) });
  return world;
}

async function keysOf(world: TestWorld, bucket = 'docs'): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const entry of world.store.listObjects({ bucket }))
    if (entry.type === 'object') keys.push(entry.head.key);
  return keys;
}

t.test('mv renames objects and directories, into a directory or to a name', async (t) => {
  const rows: readonly { readonly words: readonly string[]; readonly keys: readonly string[] }[] = [
    { words: ['st:docs/d/x', 'st:docs/y'], keys: ['d/', 'e/z', 'y'] },
    { words: ['st:docs/d/x', 'st:docs/e'], keys: ['d/', 'e/x', 'e/z'] },
    { words: ['st:docs/d/x', 'st:docs/new/'], keys: ['d/', 'e/z', 'new/x'] },
    { words: ['st:docs/d/x', 'st:docs'], keys: ['d/', 'e/z', 'x'] },
    { words: ['-r', 'st:docs/d', 'st:docs/new'], keys: ['e/z', 'new/', 'new/x'] },
    { words: ['-r', 'st:docs/d/', 'st:docs/e/'], keys: ['e/d/', 'e/d/x', 'e/z'] },
    { words: ['-r', 'st:docs/d', 'st:docs/e', 'st:docs/all/'], keys: ['all/d/', 'all/d/x', 'all/e/z'] }
  ];
  for (const { words, keys } of rows) {
    using world = await worldWith(['d/', 'd/x', 'e/z']);
    t.match(await world.run('mv', ...words), { code: 0, stderr: '' });
    t.same(await keysOf(world), keys, words.join(' '));
  }
});

t.test('mv carries objects into another bucket and tells how many', async (t) => {
  using world = await worldWith(['d/', 'd/x', 'e']);
  const { code, stdout } = await world.run('mv', '-r', 'st:docs/d', 'st:docs/e', 'st:other/', '--json');
  t.equal(code, 0);
  t.same(JSON.parse(stdout), { objectCount: 3, failedCount: 0 });
  t.same(await keysOf(world), []);
  t.same(await keysOf(world, 'other'), ['d/', 'd/x', 'e']);
});

t.test('mv into another bucket does not delete what was changed while it was copied', async (t) => {
  const calls = memoryStore();
  const changing = {
    ...calls,
    objects: {
      ...calls.objects,
      async copy(...parameters: Parameters<typeof calls.objects.copy>) {
        const copied = await calls.objects.copy(...parameters);
        await calls.objects.put({ bucket: 'docs', key: 'x', body: Buffer.from('newer') });
        return copied;
      }
    }
  };
  using world = new TestWorld({ calls: changing });
  for (const bucket of ['docs', 'other']) await calls.buckets.create({ bucket });
  await calls.objects.put({ bucket: 'docs', key: 'x', body: Buffer.from('old') });
  const { code, stderr } = await world.run('mv', 'st:docs/x', 'st:other/');
  t.equal(code, 1);
  t.match(
    stderr,
    /^stampede: st:docs\/x: it was changed meanwhile, so it was copied but not deleted; move it again\n$/
  );
  t.equal((await world.run('cat', 'st:docs/x')).stdout, 'newer');
});

t.test('mv refuses what cannot be, and changes nothing', async (t) => {
  using world = await worldWith(['d/x', 'e']);
  for (const [words, code, pattern] of [
    [['st:docs/d', 'st:docs/f'], 1, /st:docs\/d: it is a directory; use mv -r/],
    [['-r', 'st:docs/d', 'st:docs/d/f'], 1, /st:docs\/d\/f\/ lies in it/],
    [['-r', 'st:docs/d', 'st:docs/e'], 1, /st:docs\/e is a file, where a directory is needed/],
    [['st:docs/e', 'st:docs/e'], 1, /it is the target itself/],
    [['st:docs/none', 'st:docs/f'], 1, /^stampede: there is no st:docs\/none\n$/],
    [['st:docs/e', 'st:docs/d/x', 'st:docs/f'], 2, /st:docs\/f is no directory/],
    [['-r', 'st:docs', 'st:other/x'], 2, /st:docs is a bucket/],
    [['st:docs/e', 'local'], 2, /"local" is not in the store/],
    [['st:docs/e'], 2, /no target/]
  ] as const) {
    const result = await world.run('mv', ...words);
    t.equal(result.code, code, words.join(' '));
    t.match(result.stderr, pattern);
  }
  t.same(await keysOf(world), ['d/x', 'e']);
});

t.test('rm deletes objects, empty directories, and with -r all that is below', async (t) => {
  const rows: readonly { readonly words: readonly string[]; readonly keys: readonly string[] }[] = [
    { words: ['st:docs/a'], keys: ['d/', 'd/x', 'empty/'] },
    { words: ['st:docs/empty'], keys: ['a', 'd/', 'd/x'] },
    { words: ['-r', 'st:docs/d'], keys: ['a', 'empty/'] },
    { words: ['-r', 'st:docs/a', 'st:docs/d/'], keys: ['empty/'] },
    { words: ['-r', 'st:docs/'], keys: [] },
    { words: ['-f', 'st:docs/none'], keys: ['a', 'd/', 'd/x', 'empty/'] }
  ];
  for (const { words, keys } of rows) {
    using world = await worldWith(['a', 'd/', 'd/x', 'empty/']);
    t.match(await world.run('rm', ...words), { code: 0, stdout: '', stderr: '' });
    t.same(await keysOf(world), keys, words.join(' '));
  }
});

t.test('rm -r of an object leaves those whose names only begin the same', async (t) => {
  using world = await worldWith(['a', 'ab', 'ab/c']);
  t.equal((await world.run('rm', '-r', 'st:docs/a')).code, 0);
  t.same(await keysOf(world), ['ab', 'ab/c']);
});

t.test('rm goes on after a failure, and deletes no directory without -r', async (t) => {
  using world = await worldWith(['a', 'd/', 'd/x', 'implied/x']);
  const { code, stderr, stdout } = await world.run(
    ...['rm', '--json', 'st:docs/none', 'st:docs/d', 'st:docs/implied', 'st:docs/a']
  );
  t.equal(code, 1);
  t.same(stderr.trimEnd().split('\n'), [
    'stampede: st:docs/none: there is no such object',
    'stampede: st:docs/d/ is a directory that is not empty; use rm -r',
    'stampede: st:docs/implied: it is a directory; use rm -r',
    'stampede: 3 of 4 entries could not be deleted'
  ]);
  t.same(JSON.parse(stdout), { objectCount: 1, failedCount: 3 });
  t.same(await keysOf(world), ['d/', 'd/x', 'implied/x']);
  t.equal((await world.run('rm', 'st:docs')).code, 2);
});

t.test('cat prints one after the other, and no directory or link', async (t) => {
  using world = await worldWith(['a', 'd/x']);
  await world.store.objects.put({
    bucket: 'docs',
    key: 'l',
    body: Buffer.alloc(0),
    attributes: { mode: 0o120777, symlinkTarget: 'a' }
  });
  t.match(await world.run('cat', 'st:docs/a', 'st:docs/d/x'), { code: 0, stdout: 'ad/x', stderr: '' });
  t.match((await world.run('cat', 'st:docs/d')).stderr, /is a directory/);
  t.match((await world.run('cat', 'st:docs/l')).stderr, /is a link to a; name that/);
});

t.test('cat prints no byte that is not the one that was stored', async (t) => {
  const calls = memoryStore();
  using world = new TestWorld({
    calls: faultyCalls(calls, [{ on: 'objects.read', fault: { type: 'corruptAnswer' } }])
  });
  const store = storeClientOver(calls);
  await store.buckets.create({ bucket: 'docs' });
  await store.objects.put({ bucket: 'docs', key: 'a', body: Buffer.from('right') });
  const { code, stdout, stderr } = await world.run('cat', 'st:docs/a');
  t.equal(code, 1);
  t.equal(stdout, '');
  t.match(stderr, /ChecksumMismatch/);
});

t.test('stat shows objects, directories and buckets', async (t) => {
  using world = await worldWith(['d/', 'd/x']);
  const stat = async (path: string) => JSON.parse((await world.run('stat', '--json', path)).stdout);
  t.match(await stat('st:docs/d/x'), { type: 'object', path: 'st:docs/d/x', size: 3, generation: 1 });
  t.match(await stat('st:docs/d'), { type: 'directory', path: 'st:docs/d/', objectCount: 2, bytes: 3 });
  t.match(await stat('st:docs/'), {
    type: 'bucket',
    bucket: 'docs',
    objectCount: 2,
    bytes: 3,
    quotaBytes: null
  });
  t.match((await world.run('stat', 'st:docs/d/x')).stdout, /^size\s+3$/m);
  t.equal((await world.run('stat', 'st:docs/none')).code, 1);
});

t.test('du counts what is below a path, and not what only begins the same', async (t) => {
  using world = await worldWith(['d/x', 'd/y', 'dd', 'd2/z']);
  const { stdout } = await world.run('du', '-b', 'st:docs/d', 'st:docs/dd', 'st:docs');
  t.same(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/\s{2,}/)),
    [
      ['6', '2 objects', 'st:docs/d'],
      ['2', '1 object', 'st:docs/dd'],
      ['12', '4 objects', 'st:docs/']
    ]
  );
  t.same(
    (await world.run('du', '--json')).stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { path: 'st:docs/', objectCount: 4, bytes: 12 },
      { path: 'st:other/', objectCount: 0, bytes: 0 }
    ]
  );
});
