import { createHash } from 'node:crypto';
import { crc32c, LIMITS } from '@stampede/server/api';
import { bytes, fails, payload, type Section, sameBytes, wrongCrc32c } from './fixture.js';

/** Keys that name nothing special to the store, though they might to a path, a URL, a shell or UTF-16. */
export const ODD_KEYS = [
  'a',
  'a b',
  ' leading and trailing ',
  'a//b',
  '/starts with a slash',
  './a',
  '../a',
  '..',
  'ends with a slash/',
  'a%2Fb',
  'a+b&c=d?e#f',
  'quotes " and \' and \\ back\\slash',
  'new\nline\ttab',
  'control \u0001\u001f\u007f',
  'nul \0 within',
  'é composed',
  'e\u0301 decomposed',
  '日本語/キー',
  '\ufffd',
  '\uffff',
  '\u{1f600} beyond the BMP',
  '\u{10ffff}',
  'x'.repeat(1024),
  `${'日'.repeat(341)}x`,
  '__proto__',
  'constructor'
] as const;

export const puts: Section = async (t, fixture) => {
  await t.test('what was put is read, and the answer describes it', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(100_000);
    const attributes = {
      mode: 0o100644,
      uid: 1000,
      gid: 0,
      mtime: { seconds: -5, nanoseconds: 999_999_999 },
      atime: { seconds: 1_800_000_000, nanoseconds: 0 },
      xattrs: { 'user.one': bytes('value'), 'user.empty': new Uint8Array(0) }
    };
    const put = await bucket.calls.objects.put({
      ...bucket.at('dir/key'),
      body,
      contentType: 'text/plain; charset=utf-8',
      userMetadata: { colour: 'blue', empty: '' },
      tags: { project: 'x' },
      attributes
    });
    t.equal(put.bucket, bucket.name);
    t.equal(put.key, 'dir/key');
    t.equal(put.size, body.length);
    t.equal(put.generation, 1, 'the first version');
    t.equal(put.crc32c, crc32c(body));
    t.equal(put.contentType, 'text/plain; charset=utf-8');
    t.same(put.userMetadata, { colour: 'blue', empty: '' });
    t.same(put.tags, { project: 'x' });
    t.same(asPlain(put.attributes), asPlain(attributes), 'attributes, xattrs with their bytes');
    t.ok(put.versionId.length > 0, 'has a version');
    t.ok(Number.isSafeInteger(put.modifiedAtMs) && put.modifiedAtMs > 1_000_000_000_000, 'a time in ms');
    t.same(asPlain(await bucket.head('dir/key')), asPlain(put), 'head says the same');
    const read = await bucket.calls.objects.read(bucket.at('dir/key'));
    t.same(asPlain(read.head), asPlain(put), 'read says the same');
    sameBytes(t, read.body, body, 'the bytes');
    t.equal(read.offset, 0);
    t.equal(read.crc32c, crc32c(body));
  });

  await t.test('a put replaces everything of the earlier version', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.calls.objects.put({
      ...bucket.at('k'),
      body: bytes('long first body'),
      contentType: 'text/plain',
      userMetadata: { a: '1' },
      tags: { b: '2' },
      attributes: { mode: 0o100600, xattrs: { 'user.x': bytes('y') } }
    });
    const second = await bucket.put('k', 'short');
    t.equal(second.generation, 2);
    t.ok(second.etag !== first.etag, 'another etag');
    t.ok(second.versionId !== first.versionId, 'another version');
    t.same(second.userMetadata, {});
    t.same(second.tags, {});
    t.same(second.attributes, {});
    t.ok(second.contentType !== 'text/plain', 'the content type is the default again');
    t.equal(await bucket.text('k'), 'short');
    t.ok(second.modifiedAtMs >= first.modifiedAtMs, 'time goes on');
  });

  await t.test('the same bytes put again are another version', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k', 'same');
    const second = await bucket.put('k', 'same');
    t.equal(second.generation, first.generation + 1);
    t.ok(second.versionId !== first.versionId);
  });

  await t.test('empty objects are objects', async (t) => {
    const bucket = await fixture.bucket();
    const head = await bucket.put('empty', '');
    t.equal(head.size, 0);
    t.equal(head.crc32c, 0);
    const read = await bucket.calls.objects.read(bucket.at('empty'));
    t.equal(read.body.length, 0);
    t.same(await bucket.keys(), ['empty']);
  });

  await t.test('a body that is not what its checksum says is refused', async (t) => {
    const bucket = await fixture.bucket();
    const body = bytes('body');
    await fails(
      t,
      bucket.calls.objects.put({ ...bucket.at('k'), body, crc32c: wrongCrc32c(body) }),
      'BadDigest',
      'wrong'
    );
    await fails(t, bucket.head('k'), 'NoSuchKey', 'nothing was stored');
    const head = await bucket.calls.objects.put({ ...bucket.at('k'), body, crc32c: crc32c(body) });
    t.equal(head.crc32c, crc32c(body), 'right');
  });

  await t.test('an MD5 becomes the etag, and no other etag looks like one', async (t) => {
    const bucket = await fixture.bucket();
    const body = bytes('body');
    const md5 = createHash('md5').update(body).digest('hex');
    t.equal((await bucket.calls.objects.put({ ...bucket.at('with'), body, md5 })).etag, md5);
    const { etag } = await bucket.put('without');
    t.ok(/-\d+$/.test(etag), `${etag} ends in -N`);
  });

  await t.test('a version is read by its id, another one is not there', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k', 'first');
    const second = await bucket.put('k', 'second');
    const read = await bucket.calls.objects.read({ ...bucket.at('k'), versionId: second.versionId });
    t.same(Buffer.from(read.body).toString(), 'second');
    for (const versionId of [first.versionId, 'no-such-version']) {
      await fails(t, bucket.calls.objects.read({ ...bucket.at('k'), versionId }), 'NoSuchVersion', versionId);
      await fails(t, bucket.calls.objects.head({ ...bucket.at('k'), versionId }), 'NoSuchVersion', versionId);
    }
  });

  await t.test('the store keeps no hold on the caller’s bytes, nor the caller on the store’s', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(5000);
    const value = bytes('value');
    await bucket.calls.objects.put({ ...bucket.at('k'), body, attributes: { xattrs: { 'user.x': value } } });
    body.fill(0xff);
    value.fill(0xff);
    const read = await bucket.calls.objects.read(bucket.at('k'));
    sameBytes(t, read.body, payload(5000), 'the caller used its buffer again');
    read.body.fill(0xee);
    sameBytes(t, await bucket.bytes('k'), payload(5000), 'the reader used its buffer');
    t.same(asPlain(read.head.attributes), asPlain({ xattrs: { 'user.x': bytes('value') } }));
  });

  await t.test('a call carries up to 8 MiB', async (t) => {
    const bucket = await fixture.bucket();
    const body = payload(LIMITS.bodyBytesMax);
    t.equal((await bucket.put('most', body)).size, LIMITS.bodyBytesMax);
    sameBytes(t, await bucket.bytes('most'), body, 'all of it');
    await fails(
      t,
      bucket.put('more', payload(LIMITS.bodyBytesMax + 1)),
      ['InvalidArgument', 'EntityTooLarge'],
      'one byte more'
    );
    await fails(t, bucket.head('more'), 'NoSuchKey', 'nothing of it');
  });

  await t.test('every key is its own, byte for byte', async (t) => {
    const bucket = await fixture.bucket();
    for (const key of ODD_KEYS) await bucket.put(key, `body of ${key}`);
    const inOrder = [...ODD_KEYS].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    t.same(await bucket.keys(), inOrder, 'listed in the order of their bytes');
    for (const key of ODD_KEYS) {
      const name = JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
      t.equal((await bucket.head(key)).key, key, `${name} has its head`);
      t.equal(await bucket.text(key), `body of ${key}`, `${name} has its bytes`);
      t.same(await bucket.keys(key).then((keys) => keys[0]), key, `${name} is its own first prefix`);
    }
    for (const key of ODD_KEYS) {
      const { deleted } = await bucket.calls.objects.delete(bucket.at(key));
      t.ok(deleted, `${JSON.stringify(key.slice(0, 40))} is deleted`);
    }
    t.same(await bucket.keys(), []);
  });

  await t.test('what does not exist is said by its code', async (t) => {
    const bucket = await fixture.bucket();
    const missing = fixture.bucketName();
    await fails(t, bucket.head('none'), 'NoSuchKey', 'head');
    await fails(t, bucket.calls.objects.read(bucket.at('none')), 'NoSuchKey', 'read');
    await fails(t, bucket.calls.objects.head({ bucket: missing, key: 'k' }), 'NoSuchBucket', 'bucket');
    await fails(
      t,
      bucket.calls.objects.put({ bucket: missing, key: 'k', body: bytes('x') }),
      'NoSuchBucket',
      'put'
    );
    await fails(t, bucket.calls.objects.list({ bucket: missing }), 'NoSuchBucket', 'list');
    await fails(t, bucket.calls.objects.stat({ bucket: missing, path: 'k' }), 'NoSuchBucket', 'stat');
    await fails(t, bucket.calls.objects.usage({ bucket: missing }), 'NoSuchBucket', 'usage');
  });

  await t.test('an aborted call does nothing', async (t) => {
    const bucket = await fixture.bucket();
    const signal = AbortSignal.abort();
    const put = { ...bucket.at('k'), body: bytes('x') };
    await fails(t, bucket.calls.objects.put(put, { signal }), 'Cancelled', 'put');
    await fails(t, bucket.head('k'), 'NoSuchKey', 'nothing was stored');
  });
};

/** Bytes in a form that compares by value, whatever class they have. */
export function asPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes:${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(asPlain);
  if (value === null || typeof value !== 'object') return value;
  const present = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(present.map(([name, field]) => [name, asPlain(field)]));
}
