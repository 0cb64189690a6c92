import type { StoreCalls } from '@stampede/server/api';
import { bytes, fails, type Section, type TestBucket } from './fixture.js';
import { asPlain } from './puts.js';

type Repeat = (calls: StoreCalls, bucket: TestBucket, requestId: string) => Promise<unknown>;

/** Each mutation, made so that a second application would show: as another state or as an error. */
const MUTATIONS: Readonly<Record<string, Repeat>> = {
  put: (calls, bucket, requestId) =>
    calls.objects.put({ ...bucket.at('new'), body: bytes('x'), ifNoneMatch: '*', requestId }),
  'edit that appends': (calls, bucket, requestId) =>
    calls.objects.edit({
      ...bucket.at('k'),
      steps: [{ type: 'write', length: 2 }],
      body: bytes('ab'),
      requestId
    }),
  setAttributes: (calls, bucket, requestId) =>
    calls.objects.setAttributes({ ...bucket.at('k'), attributes: { uid: 1 }, requestId }),
  delete: (calls, bucket, requestId) => calls.objects.delete({ ...bucket.at('k'), requestId }),
  deleteMany: (calls, bucket, requestId) =>
    calls.objects.deleteMany({ bucket: bucket.name, keys: ['k', 'dir/1'], requestId }),
  copy: (calls, bucket, requestId) =>
    calls.objects.copy({ ...bucket.at('k'), to: { key: 'copy' }, requestId }),
  rename: (calls, bucket, requestId) =>
    calls.objects.rename({ ...bucket.at('k'), to: { key: 'renamed' }, requestId }),
  exchange: (calls, bucket, requestId) =>
    calls.objects.rename({ ...bucket.at('k'), to: { key: 'other' }, exchange: true, requestId }),
  'compose onto its own source': (calls, bucket, requestId) =>
    calls.objects.compose({ ...bucket.at('k'), sources: [{ key: 'k' }, { key: 'k' }], requestId }),
  renamePrefix: (calls, bucket, requestId) =>
    calls.objects.renamePrefix({ bucket: bucket.name, prefix: 'dir/', to: 'moved/', requestId }),
  deletePrefix: (calls, bucket, requestId) =>
    calls.objects.deletePrefix({ bucket: bucket.name, prefix: 'dir/', requestId }),
  'create of an upload': (calls, bucket, requestId) =>
    calls.uploads.create({ ...bucket.at('upload'), requestId }),
  'configure of a bucket': (calls, bucket, requestId) =>
    calls.buckets.configure({ bucket: bucket.name, settings: { tags: { a: 'b' } }, requestId })
};

export const repeats: Section = async (t, fixture) => {
  const filled = async () => {
    const bucket = await fixture.bucket();
    for (const key of ['k', 'other', 'dir/1', 'dir/2']) await bucket.put(key);
    return bucket;
  };

  for (const [name, mutation] of Object.entries(MUTATIONS)) {
    await t.test(`${name}: repeating it with its request id changes nothing`, async (t) => {
      const bucket = await filled();
      const requestId = fixture.requestId();
      const first = await mutation(bucket.calls, bucket, requestId);
      const after = await bucket.snapshot();
      const second = await mutation(bucket.calls, bucket, requestId);
      t.same(asPlain(second), asPlain(first), 'the first answer');
      t.same(await bucket.snapshot(), after, 'the same state');
    });

    await t.test(`${name}: repeated while the first is under way it happens once`, async (t) => {
      const bucket = await filled();
      const requestId = fixture.requestId();
      const [first, ...others] = await Promise.all(
        Array.from({ length: 4 }, () => mutation(bucket.calls, bucket, requestId))
      );
      for (const other of others) t.same(asPlain(other), asPlain(first), 'the same answer');
      const twin = await filled();
      await mutation(twin.calls, twin, fixture.requestId());
      const shape = async (each: TestBucket) => {
        const keys = await each.keys();
        const heads = await Promise.all(keys.map((key) => each.head(key)));
        const { uploads } = await each.calls.uploads.list({ bucket: each.name });
        return { uploads: uploads.length, objects: heads.map(({ key, size }) => ({ key, size })) };
      };
      t.same(await shape(bucket), await shape(twin), 'what one application leaves');
    });
  }

  await t.test('a repeat answers as the first did, whatever has happened since', async (t) => {
    const bucket = await filled();
    const put = { ...bucket.at('k'), body: bytes('first'), requestId: fixture.requestId() };
    const first = await bucket.calls.objects.put(put);
    await bucket.put('k', 'second');
    t.same(asPlain(await bucket.calls.objects.put(put)), asPlain(first));
    t.equal(await bucket.text('k'), 'second', 'the later one stays');
    await bucket.calls.objects.delete(bucket.at('k'));
    await bucket.calls.objects.put(put);
    await fails(t, bucket.head('k'), 'NoSuchKey', 'a deleted object does not come back');
  });

  await t.test(
    'a refusal is the answer to its request id too: a copy that comes late changes nothing',
    async (t) => {
      const bucket = await fixture.bucket();
      const requestId = fixture.requestId();
      const edit = { ...bucket.at('k'), steps: [{ type: 'write' as const, length: 1 }], body: bytes('x') };
      await fails(t, bucket.calls.objects.edit({ ...edit, requestId }), 'NoSuchKey', 'not there yet');
      await bucket.put('k', '');
      await fails(t, bucket.calls.objects.edit({ ...edit, requestId }), 'NoSuchKey', 'the same answer');
      t.equal(await bucket.text('k'), '');
      await bucket.calls.objects.edit({ ...edit, requestId: fixture.requestId() });
      t.equal(await bucket.text('k'), 'x', 'another request is judged anew');
    }
  );

  await t.test('the calls of an upload may be repeated, also after it is over', async (t) => {
    const bucket = await fixture.bucket();
    const { uploadId } = await bucket.calls.uploads.create(bucket.at('k'));
    const name = { ...bucket.at('k'), uploadId };
    const id = () => ({ ...name, requestId: fixture.requestId() });
    const write = { ...id(), offset: 0, body: bytes('body') };
    await bucket.calls.uploads.write(write);
    const truncate = { ...id(), size: 2 };
    await bucket.calls.uploads.truncate(truncate);
    await bucket.calls.uploads.write(write);
    const complete = id();
    const first = await bucket.calls.uploads.complete(complete);
    t.equal(await bucket.text('k'), 'bo', 'a repeated write is not laid over what came later');
    t.same(asPlain(await bucket.calls.uploads.complete(complete)), asPlain(first), 'complete');
    await bucket.calls.uploads.truncate(truncate);
    t.equal((await bucket.head('k')).generation, 1);

    const parts = await bucket.calls.uploads.create(bucket.at('p'));
    const partName = { ...bucket.at('p'), uploadId: parts.uploadId };
    const piece = { ...partName, partNumber: 1, body: bytes('piece'), requestId: fixture.requestId() };
    const part = await bucket.calls.uploads.putPart(piece);
    const next = { ...piece, offset: 5, requestId: fixture.requestId() };
    const both = await bucket.calls.uploads.putPart(next);
    t.same(await bucket.calls.uploads.putPart(piece), part, 'the first piece');
    t.same(await bucket.calls.uploads.putPart(next), both, 'the second piece');
    const abort = { ...partName, requestId: fixture.requestId() };
    await bucket.calls.uploads.abort(abort);
    await bucket.calls.uploads.abort(abort);
    await fails(t, bucket.calls.uploads.abort(partName), 'NoSuchUpload', 'another request is another matter');
  });

  await t.test('buckets are created and deleted once', async (t) => {
    const { buckets } = fixture.calls;
    const bucket = fixture.bucketName();
    const create = { bucket, requestId: fixture.requestId() };
    const first = await buckets.create(create);
    t.same(await buckets.create(create), first, 'create');
    await fails(t, buckets.create({ bucket }), 'BucketAlreadyExists', 'by another request');
    const remove = { bucket, requestId: fixture.requestId() };
    await buckets.delete(remove);
    await buckets.delete(remove);
    await fails(t, buckets.delete({ bucket }), 'NoSuchBucket', 'by another request');
  });
};
