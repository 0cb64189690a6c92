import { LIMITS } from '@stampede/server/api';
import { bytes, fails, type Section } from './fixture.js';
import { asPlain } from './puts.js';

export const attributes: Section = async (t, fixture) => {
  await t.test('attributes change without the bytes, each one by itself', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.calls.objects.put({
      ...bucket.at('k'),
      body: bytes('body'),
      attributes: { mode: 0o100644, uid: 1, mtime: { seconds: 1, nanoseconds: 2 } },
      userMetadata: { a: '1' },
      tags: { b: '2' }
    });
    const second = await bucket.calls.objects.setAttributes({
      ...bucket.at('k'),
      attributes: { mode: 0o100600, atime: { seconds: 3, nanoseconds: 4 } }
    });
    t.same(second.attributes, {
      mode: 0o100600,
      uid: 1,
      mtime: { seconds: 1, nanoseconds: 2 },
      atime: { seconds: 3, nanoseconds: 4 }
    });
    t.equal(second.etag, first.etag, 'the bytes are the same');
    t.equal(second.crc32c, first.crc32c);
    t.equal(second.size, first.size);
    t.equal(second.generation, 2, 'a change of attributes counts');
    t.same(second.userMetadata, { a: '1' });
    t.same(second.tags, { b: '2' });
    t.equal(await bucket.text('k'), 'body');
    t.same(asPlain(await bucket.head('k')), asPlain(second));
  });

  await t.test('metadata, tags and content type given are replaced, others stay', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.calls.objects.put({
      ...bucket.at('k'),
      body: bytes('x'),
      contentType: 'text/plain',
      userMetadata: { a: '1', b: '2' },
      tags: { c: '3' }
    });
    const set = (more: object) => bucket.calls.objects.setAttributes({ ...bucket.at('k'), ...more });
    const metadata = await set({ userMetadata: { b: '4' } });
    t.same(metadata.userMetadata, { b: '4' });
    t.same(metadata.tags, { c: '3' });
    const tags = await set({ tags: {} });
    t.same(tags.tags, {});
    t.same(tags.userMetadata, { b: '4' });
    const type = await set({ contentType: 'text/html' });
    t.equal(type.contentType, 'text/html');
  });

  await t.test('extended attributes are added, replaced and removed by name', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k');
    const set = (more: object) => bucket.calls.objects.setAttributes({ ...bucket.at('k'), ...more });
    const every = Uint8Array.from({ length: 256 }, (_, index) => index);
    await set({ attributes: { xattrs: { 'user.a': bytes('1'), 'user.b': every } } });
    const added = await set({ attributes: { xattrs: { 'user.a': bytes('2'), 'user.ü': bytes('') } } });
    t.same(
      asPlain(added.attributes.xattrs),
      asPlain({ 'user.a': bytes('2'), 'user.b': every, 'user.ü': bytes('') })
    );
    const removed = await set({ removeXattrs: ['user.a', 'user.none', 'user.ü'], attributes: { uid: 4 } });
    t.same(asPlain(removed.attributes.xattrs), asPlain({ 'user.b': every }));
    t.equal(removed.attributes.uid, 4);
    const { objects } = await bucket.calls.objects.list({ bucket: bucket.name });
    t.same(asPlain(objects), asPlain([removed]), 'a listing has them too');
  });

  await t.test('times have nanoseconds and may lie before 1970; ids take 32 bits', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k');
    const extreme = {
      mode: 0o177777,
      uid: 0xffffffff,
      gid: 0xffffffff,
      rdev: 2 ** 40,
      mtime: { seconds: -62_135_596_800, nanoseconds: 999_999_999 },
      ctime: { seconds: 253_402_300_799, nanoseconds: 1 },
      symlinkTarget: '../ü/日本 \u{1f600}'
    };
    const head = await bucket.calls.objects.setAttributes({ ...bucket.at('k'), attributes: extreme });
    t.same(head.attributes, extreme);
    t.same((await bucket.head('k')).attributes, extreme);
  });

  await t.test('an implied directory becomes explicit, a missing key only on demand', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('dir/file');
    const set = (more: object) =>
      bucket.calls.objects.setAttributes({ ...bucket.at('dir/'), attributes: { mode: 0o040700 }, ...more });
    await fails(t, set({}), 'NoSuchKey', 'not told to create');
    const marker = await set({ create: true });
    t.equal(marker.size, 0);
    t.equal(marker.generation, 1);
    t.same(await bucket.calls.objects.stat({ bucket: bucket.name, path: 'dir' }), {
      type: 'directory',
      head: marker
    });
    t.equal((await set({ create: true })).generation, 2, 'it is there now');
  });

  await t.test('what is said of an object is limited', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k');
    const before = await bucket.snapshot();
    const set = (more: object) => bucket.calls.objects.setAttributes({ ...bucket.at('k'), ...more });
    const tags = Object.fromEntries(
      Array.from({ length: LIMITS.tagCountMax + 1 }, (_, index) => [`tag${index}`, 'x'])
    );
    await fails(t, set({ tags }), 'InvalidArgument', 'tags');
    const large = { 'user.large': new Uint8Array(LIMITS.objectMetadataBytesMax + 1) };
    const codes = ['EntityTooLarge', 'InvalidArgument'] as const;
    await fails(t, set({ attributes: { xattrs: large } }), codes, 'one large attribute');
    const half = (name: string) => ({
      attributes: { xattrs: { [name]: new Uint8Array(LIMITS.objectMetadataBytesMax / 2 + 1000) } }
    });
    t.same(await bucket.snapshot(), before, 'nothing changed');
    await set(half('user.one'));
    await fails(t, set(half('user.two')), codes, 'together with what is there');
    const put = { ...bucket.at('other'), body: bytes('x'), attributes: { xattrs: large } };
    await fails(t, bucket.calls.objects.put(put), codes, 'put');
    await fails(t, bucket.head('other'), 'NoSuchKey', 'nothing was stored');
  });
};
