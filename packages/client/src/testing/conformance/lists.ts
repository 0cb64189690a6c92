import type { ListInput, ListResult } from '@stampede/server/api';
import { fails, type Section, type TestBucket } from './fixture.js';
import { asPlain } from './puts.js';

type Query = Omit<ListInput, 'bucket' | 'continuationToken'>;

const KEYS = [
  'a',
  'a/',
  'a/1',
  'a/2/x',
  'a/2/y',
  'a/3',
  'a0',
  'b//c',
  'b/c',
  'c/',
  'd',
  'e/only/deep/key',
  '\ue000',
  '\uffff',
  '\u{10000}',
  '\u{1f600}/x'
];

const TABLE: readonly {
  readonly name: string;
  readonly query: Query;
  readonly keys: readonly string[];
  readonly prefixes: readonly string[];
}[] = [
  { name: 'everything', query: {}, keys: KEYS, prefixes: [] },
  {
    name: 'the top of a tree',
    query: { delimiter: '/' },
    keys: ['a', 'a0', 'd', '\ue000', '\uffff', '\u{10000}'],
    prefixes: ['a/', 'b/', 'c/', 'e/', '\u{1f600}/']
  },
  {
    name: 'one directory, with its marker',
    query: { prefix: 'a/', delimiter: '/' },
    keys: ['a/', 'a/1', 'a/3'],
    prefixes: ['a/2/']
  },
  {
    name: 'a prefix that is no directory',
    query: { prefix: 'a', delimiter: '/' },
    keys: ['a', 'a0'],
    prefixes: ['a/']
  },
  { name: 'all below a prefix', query: { prefix: 'a/2' }, keys: ['a/2/x', 'a/2/y'], prefixes: [] },
  {
    name: 'empty names between slashes',
    query: { prefix: 'b/', delimiter: '/' },
    keys: ['b/c'],
    prefixes: ['b//']
  },
  { name: 'a prefix that is a key', query: { prefix: 'd', delimiter: '/' }, keys: ['d'], prefixes: [] },
  { name: 'nothing', query: { prefix: 'zz' }, keys: [], prefixes: [] },
  { name: 'after a key', query: { startAfter: 'e/only/deep/key' }, keys: KEYS.slice(12), prefixes: [] },
  { name: 'after a key that is not there', query: { startAfter: 'a/2/' }, keys: KEYS.slice(3), prefixes: [] },
  {
    name: 'after a key before the prefix',
    query: { startAfter: 'a', prefix: 'c' },
    keys: ['c/'],
    prefixes: []
  },
  { name: 'after all keys', query: { startAfter: '\u{10ffff}' }, keys: [], prefixes: [] },
  {
    name: 'after a key, folded',
    query: { startAfter: 'b/c', delimiter: '/' },
    keys: ['d', '\ue000', '\uffff', '\u{10000}'],
    prefixes: ['c/', 'e/', '\u{1f600}/']
  },
  {
    name: 'another delimiter',
    query: { delimiter: '//' },
    keys: KEYS.filter((key) => key !== 'b//c'),
    prefixes: ['b//']
  },
  {
    name: 'a delimiter of a letter',
    query: { delimiter: '2', prefix: 'a' },
    keys: ['a', 'a/', 'a/1', 'a/3', 'a0'],
    prefixes: ['a/2']
  }
];

export const lists: Section = async (t, fixture) => {
  await t.test('a listing has what the keys, prefix, delimiter and start say', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of KEYS) await bucket.put(key);
    for (const { name, query, keys, prefixes } of TABLE) {
      const page = await bucket.calls.objects.list({ bucket: bucket.name, ...query });
      t.same(
        page.objects.map(({ key }) => key),
        keys,
        `${name}: keys`
      );
      t.same(
        page.commonPrefixes.map(({ prefix }) => prefix),
        prefixes,
        `${name}: common prefixes`
      );
      t.equal(page.isTruncated, false, `${name}: all of it`);
      t.equal(page.continuationToken, undefined, `${name}: no token`);
    }
  });

  await t.test('pages of any size give each entry once, in order', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of KEYS) await bucket.put(key);
    for (const { name, query, keys, prefixes } of TABLE) {
      for (const maxKeys of [1, 2, 3, 5, keys.length + prefixes.length || 1]) {
        const found = await walk(bucket, query, maxKeys);
        const wanted = { keys, prefixes, pagesTooLarge: 0, isOrdered: true };
        t.same(found, wanted, `${name}, ${maxKeys} a page`);
      }
    }
  });

  await t.test('an entry carries its whole head, a common prefix that of its marker', async (t) => {
    const bucket = await fixture.bucket();
    const describe = { attributes: { mode: 0o040755, uid: 5 }, userMetadata: { a: 'b' }, tags: { c: 'd' } };
    const marker = await bucket.calls.objects.setAttributes({
      ...bucket.at('dir/'),
      ...describe,
      create: true
    });
    const file = await bucket.calls.objects.setAttributes({
      ...bucket.at('file'),
      ...describe,
      create: true
    });
    await bucket.put('dir/below');
    await bucket.put('implied/below');
    const page = await bucket.calls.objects.list({ bucket: bucket.name, delimiter: '/' });
    t.same(asPlain(page.objects), asPlain([file]));
    t.same(asPlain(page.commonPrefixes), asPlain([{ prefix: 'dir/', head: marker }, { prefix: 'implied/' }]));
  });

  await t.test('a listing ends where the keys end, also on the edge of a page', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of ['a', 'b', 'c/1', 'c/2']) await bucket.put(key);
    const list = (query: Query) => bucket.calls.objects.list({ bucket: bucket.name, ...query });
    t.equal((await list({ maxKeys: 4 })).isTruncated, false, 'as many as there are');
    t.equal((await list({ maxKeys: 3 })).isTruncated, true, 'one less');
    t.equal((await list({ maxKeys: 3, delimiter: '/' })).isTruncated, false, 'the rest is folded');
    t.equal((await list({ maxKeys: 2, prefix: 'c/' })).isTruncated, false, 'the rest is beyond the prefix');
    const none = await list({ maxKeys: 0 });
    t.same([none.objects, none.commonPrefixes], [[], []], 'none were asked for');
  });

  await t.test('more keys than one answer holds', async (t) => {
    const bucket = await fixture.bucket();
    const keys = Array.from({ length: 1100 }, (_, index) => `key-${String(index).padStart(5, '0')}`);
    for (let start = 0; start < keys.length; start += 100)
      await Promise.all(keys.slice(start, start + 100).map((key) => bucket.put(key, '')));
    const first = await bucket.calls.objects.list({ bucket: bucket.name });
    t.equal(first.objects.length, 1000);
    t.ok(first.isTruncated && first.continuationToken !== undefined, 'goes on');
    t.same(await bucket.keys(), keys);
  });

  await t.test('keys put and deleted between two pages change only what lies ahead', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of ['a', 'b', 'c', 'd']) await bucket.put(key);
    const first = await bucket.calls.objects.list({ bucket: bucket.name, maxKeys: 2 });
    await bucket.put('a2');
    await bucket.put('c2');
    await bucket.calls.objects.delete(bucket.at('b'));
    await bucket.calls.objects.delete(bucket.at('d'));
    const { continuationToken } = first;
    const second = await bucket.calls.objects.list({ bucket: bucket.name, continuationToken });
    t.same(
      second.objects.map(({ key }) => key),
      ['c', 'c2']
    );
  });

  await t.test('a token of nobody is refused', async (t) => {
    const bucket = await fixture.bucket();
    const list = { bucket: bucket.name, continuationToken: '\u0000 not a token' };
    await fails(t, bucket.calls.objects.list(list), 'InvalidArgument', 'list');
  });

  await t.test('a listing that starts after an answer has its key', async (t) => {
    const bucket = await fixture.bucket();
    const misses: string[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const key = `k${index}`;
        await bucket.put(key);
        if (!(await bucket.keys()).includes(key)) misses.push(key);
        await bucket.calls.objects.delete(bucket.at(key));
        if ((await bucket.keys()).includes(key)) misses.push(`${key} deleted`);
      })
    );
    t.same(misses, []);
  });

  await t.test('usage counts the keys and bytes below a prefix', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('a/1', '123');
    await bucket.put('a/2', '12345');
    await bucket.put('b', '1');
    const usage = (prefix?: string) => bucket.calls.objects.usage({ bucket: bucket.name, prefix });
    t.same(await usage('a/'), { objectCount: 2, bytes: 8 });
    t.same(await usage(), { objectCount: 3, bytes: 9 });
    t.same(await usage('zz'), { objectCount: 0, bytes: 0 });
  });

  await t.test('stat says what a path is', async (t) => {
    const bucket = await fixture.bucket();
    const file = await bucket.put('dir/file');
    const marker = await bucket.put('explicit/', '');
    await bucket.put('implied/deep/file');
    await bucket.put('both');
    await bucket.put('both/below');
    await bucket.put('explicit0');
    const stat = (path: string) => bucket.calls.objects.stat({ bucket: bucket.name, path });
    t.same(await stat('dir/file'), { type: 'object', head: file }, 'an object');
    t.same(await stat('dir'), { type: 'directory' }, 'a directory that its keys imply');
    t.same(await stat('implied/deep'), { type: 'directory' }, 'a deeper one');
    t.same(await stat('explicit'), { type: 'directory', head: marker }, 'one with a marker');
    t.same(await stat(''), { type: 'directory' }, 'the root');
    t.same(await stat('dir/fil'), { type: 'none' }, 'part of a name');
    t.same(await stat('dir/file/x'), { type: 'none' }, 'below an object');
    t.same(await stat('none'), { type: 'none' }, 'nothing');
    t.equal((await stat('both')).type, 'directory', 'a directory wins over an object of its name');
    await bucket.calls.objects.delete(bucket.at('implied/deep/file'));
    t.same(await stat('implied'), { type: 'none' }, 'an implied directory goes with its last key');
    const empty = await fixture.bucket();
    t.same(
      await empty.calls.objects.stat({ bucket: empty.name, path: '' }),
      { type: 'directory' },
      'the root of an empty bucket'
    );
  });
};

/** All pages of a query, as one result. */
async function walk(bucket: TestBucket, query: Query, maxKeys: number) {
  const keys: string[] = [];
  const prefixes: string[] = [];
  let pagesTooLarge = 0;
  let isOrdered = true;
  let last: Buffer | undefined;
  let page: ListResult | undefined;
  do {
    page = await bucket.calls.objects.list({
      bucket: bucket.name,
      ...query,
      maxKeys,
      continuationToken: page?.continuationToken
    });
    const names = [...page.objects.map(({ key }) => key), ...page.commonPrefixes.map(({ prefix }) => prefix)];
    if (names.length > maxKeys) pagesTooLarge += 1;
    const sorted = names.map((name) => Buffer.from(name)).sort(Buffer.compare);
    if (last && sorted[0] && Buffer.compare(last, sorted[0]) >= 0) isOrdered = false;
    last = sorted.at(-1) ?? last;
    keys.push(...page.objects.map(({ key }) => key));
    prefixes.push(...page.commonPrefixes.map(({ prefix }) => prefix));
    // A store that never ends its listing must not hold up the test.
    if (keys.length + prefixes.length > 1000) break;
  } while (page.isTruncated);
  return { keys, prefixes, pagesTooLarge, isOrdered };
}
