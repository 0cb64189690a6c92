import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync
} from 'node:fs';
import { dirname } from 'node:path';
import { storeClientOver } from '@stampede/client';
import { faultyCalls, memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';

async function newWorld(): Promise<TestWorld> {
  const world = new TestWorld();
  await world.store.buckets.create({ bucket: 'docs' });
  return world;
}

function write(world: TestWorld, path: string, text: string): void {
  mkdirSync(dirname(world.path(path)), { recursive: true });
  writeFileSync(world.path(path), text);
}

function put(world: TestWorld, key: string, text = key) {
  return world.store.objects.put({ bucket: 'docs', key, body: Buffer.from(text) });
}

async function keysOf(world: TestWorld, bucket = 'docs'): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const entry of world.store.listObjects({ bucket }))
    if (entry.type === 'object') keys.push(entry.head.key);
  return keys;
}

async function textOf(world: TestWorld, key: string): Promise<string> {
  const { body } = await world.store.download({ bucket: 'docs', key });
  return (await body.toBuffer()).toString();
}

t.test(
  'a tree that goes in and comes out again is the same: bytes, modes, times, links, empty directories',
  async (t) => {
    using world = await newWorld();
    write(world, 'tree/a/one', 'first');
    write(world, 'tree/two', '');
    mkdirSync(world.path('tree/empty'));
    symlinkSync('a/one', world.path('tree/link'));
    symlinkSync('/nowhere', world.path('tree/dangling'));
    chmodSync(world.path('tree/two'), 0o751);
    utimesSync(world.path('tree/two'), 1000, 2000.25);
    utimesSync(world.path('tree/a/one'), 1000, 3000);
    chmodSync(world.path('tree/a'), 0o500);
    utimesSync(world.path('tree/a'), 1000, 4000);
    utimesSync(world.path('tree'), 1000, 5000);
    t.equal((await world.run('cp', '-r', 'tree', 'st:docs/copy')).code, 0);
    t.same(await keysOf(world), [
      'copy/',
      'copy/a/',
      'copy/a/one',
      'copy/dangling',
      'copy/empty/',
      'copy/link',
      'copy/two'
    ]);
    t.equal((await world.run('cp', '-r', 'st:docs/copy', 'back')).code, 0);
    t.equal(readFileSync(world.path('back/a/one'), 'utf8'), 'first');
    t.equal(readlinkSync(world.path('back/link')), 'a/one');
    t.equal(readlinkSync(world.path('back/dangling')), '/nowhere');
    t.same(readdirSync(world.path('back/empty')), []);
    t.equal(statSync(world.path('back/two')).mode & 0o7777, 0o751);
    t.equal(statSync(world.path('back/a')).mode & 0o7777, 0o500);
    for (const [path, mtimeMs] of [
      ['back/two', 2_000_250],
      ['back/a/one', 3_000_000],
      ['back/a', 4_000_000],
      ['back', 5_000_000]
    ] as const)
      t.equal(statSync(world.path(path)).mtimeMs, mtimeMs, path);
    chmodSync(world.path('tree/a'), 0o700);
    chmodSync(world.path('back/a'), 0o700);
  }
);

t.test(
  'it goes into a target that is a directory or ends in a slash, else the target is the copy',
  async (t) => {
    const rows: readonly { readonly words: readonly string[]; readonly key: string }[] = [
      { words: ['f', 'st:docs'], key: 'f' },
      { words: ['f', 'st:docs/'], key: 'f' },
      { words: ['f', 'st:docs/new'], key: 'new' },
      { words: ['f', 'st:docs/new/'], key: 'new/f' },
      { words: ['f', 'st:docs/there'], key: 'there/f' },
      { words: ['-r', 'tree', 'st:docs/'], key: 'tree/g' },
      { words: ['-r', 'tree/', 'st:docs/new'], key: 'new/g' },
      { words: ['-r', 'tree', 'st:docs/new/'], key: 'new/tree/g' },
      { words: ['-r', 'tree', 'st:docs/there'], key: 'there/tree/g' },
      { words: ['-r', 'tree/.', 'st:docs/there/'], key: 'there/g' },
      { words: ['-r', 'tree/.', 'st:docs'], key: 'g' },
      { words: ['-r', 'st:docs/there', 'st:docs/new'], key: 'new/x' },
      { words: ['-r', 'st:docs/there', 'st:docs/there2/'], key: 'there2/there/x' },
      { words: ['-r', 'st:docs/there/.', 'st:docs/there2/'], key: 'there2/x' },
      { words: ['st:docs/there/x', 'st:docs/y'], key: 'y' },
      { words: ['f', 'tree/g', 'st:docs/many/'], key: 'many/g' }
    ];
    for (const { words, key } of rows) {
      using world = await newWorld();
      write(world, 'f', 'f');
      write(world, 'tree/g', 'g');
      await put(world, 'there/x');
      t.same(await world.run('cp', ...words), {
        code: 0,
        stdout: '',
        stderr: '',
        stdoutBytes: Buffer.alloc(0)
      });
      t.ok((await keysOf(world)).includes(key), `${words.join(' ')} makes ${key}`);
    }
  }
);

t.test('local targets follow the same rule', async (t) => {
  const rows: readonly { readonly words: readonly string[]; readonly path: string }[] = [
    { words: ['st:docs/d/x', 'y'], path: 'y' },
    { words: ['st:docs/d/x', '.'], path: 'x' },
    { words: ['st:docs/d/x', 'new/'], path: 'new/x' },
    { words: ['-r', 'st:docs/d', 'new'], path: 'new/x' },
    { words: ['-r', 'st:docs/d', '.'], path: 'd/x' },
    { words: ['-r', 'st:docs/d/.', '.'], path: 'x' },
    { words: ['-r', 'st:docs', 'all'], path: 'all/d/x' },
    { words: ['-r', 'st:docs', '.'], path: 'docs/d/x' }
  ];
  for (const { words, path } of rows) {
    using world = await newWorld();
    await put(world, 'd/x', 'text');
    t.equal((await world.run('cp', ...words)).code, 0);
    t.equal(readFileSync(world.path(path), 'utf8'), 'text', words.join(' '));
  }
});

t.test('keys that are no local path are told, and nothing is written outside of the target', async (t) => {
  using world = await newWorld();
  mkdirSync(world.path('out'));
  for (const key of ['d/../../escaped', 'd/..', 'd//x', 'd/./y', '/abs', 'd/bytes/', 'd/ok'])
    await put(world, key, 'text');
  const { code, stderr } = await world.run('cp', '-r', 'st:docs', 'out/in');
  t.equal(code, 1);
  t.same(readdirSync(world.path('out')), ['in']);
  t.same(readdirSync(world.path('out/in')), ['d']);
  t.notOk(existsSync(world.path('escaped')));
  t.equal(readFileSync(world.path('out/in/d/ok'), 'utf8'), 'text');
  t.match(stderr, /st:docs\/d\/\.\.\/\.\.\/escaped: its key cannot be a local path/);
  t.match(stderr, /6 of 7 entries could not be copied\n$/);
});

t.test('links in the target are replaced, never followed', async (t) => {
  using world = await newWorld();
  write(world, 'secret', 'secret');
  mkdirSync(world.path('elsewhere'));
  mkdirSync(world.path('out/d'), { recursive: true });
  symlinkSync(world.path('secret'), world.path('out/d/x'));
  symlinkSync(world.path('elsewhere'), world.path('out/d/sub'));
  await put(world, 'd/x', 'new');
  await put(world, 'd/sub/y', 'new');
  const { code, stderr } = await world.run('cp', '-r', 'st:docs/.', 'out');
  t.equal(code, 1);
  t.match(stderr, /sub is a link, where a directory is needed/);
  t.equal(readFileSync(world.path('secret'), 'utf8'), 'secret');
  t.same(readdirSync(world.path('elsewhere')), []);
  t.notOk(lstatSync(world.path('out/d/x')).isSymbolicLink());
});

t.test('links of a tree are stored as links unless they are to be followed', async (t) => {
  using world = await newWorld();
  write(world, 'outside', 'outside');
  mkdirSync(world.path('tree'));
  symlinkSync('../outside', world.path('tree/link'));
  await world.run('cp', '-r', 'tree', 'st:docs/kept');
  await world.run('cp', '-rL', 'tree', 'st:docs/followed');
  const kept = await world.store.objects.head({ bucket: 'docs', key: 'kept/link' });
  t.match(kept, { size: 0, attributes: { symlinkTarget: '../outside', mode: 0o120777 } });
  t.equal(await textOf(world, 'followed/link'), 'outside');
  await world.run('cp', 'tree/link', 'st:docs/named');
  t.equal(await textOf(world, 'named'), 'outside');
});

t.test('a link that leads back to where it is in ends nothing but itself', async (t) => {
  using world = await newWorld();
  write(world, 'tree/x', 'x');
  symlinkSync('.', world.path('tree/loop'));
  const { code, stderr } = await world.run('cp', '-rL', 'tree', 'st:docs/t');
  t.equal(code, 1);
  t.match(stderr, /tree\/loop: the link leads back to a directory it is in/);
  t.equal(await textOf(world, 't/x'), 'x');
});

t.test('one file that fails is told in one line and the others are copied', async (t) => {
  const calls = memoryStore();
  const rules = [
    { on: 'objects.put', skip: 1, times: 1, fault: { type: 'failBefore', code: 'InvalidArgument' } }
  ] as const;
  using world = new TestWorld({ calls: faultyCalls(calls, rules) });
  await storeClientOver(calls).buckets.create({ bucket: 'docs' });
  for (const name of ['a', 'b', 'c']) write(world, `tree/${name}`, name);
  const { code, stderr } = await world.run('cp', '-r', '--jobs', '1', 'tree', 'st:docs/t', '--json');
  t.equal(code, 1);
  t.match(
    stderr,
    /^stampede: .*tree\/[abc]: .*\(InvalidArgument\)\nstampede: 1 of 4 entries could not be copied\n$/
  );
  t.equal((await keysOf(world)).length, 3, 'the directory and two of its files');
});

t.test('a file whose download fails leaves what was there, and no part of the new one', async (t) => {
  const calls = memoryStore();
  const rules = [
    { on: 'objects.read', skip: 1, fault: { type: 'failBefore', code: 'InternalError' } }
  ] as const;
  using world = new TestWorld({ calls: faultyCalls(calls, rules) });
  const store = storeClientOver(calls);
  await store.buckets.create({ bucket: 'docs' });
  await store.upload({ bucket: 'docs', key: 'big', body: Buffer.alloc(9 << 20, 1) });
  write(world, 'out/big', 'old');
  const { code } = await world.run('cp', 'st:docs/big', 'out/');
  t.equal(code, 1);
  t.same(readdirSync(world.path('out')), ['big']);
  t.equal(readFileSync(world.path('out/big'), 'utf8'), 'old');
});

t.test('stdin and stdout carry any bytes, of any size', async (t) => {
  using world = await newWorld();
  const bytes = Buffer.alloc(9 << 20, Buffer.from(Array.from({ length: 251 }, (_, index) => index)));
  t.equal((await world.runWith(bytes, 'cp', '-', 'st:docs/k')).code, 0);
  const { code, stdoutBytes } = await world.run('cp', 'st:docs/k', '-');
  t.equal(code, 0);
  t.ok(stdoutBytes.equals(bytes));
  t.ok((await world.run('cat', 'st:docs/k')).stdoutBytes.equals(bytes));
  const part = await world.run('cat', '--offset', '5MiB', '--length', '1000', 'st:docs/k');
  t.ok(part.stdoutBytes.equals(bytes.subarray(5 << 20, (5 << 20) + 1000)));
});

t.test('copies within the store carry attributes and can cross buckets', async (t) => {
  using world = await newWorld();
  await world.store.buckets.create({ bucket: 'other' });
  await world.store.objects.put({
    bucket: 'docs',
    key: 'd/x',
    body: Buffer.from('x'),
    attributes: { mode: 0o100600 }
  });
  t.equal((await world.run('cp', '-r', 'st:docs', 'st:other/')).code, 0);
  t.same(await keysOf(world, 'other'), ['docs/d/x']);
  t.match(await world.store.objects.head({ bucket: 'other', key: 'docs/d/x' }), {
    attributes: { mode: 0o100600 }
  });
});

t.test('refuses what would copy a thing onto or into itself', async (t) => {
  using world = await newWorld();
  await put(world, 'd/x');
  for (const [words, pattern] of [
    [['st:docs/d/x', 'st:docs/d/x'], /it is the target itself/],
    [['-r', 'st:docs/d', 'st:docs/d/'], /st:docs\/d\/d\/ lies in it/],
    [['-r', 'st:docs/.', 'st:docs/e'], /st:docs\/e\/ lies in it/],
    [['st:docs/d', 'st:docs/e'], /st:docs\/d: it is a directory; use cp -r/],
    [['-r', 'st:docs/d', 'st:docs/d/x'], /is a file, where a directory is needed/]
  ] as const) {
    const { code, stderr } = await world.run('cp', ...words);
    t.equal(code, 1, words.join(' '));
    t.match(stderr, pattern);
    t.equal(stderr.trimEnd().split('\n').length, 1);
  }
  t.same(await keysOf(world), ['d/x']);
});

t.test('a wrong command line changes nothing and ends with 2', async (t) => {
  using world = await newWorld();
  write(world, 'f', 'f');
  for (const words of [
    ['f'],
    ['f', 'g'],
    ['-', '-'],
    ['f', '-'],
    ['-', 'f'],
    ['f', '-', 'st:docs/x'],
    ['-', 'st:docs'],
    ['-', 'st:docs/d/'],
    ['f', 'f', 'st:docs/notadirectory'],
    ['f', 'st:'],
    ['f', 's3://docs/x'],
    ['f', 'st:Docs/x'],
    ['f', 'st:/docs/x'],
    ['--jobs', '0', 'f', 'st:docs/x'],
    ['f', `st:docs/${'k'.repeat(1025)}`]
  ]) {
    const { code, stderr } = await world.run('cp', ...words);
    t.equal(code, 2, words.join(' ').slice(0, 60));
    t.match(stderr, /^stampede: [^\n]+\n$/);
  }
  t.same(await keysOf(world), []);
});

t.test('what is no file is left out and told', async (t) => {
  using world = await newWorld();
  write(world, 'tree/x', 'x');
  const { code, stderr } = await world.run('cp', '-r', '/dev/null', 'tree', 'missing', 'st:docs/t/');
  t.equal(code, 1);
  t.match(stderr, /\/dev\/null: it is neither file nor directory nor link/);
  t.match(stderr, /missing: there is no such file or directory/);
  t.same(await keysOf(world), ['t/tree/', 't/tree/x']);
});
