import { crc32c } from '@stampede/server/api';
import { bytes, fails, payload, type Section, sameBytes } from './fixture.js';
import { asPlain } from './puts.js';

/** Copies, renames, compositions and deletions. */
export const moves: Section = async (t, fixture) => {
  const described = {
    contentType: 'text/plain',
    userMetadata: { a: '1' },
    tags: { b: '2' },
    attributes: { mode: 0o100644, uid: 5, xattrs: { 'user.x': bytes('y') } }
  };

  await t.test('a copy has the bytes and all that is said of them', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(200_000);
    const source = await bucket.calls.objects.put({ ...bucket.at('source'), body, ...described });
    const copy = await bucket.calls.objects.copy({ ...bucket.at('source'), to: { key: 'copy' } });
    t.equal(copy.key, 'copy');
    t.equal(copy.bucket, bucket.name);
    t.equal(copy.generation, 1, 'the first version of its key');
    t.equal(copy.size, source.size);
    t.equal(copy.contentType, source.contentType);
    t.same(copy.userMetadata, source.userMetadata);
    t.same(copy.tags, source.tags);
    t.same(asPlain(copy.attributes), asPlain(source.attributes));
    sameBytes(t, await bucket.bytes('copy'), body, 'bytes');
    await bucket.put('source', 'changed');
    sameBytes(t, await bucket.bytes('copy'), body, 'a copy is on its own');
    await bucket.calls.objects.edit({
      ...bucket.at('copy'),
      steps: [{ type: 'write', offset: 0, length: 1 }],
      body: bytes('!')
    });
    t.equal(await bucket.text('source'), 'changed', 'the other way round too');
  });

  await t.test('a copy may go over another object, to another bucket, and say other things', async (t) => {
    const bucket = await fixture.bucket();
    const other = await fixture.bucket();
    await bucket.calls.objects.put({ ...bucket.at('source'), body: bytes('source'), ...described });
    await other.put('target');
    const copy = await bucket.calls.objects.copy({
      ...bucket.at('source'),
      to: { bucket: other.name, key: 'target' },
      contentType: 'text/html',
      userMetadata: { c: '3' }
    });
    t.equal(copy.bucket, other.name);
    t.equal(copy.generation, 2, 'one more version of the target');
    t.equal(copy.contentType, 'text/html');
    t.same(copy.userMetadata, { c: '3' }, 'a given field replaces');
    t.same(copy.tags, { b: '2' }, 'an absent one is the source’s');
    t.equal(await other.text('target'), 'source');
    t.same(await bucket.keys(), ['source']);
    const itself = await bucket.calls.objects.copy({
      ...bucket.at('source'),
      to: { key: 'source' },
      contentType: 'x/y'
    });
    t.equal(itself.contentType, 'x/y', 'onto itself');
    t.equal(await bucket.text('source'), 'source');
  });

  await t.test('a copy of what is not there, or to where nothing can be, changes nothing', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k');
    const before = await bucket.snapshot();
    await fails(
      t,
      bucket.calls.objects.copy({ ...bucket.at('none'), to: { key: 'k' } }),
      'NoSuchKey',
      'source'
    );
    const nowhere = { ...bucket.at('k'), to: { bucket: fixture.bucketName(), key: 'k' } };
    await fails(t, bucket.calls.objects.copy(nowhere), 'NoSuchBucket', 'target');
    t.same(await bucket.snapshot(), before);
  });

  await t.test('a rename moves one object, whole', async (t) => {
    const bucket = await fixture.bucket();
    const source = await bucket.calls.objects.put({ ...bucket.at('old'), body: bytes('body'), ...described });
    const ctime = { seconds: 5, nanoseconds: 6 };
    const moved = await bucket.calls.objects.rename({
      ...bucket.at('old'),
      to: { key: 'new' },
      attributes: { ctime }
    });
    t.equal(moved.key, 'new');
    t.equal(moved.etag, source.etag, 'the bytes are the same, so is the etag');
    t.equal(moved.contentType, source.contentType);
    t.same(moved.userMetadata, source.userMetadata);
    t.same(moved.tags, source.tags);
    t.same(asPlain(moved.attributes), asPlain({ ...source.attributes, ctime }), 'given attributes are set');
    t.equal(await bucket.text('new'), 'body');
    await fails(t, bucket.head('old'), 'NoSuchKey', 'the old name');
    t.same(await bucket.keys(), ['new']);
    t.same(asPlain(await bucket.head('new')), asPlain(moved));
  });

  await t.test(
    'a rename replaces what has the new name, and the other way round with exchange',
    async (t) => {
      const bucket = await fixture.bucket();
      await bucket.put('a', 'body of a');
      await bucket.put('b', 'body of b');
      await bucket.calls.objects.rename({ ...bucket.at('a'), to: { key: 'b' }, exchange: true });
      t.same([await bucket.text('a'), await bucket.text('b')], ['body of b', 'body of a'], 'exchanged');
      await bucket.calls.objects.rename({ ...bucket.at('a'), to: { key: 'b' } });
      t.equal(await bucket.text('b'), 'body of b', 'replaced');
      t.same(await bucket.keys(), ['b']);
    }
  );

  await t.test('a rename that cannot be changes nothing', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('a');
    const before = await bucket.snapshot();
    const rename = (key: string, to: string, more = {}) =>
      bucket.calls.objects.rename({ ...bucket.at(key), to: { key: to }, ...more });
    await fails(t, rename('none', 'a'), 'NoSuchKey', 'no source');
    await fails(t, rename('a', 'none', { exchange: true }), 'NoSuchKey', 'nothing to exchange with');
    await fails(t, rename('none', 'a', { exchange: true }), 'NoSuchKey', 'nothing to exchange');
    t.same(await bucket.snapshot(), before);
    await rename('a', 'a');
    t.equal(await bucket.text('a'), 'a', 'onto itself it stays');
    t.same(await bucket.keys(), ['a']);
  });

  await t.test('readers of two names that swap never see a third state', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('a', 'one');
    await bucket.put('b', 'two');
    const odd: string[] = [];
    let isDone = false;
    const swap = async () => {
      for (let round = 0; round < 30; round++)
        await bucket.calls.objects.rename({ ...bucket.at('a'), to: { key: 'b' }, exchange: true });
      isDone = true;
    };
    const look = async () => {
      while (!isDone) {
        const page = await bucket.calls.objects.list({ bucket: bucket.name });
        const seen = page.objects.map(({ key, crc32c: checksum }) => `${key}${checksum}`);
        if (page.objects.length !== 2 || new Set(page.objects.map((head) => head.crc32c)).size !== 2)
          odd.push(seen.join());
      }
    };
    await Promise.all([swap(), look()]);
    t.same(odd, []);
  });

  await t.test('a composition is its ranges one after the other', async (t) => {
    const bucket = await fixture.bucket();
    const one = payload(150_000);
    const two = payload(70_000, 100);
    await bucket.put('one', one);
    await bucket.put('two', two);
    const compose = (sources: { key: string; offset?: number; length?: number; ifMatch?: string }[]) =>
      bucket.calls.objects.compose({ ...bucket.at('all'), sources, contentType: 'text/plain' });
    const head = await compose([
      { key: 'two' },
      { key: 'one', offset: 65_000, length: 2000 },
      { key: 'one', offset: 149_000 },
      { key: 'two', offset: 10, length: 1 }
    ]);
    const wanted = Buffer.concat([
      two,
      one.subarray(65_000, 67_000),
      one.subarray(149_000),
      two.subarray(10, 11)
    ]);
    sameBytes(t, await bucket.bytes('all'), wanted, 'bytes');
    t.equal(head.size, wanted.length);
    t.equal(head.contentType, 'text/plain');
    t.ok(/-\d+$/.test(head.etag), 'an etag that is no MD5');
    if (head.crc32c !== undefined) t.equal(head.crc32c, crc32c(wanted), 'checksum');
    await compose([{ key: 'all' }, { key: 'two' }]);
    sameBytes(t, await bucket.bytes('all'), Buffer.concat([wanted, two]), 'onto a source of its own');
    const before = await bucket.snapshot();
    await fails(t, compose([{ key: 'one' }, { key: 'none' }]), 'NoSuchKey', 'a source is missing');
    await fails(
      t,
      compose([{ key: 'one', ifMatch: 'generation:7' }]),
      'PreconditionFailed',
      'another version'
    );
    const beyond = [{ key: 'one', offset: 149_999, length: 2 }];
    await fails(t, compose(beyond), ['InvalidRange', 'InvalidArgument'], 'beyond the end');
    t.same(await bucket.snapshot(), before, 'nothing changed');
  });

  await t.test('a delete says whether there was something', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k');
    t.same(await bucket.calls.objects.delete(bucket.at('k')), { deleted: true });
    t.same(await bucket.calls.objects.delete(bucket.at('k')), { deleted: false });
    await fails(t, bucket.head('k'), 'NoSuchKey', 'gone');
  });

  await t.test('a directory marker is deleted only when its directory is empty', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('dir/', '');
    await bucket.put('dir/file');
    await bucket.put('dir0');
    const remove = () => bucket.calls.objects.delete({ ...bucket.at('dir/'), onlyIfPrefixEmpty: true });
    await fails(t, remove(), 'PrefixNotEmpty', 'with a file');
    t.same(await bucket.keys(), ['dir/', 'dir/file', 'dir0']);
    await bucket.calls.objects.delete(bucket.at('dir/file'));
    t.same(await remove(), { deleted: true }, 'empty');
    await bucket.put('implied/file');
    const implied = { ...bucket.at('implied/'), onlyIfPrefixEmpty: true };
    await fails(t, bucket.calls.objects.delete(implied), 'PrefixNotEmpty', 'without a marker');
  });

  await t.test('many are deleted in one call', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of ['a', 'b', 'c']) await bucket.put(key);
    const result = await bucket.calls.objects.deleteMany({
      bucket: bucket.name,
      keys: ['a', 'none', 'c', 'a']
    });
    t.same(result, { objectCount: 2 }, 'those that were there');
    t.same(await bucket.keys(), ['b']);
  });

  await t.test('a prefix is renamed in one step', async (t) => {
    const bucket = await fixture.bucket();
    const marker = await bucket.calls.objects.put({
      ...bucket.at('old/'),
      body: bytes(''),
      attributes: { mode: 0o040700 }
    });
    const file = await bucket.put('old/file', 'body');
    await bucket.put('old/deep/er/file', 'deep');
    await bucket.put('old0', 'not below');
    const rename = { bucket: bucket.name, prefix: 'old/', to: 'new/' };
    t.same(await bucket.calls.objects.renamePrefix(rename), { objectCount: 3 });
    t.same(await bucket.keys(), ['new/', 'new/deep/er/file', 'new/file', 'old0']);
    t.equal(await bucket.text('new/deep/er/file'), 'deep');
    const moved = await bucket.head('new/file');
    t.equal(moved.key, 'new/file');
    t.equal(moved.etag, file.etag, 'the same bytes');
    t.same((await bucket.head('new/')).attributes, marker.attributes, 'the marker too');
    await fails(t, bucket.head('old/file'), 'NoSuchKey', 'the old name');
    t.equal((await bucket.calls.objects.usage({ bucket: bucket.name, prefix: 'new/' })).objectCount, 3);
    t.same(
      await bucket.calls.objects.stat({ bucket: bucket.name, path: 'old' }),
      { type: 'none' },
      'nothing is left'
    );
  });

  await t.test('a prefix is renamed only onto an empty directory', async (t) => {
    const bucket = await fixture.bucket();
    const put = (key: string, mode: number) =>
      bucket.calls.objects.put({ ...bucket.at(key), body: bytes(''), attributes: { mode } });
    await put('source/', 0o040700);
    await bucket.put('source/file');
    await put('target/', 0o040755);
    await bucket.put('full/file');
    const rename = (prefix: string, to: string) =>
      bucket.calls.objects.renamePrefix({ bucket: bucket.name, prefix, to });
    const before = await bucket.snapshot();
    await fails(t, rename('source/', 'full/'), 'PrefixNotEmpty', 'a full one');
    await fails(t, rename('source/', 'source/below/'), 'InvalidArgument', 'into itself');
    await fails(t, rename('source/', 'source'), 'InvalidArgument', 'a target that is no prefix');
    await fails(t, rename('source', 'other/'), 'InvalidArgument', 'a source that is no prefix');
    const long = `${'x'.repeat(1020)}/`;
    await fails(t, rename('source/', long), ['InvalidArgument', 'EntityTooLarge'], 'keys would be too long');
    t.same(await bucket.snapshot(), before, 'nothing changed');
    await rename('source/', 'target/');
    t.same(await bucket.keys(), ['full/file', 'target/', 'target/file']);
    t.equal((await bucket.head('target/')).attributes.mode, 0o040700, 'its marker replaces the other');
  });

  await t.test('a prefix that is being renamed is seen before or after, never between', async (t) => {
    const bucket = await fixture.bucket();
    const count = 40;
    await Promise.all(Array.from({ length: count }, (_, index) => bucket.put(`a/${index}`)));
    const odd: string[] = [];
    let isDone = false;
    const swing = async () => {
      for (let round = 0; round < 10; round++) {
        const [prefix, to] = round % 2 === 0 ? ['a/', 'b/'] : ['b/', 'a/'];
        await bucket.calls.objects.renamePrefix({ bucket: bucket.name, prefix: prefix!, to: to! });
      }
      isDone = true;
    };
    const look = async () => {
      while (!isDone) {
        const { objects } = await bucket.calls.objects.list({ bucket: bucket.name });
        const prefixes = new Set(objects.map(({ key }) => key.slice(0, 2)));
        if (objects.length !== count || prefixes.size !== 1)
          odd.push(`${objects.length} keys in ${[...prefixes]}`);
      }
    };
    await Promise.all([swing(), look()]);
    t.same(odd, []);
  });

  await t.test('a prefix is deleted with all that is below it, and no more', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of ['a', 'a/', 'a/1', 'a/2/3', 'a0']) await bucket.put(key);
    const remove = (prefix: string) => bucket.calls.objects.deletePrefix({ bucket: bucket.name, prefix });
    t.same(await remove('a/'), { objectCount: 3 });
    t.same(await bucket.keys(), ['a', 'a0']);
    t.same(await remove('zz'), { objectCount: 0 }, 'nothing');
    t.same(await remove(''), { objectCount: 2 }, 'everything');
    t.same(await bucket.keys(), []);
    t.same(await bucket.calls.objects.usage({ bucket: bucket.name }), { objectCount: 0, bytes: 0 });
  });
};
