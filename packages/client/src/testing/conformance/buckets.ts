import { LIMITS } from '@stampede/server/api';
import { bytes, fails, type Section } from './fixture.js';

export const buckets: Section = async (t, fixture) => {
  const { calls } = fixture;

  await t.test('a bucket is created, described and deleted', async (t) => {
    const bucket = fixture.bucketName();
    const created = await calls.buckets.create({ bucket, settings: { quotaBytes: 1000, tags: { a: 'b' } } });
    t.equal(created.bucket, bucket);
    t.equal(created.settings.quotaBytes, 1000);
    t.same(created.settings.tags, { a: 'b' });
    t.same(created.usage, { objectCount: 0, bytes: 0 });
    t.ok(created.createdAtMs > 1_000_000_000_000, 'a time in ms');
    t.same(await calls.buckets.head({ bucket }), created);
    await fails(t, calls.buckets.create({ bucket }), 'BucketAlreadyExists', 'again');
    await calls.buckets.delete({ bucket });
    await fails(t, calls.buckets.head({ bucket }), 'NoSuchBucket', 'head');
    await fails(t, calls.buckets.delete({ bucket }), 'NoSuchBucket', 'delete');
    await fails(t, calls.buckets.configure({ bucket, settings: {} }), 'NoSuchBucket', 'configure');
    await fails(t, calls.uploads.list({ bucket }), 'NoSuchBucket', 'its uploads');
    await fails(t, calls.uploads.create({ bucket, key: 'k' }), 'NoSuchBucket', 'a new upload');
  });

  await t.test('a bucket with objects is not deleted, and comes back empty', async (t) => {
    const bucket = await fixture.bucket({ tags: { a: 'b' } });
    await bucket.put('k');
    await fails(t, calls.buckets.delete({ bucket: bucket.name }), 'BucketNotEmpty', 'with an object');
    t.equal(await bucket.text('k'), 'k', 'it is still there');
    await calls.objects.delete(bucket.at('k'));
    await calls.buckets.delete({ bucket: bucket.name });
    await fails(t, bucket.put('k'), 'NoSuchBucket', 'put');
    const again = await calls.buckets.create({ bucket: bucket.name });
    t.same(again.usage, { objectCount: 0, bytes: 0 });
    t.same(again.settings.tags ?? {}, {}, 'its settings are new too');
    t.same(await bucket.keys(), []);
  });

  await t.test('two buckets with the same keys know nothing of each other', async (t) => {
    const one = await fixture.bucket();
    const two = await fixture.bucket();
    await one.put('k', 'one');
    await two.put('k', 'two');
    await one.calls.objects.deletePrefix({ bucket: one.name, prefix: '' });
    t.equal(await two.text('k'), 'two');
    t.same(await one.keys(), []);
  });

  await t.test('a bucket counts its objects and bytes with every change', async (t) => {
    const bucket = await fixture.bucket();
    const usage = async () => (await calls.buckets.head({ bucket: bucket.name })).usage;
    await bucket.put('a', '12345');
    await bucket.put('b/1', '123');
    t.same(await usage(), { objectCount: 2, bytes: 8 }, 'put');
    await bucket.put('a', '1');
    t.same(await usage(), { objectCount: 2, bytes: 4 }, 'put over');
    const steps = [{ type: 'truncate' as const, size: 100 }];
    await calls.objects.edit({ ...bucket.at('a'), steps, body: bytes('') });
    t.same(await usage(), { objectCount: 2, bytes: 103 }, 'edit: a hole counts as bytes');
    await calls.objects.copy({ ...bucket.at('a'), to: { key: 'c' } });
    t.same(await usage(), { objectCount: 3, bytes: 203 }, 'copy');
    await calls.objects.rename({ ...bucket.at('c'), to: { key: 'a' } });
    t.same(await usage(), { objectCount: 2, bytes: 103 }, 'rename over');
    await calls.objects.renamePrefix({ bucket: bucket.name, prefix: 'b/', to: 'd/' });
    t.same(await usage(), { objectCount: 2, bytes: 103 }, 'renamePrefix');
    const { uploadId } = await calls.uploads.create(bucket.at('u'));
    await calls.uploads.write({ ...bucket.at('u'), uploadId, offset: 0, body: bytes('123') });
    t.same(await usage(), { objectCount: 2, bytes: 103 }, 'an upload does not count');
    await calls.uploads.complete({ ...bucket.at('u'), uploadId });
    t.same(await usage(), { objectCount: 3, bytes: 106 }, 'until it is complete');
    await calls.objects.compose({ ...bucket.at('u'), sources: [{ key: 'u' }, { key: 'u' }] });
    t.same(await usage(), { objectCount: 3, bytes: 109 }, 'compose');
    await calls.objects.deletePrefix({ bucket: bucket.name, prefix: 'd/' });
    t.same(await usage(), { objectCount: 2, bytes: 106 }, 'deletePrefix');
    await calls.objects.deleteMany({ bucket: bucket.name, keys: ['u', 'none'] });
    t.same(await usage(), { objectCount: 1, bytes: 100 }, 'deleteMany');
    await calls.objects.delete(bucket.at('a'));
    t.same(await usage(), { objectCount: 0, bytes: 0 }, 'delete');
  });

  await t.test('settings change one by one', async (t) => {
    const bucket = await fixture.bucket({ quotaBytes: 5 });
    const configure = (settings: object) => calls.buckets.configure({ bucket: bucket.name, settings });
    const tagged = await configure({ tags: { a: 'b' } });
    t.equal(tagged.settings.quotaBytes, 5, 'an absent one stays');
    t.same(tagged.settings.tags, { a: 'b' });
    const larger = await configure({ quotaBytes: 7 });
    t.equal(larger.settings.quotaBytes, 7);
    t.same(larger.settings.tags, { a: 'b' });
    t.same(await calls.buckets.head({ bucket: bucket.name }), larger);
    const unlimited = await configure({ quotaBytes: null });
    t.ok((unlimited.settings.quotaBytes ?? null) === null, 'no limit');
    await bucket.put('k', 'more than seven bytes');
  });

  await t.test('a quota holds for everything that adds bytes', async (t) => {
    const bucket = await fixture.bucket({ quotaBytes: 10 });
    await bucket.put('a', '12345');
    await bucket.put('b', '12345');
    const before = await bucket.snapshot();
    const { objects, uploads } = calls;
    const refused = (call: Promise<unknown>, name: string) => fails(t, call, 'QuotaExceeded', name);
    await refused(bucket.put('c', '1'), 'put');
    await refused(bucket.put('a', '123456'), 'put over');
    const append = { steps: [{ type: 'write' as const, length: 1 }], body: bytes('1') };
    await refused(objects.edit({ ...bucket.at('a'), ...append }), 'edit');
    const extend = { steps: [{ type: 'truncate' as const, size: 6 }], body: bytes('') };
    await refused(objects.edit({ ...bucket.at('a'), ...extend }), 'a hole');
    await refused(objects.copy({ ...bucket.at('a'), to: { key: 'c' } }), 'copy');
    await refused(objects.compose({ ...bucket.at('a'), sources: [{ key: 'a' }, { key: 'b' }] }), 'compose');
    t.same(await bucket.snapshot(), before, 'nothing changed');
    const { uploadId } = await uploads.create(bucket.at('c'));
    await uploads.write({ ...bucket.at('c'), uploadId, offset: 0, body: bytes('1') });
    await refused(uploads.complete({ ...bucket.at('c'), uploadId }), 'complete');
    await uploads.abort({ ...bucket.at('c'), uploadId });
    t.same(await bucket.snapshot(), before, 'nothing changed');
    await bucket.put('a', '54321');
    await objects.rename({ ...bucket.at('a'), to: { key: 'renamed' } });
    await objects.setAttributes({ ...bucket.at('b'), attributes: { uid: 1 } });
    await bucket.put('empty', '');
    t.ok(true, 'what adds no bytes goes on');
    await calls.buckets.configure({ bucket: bucket.name, settings: { quotaBytes: 1 } });
    await bucket.put('b', '1');
    t.ok(true, 'and what takes some away, also above the quota');
    await objects.delete(bucket.at('renamed'));
    await refused(bucket.put('c', '1'), 'full again');
  });

  await t.test('buckets are listed by name, page by page', async (t) => {
    const names: string[] = [];
    for (let index = 0; index < 5; index++) names.push((await fixture.bucket()).name);
    const prefix = `conformance-${fixture.run}-`;
    const all = await calls.buckets.list({ prefix });
    const listed = all.buckets.map(({ bucket }) => bucket);
    t.same(listed, [...listed].sort(), 'in order');
    for (const name of names) t.ok(listed.includes(name), name);
    t.same(
      all.buckets.find(({ bucket }) => bucket === names[0]),
      await calls.buckets.head({ bucket: names[0]! })
    );
    const paged: string[] = [];
    let continuationToken: string | undefined;
    do {
      const page = await calls.buckets.list({ prefix, maxBuckets: 2, continuationToken });
      t.ok(page.buckets.length <= 2, 'two a page');
      paged.push(...page.buckets.map(({ bucket }) => bucket));
      ({ continuationToken } = page);
    } while (continuationToken !== undefined && paged.length < 1000);
    t.same(paged, listed);
    t.same((await calls.buckets.list({ prefix: 'no-bucket-has-this-' })).buckets, []);
    t.ok((await calls.buckets.list()).buckets.length >= names.length, 'without a prefix');
  });

  await t.test('access keys are made, listed without their secret, and deleted', async (t) => {
    const bucket = await fixture.bucket();
    const description = `made by ${bucket.name}`;
    const key = await calls.keys.create({ description, buckets: [bucket.name], access: 'read' });
    t.ok(key.accessKey.length > 0 && key.secretKey.length > 0, 'an id and a secret');
    const listed = (await calls.keys.list()).find(({ accessKey }) => accessKey === key.accessKey);
    t.equal(listed?.description, description);
    t.same(listed?.buckets, [bucket.name]);
    t.equal(listed?.access, 'read');
    t.ok(!JSON.stringify(await calls.keys.list()).includes(key.secretKey), 'no secret in the list');
    await calls.keys.delete({ accessKey: key.accessKey });
    t.ok(!(await calls.keys.list()).some(({ accessKey }) => accessKey === key.accessKey), 'gone');
  });

  await t.test('the store says how it is', async (t) => {
    const status = await calls.admin.status();
    t.equal(status.state, 'ready');
    t.ok(status.version.length > 0, 'a version');
    t.ok(status.startedAtMs > 1_000_000_000_000, 'since when');
  });

  await t.test('a bucket name is 3 to 63 bytes', async (t) => {
    const short = `a${fixture.run}`
      .replace(/[^a-z0-9]/g, '')
      .slice(0, LIMITS.bucketNameLengthMin)
      .padEnd(3, 'x');
    const long = `conformance-${fixture.run}-`.padEnd(LIMITS.bucketNameLengthMax, 'x');
    for (const bucket of [short, long, `conformance.${fixture.run}.with.dots`]) {
      await calls.buckets.create({ bucket });
      t.equal((await calls.buckets.head({ bucket })).bucket, bucket);
      await calls.buckets.delete({ bucket });
    }
  });
};
