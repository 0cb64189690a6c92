import { storeClientOver } from '@stampede/client';
import { faultyCalls, memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { TestWorld } from '../testing/test-world.js';

const BODY = Buffer.from('hello');

async function worldWith(keys: readonly string[]): Promise<TestWorld> {
  const world = new TestWorld();
  await world.store.buckets.create({ bucket: 'docs' });
  for (const key of keys)
    await world.store.objects.put({ bucket: 'docs', key, body: key.endsWith('/') ? Buffer.alloc(0) : BODY });
  return world;
}

t.test('lists buckets where no path is given', async (t) => {
  using world = await worldWith([]);
  t.equal((await world.run('ls')).stdout, 'docs/\n');
  t.equal((await world.run('ls', 'st:')).stdout, 'docs/\n');
});

t.test('lists one level of a directory, directories with a slash, in byte order', async (t) => {
  using world = await worldWith(['a/', 'a/1', 'a/b/2', 'a/b/3', 'a/é', 'other']);
  for (const path of ['st:docs/a', 'st:docs/a/']) t.equal((await world.run('ls', path)).stdout, '1\nb/\né\n');
  t.equal((await world.run('ls', 'st:docs')).stdout, 'a/\nother\n');
});

t.test('lists everything below a directory with -r, each with its path below it', async (t) => {
  using world = await worldWith(['a/', 'a/1', 'a/b/2', 'ab']);
  t.equal((await world.run('ls', '-r', 'st:docs/a')).stdout, '1\nb/2\n');
  t.equal((await world.run('ls', '-r', 'st:docs')).stdout, 'a/\na/1\na/b/2\nab\n');
  t.equal((await world.run('ls', '-r')).stdout, 'docs/a/\ndocs/a/1\ndocs/a/b/2\ndocs/ab\n');
});

t.test('lists one object by its name', async (t) => {
  using world = await worldWith(['a/1']);
  t.equal((await world.run('ls', 'st:docs/a/1')).stdout, 'a/1\n');
});

t.test('hides no key, however odd', async (t) => {
  using world = await worldWith(['a//b', 'a/./c', 'a/../d', 'a/\u0001']);
  await world.store.objects.put({ bucket: 'docs', key: 'a/', body: BODY });
  t.equal((await world.run('ls', '-r', 'st:docs/a/')).stdout, './\n\u0001\n../d\n./c\n/b\n');
});

t.test('shows mode, size, time and link targets with -l', async (t) => {
  using world = await worldWith(['plain', 'implied/x']);
  const mtime = { seconds: 86_400 * 365, nanoseconds: 0 };
  const put = (key: string, mode: number, symlinkTarget?: string) =>
    world.store.objects.put({
      bucket: 'docs',
      key,
      body: symlinkTarget === undefined ? BODY : Buffer.alloc(0),
      attributes: { mode, mtime, ...(symlinkTarget !== undefined && { symlinkTarget }) }
    });
  await put('script', 0o100755);
  await put('link', 0o120777, 'script');
  const lines = (await world.run('ls', '-l', 'st:docs')).stdout.trimEnd().split('\n');
  t.match(lines[0], /^d {21}- -\s+implied\/$/);
  t.match(lines[1], /^lrwxrwxrwx {12}- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d link -> script$/);
  t.match(lines[2], /^- {21}5 .* plain$/);
  t.match(lines[3], /^-rwxr-xr-x {12}5 (1970-12-31|1971-01-01|1971-01-02) .* script$/);
});

t.test('prints one JSON object a line with --json', async (t) => {
  using world = await worldWith(['a/1', 'b']);
  const { stdout } = await world.run('ls', '--json', 'st:docs');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(lines, [
    { type: 'directory', path: 'st:docs/a/', bucket: 'docs', key: 'a/' },
    { type: 'object', path: 'st:docs/b', bucket: 'docs', key: 'b', size: 5 }
  ]);
  t.match(JSON.parse((await world.run('ls', '--json', 'st:docs/b')).stdout), { key: 'b', size: 5 });
  t.match(JSON.parse((await world.run('ls', '--json')).stdout), {
    bucket: 'docs',
    objectCount: 2,
    bytes: 10
  });
});

t.test('prints a page before it asks for the one after the next', async (t) => {
  const calls = memoryStore();
  const rules = [
    { on: 'objects.list', skip: 2, fault: { type: 'failBefore', code: 'InternalError' } }
  ] as const;
  using world = new TestWorld({ calls: faultyCalls(calls, rules) });
  const store = storeClientOver(calls);
  await store.buckets.create({ bucket: 'docs' });
  for (let index = 0; index < 2500; index++)
    await store.objects.put({ bucket: 'docs', key: String(index).padStart(5, '0'), body: BODY });
  const { code, stdout, stderr } = await world.run('ls', 'st:docs');
  t.equal(code, 1);
  t.match(stderr, /InternalError/);
  t.equal(stdout.trimEnd().split('\n').length, 2000);
});

t.test('says in one line what is not there', async (t) => {
  using world = await worldWith([]);
  for (const [path, pattern] of [
    ['st:docs/none', /^stampede: there is no st:docs\/none\n$/],
    ['st:nowhere', /^stampede: .*nowhere.*"stampede bucket ls" lists the buckets\n$/]
  ] as const) {
    const { code, stderr } = await world.run('ls', path);
    t.equal(code, 1);
    t.match(stderr, pattern);
  }
  const { code, stderr } = await world.run('ls', 'docs');
  t.equal(code, 2);
  t.match(stderr, /"docs" is not in the store; write st:BUCKET\/KEY, or use ls for local files/);
});

t.test('escapes control characters on a terminal', async (t) => {
  using world = new TestWorld({ isTerminal: true });
  await world.store.buckets.create({ bucket: 'docs' });
  await world.store.objects.put({ bucket: 'docs', key: 'a\u001b[2Jb\nc', body: BODY });
  t.equal((await world.run('ls', 'st:docs')).stdout, 'a\\x1b[2Jb\\nc\n');
});
