import { LIMITS, type StoreCalls } from '@stampede/server/api';
import { bytes, fails, type Section, type TestBucket } from './fixture.js';

type Call = (calls: StoreCalls, bucket: TestBucket) => Promise<unknown>;

/** Inputs that no store may accept, some of which no typed caller could send. */
const TABLE: readonly { readonly name: string; readonly call: Call }[] = [
  ...['', 'ab', 'Upper', 'under_score', '-start', 'end-', 'a..b', '1.2.3.4', 'x'.repeat(64), 'sl/ash'].map(
    (name) => ({
      name: `a bucket named "${name}"`,
      call: (({ buckets }) => buckets.create({ bucket: name })) satisfies Call
    })
  ),
  { name: 'an empty key', call: (_, bucket) => bucket.put('', 'x') },
  { name: 'a key of 1025 bytes', call: (_, bucket) => bucket.put('x'.repeat(1025), 'x') },
  { name: 'a key of 1026 bytes in 342 characters', call: (_, bucket) => bucket.put('日'.repeat(342), 'x') },
  { name: 'half a surrogate pair', call: (_, bucket) => bucket.put('a\ud800b', 'x') },
  {
    name: 'a body that is text',
    call: ({ objects }, bucket) => objects.put({ ...bucket.at('k'), body: 'text' as unknown as Uint8Array })
  },
  {
    name: 'a checksum beyond 32 bits',
    call: ({ objects }, bucket) => objects.put({ ...bucket.at('k'), body: bytes('x'), crc32c: 2 ** 32 })
  },
  {
    name: 'an MD5 that is none',
    call: ({ objects }, bucket) => objects.put({ ...bucket.at('k'), body: bytes('x'), md5: 'xyz' })
  },
  {
    name: 'a content type of 257 characters',
    call: ({ objects }, bucket) =>
      objects.put({ ...bucket.at('k'), body: bytes('x'), contentType: 'x'.repeat(257) })
  },
  {
    name: 'an empty request id',
    call: ({ objects }, bucket) => objects.put({ ...bucket.at('k'), body: bytes('x'), requestId: '' })
  },
  {
    name: 'a request id of 129 characters',
    call: ({ objects }, bucket) =>
      objects.put({ ...bucket.at('k'), body: bytes('x'), requestId: 'x'.repeat(129) })
  },
  {
    name: 'nanoseconds of a whole second',
    call: ({ objects }, bucket) =>
      objects.setAttributes({
        ...bucket.at('here'),
        attributes: { mtime: { seconds: 1, nanoseconds: 1e9 } }
      })
  },
  {
    name: 'a mode beyond its bits',
    call: ({ objects }, bucket) =>
      objects.setAttributes({ ...bucket.at('here'), attributes: { mode: 0o200000 } })
  },
  {
    name: 'a negative uid',
    call: ({ objects }, bucket) => objects.setAttributes({ ...bucket.at('here'), attributes: { uid: -1 } })
  },
  {
    name: 'a negative offset',
    call: ({ objects }, bucket) => objects.read({ ...bucket.at('here'), offset: -1, length: 1 })
  },
  {
    name: 'half a byte',
    call: ({ objects }, bucket) => objects.read({ ...bucket.at('here'), offset: 0.5, length: 1 })
  },
  {
    name: 'a range of more than 8 MiB',
    call: ({ objects }, bucket) =>
      objects.read({ ...bucket.at('here'), offset: 0, length: LIMITS.bodyBytesMax + 1 })
  },
  {
    name: 'an unknown step',
    call: ({ objects }, bucket) =>
      objects.edit({ ...bucket.at('here'), steps: [{ type: 'erase' } as never], body: bytes('') })
  },
  {
    name: 'a write of no bytes',
    call: ({ objects }, bucket) =>
      objects.edit({
        ...bucket.at('here'),
        steps: [{ type: 'write', offset: 0, length: 0 }],
        body: bytes('')
      })
  },
  {
    name: 'a size beyond the largest object',
    call: ({ objects }, bucket) =>
      objects.edit({
        ...bucket.at('here'),
        steps: [{ type: 'truncate', size: LIMITS.objectBytesMax + 1 }],
        body: bytes('')
      })
  },
  {
    name: 'a page of 1001 keys',
    call: ({ objects }, bucket) => objects.list({ bucket: bucket.name, maxKeys: LIMITS.listKeysMax + 1 })
  },
  {
    name: 'an empty delimiter',
    call: ({ objects }, bucket) => objects.list({ bucket: bucket.name, delimiter: '' })
  },
  {
    name: 'no keys to delete',
    call: ({ objects }, bucket) => objects.deleteMany({ bucket: bucket.name, keys: [] })
  },
  {
    name: '1001 keys to delete',
    call: ({ objects }, bucket) =>
      objects.deleteMany({
        bucket: bucket.name,
        keys: Array.from({ length: 1001 }, (_, index) => `k${index}`)
      })
  },
  {
    name: 'a composition of nothing',
    call: ({ objects }, bucket) => objects.compose({ ...bucket.at('k'), sources: [] })
  },
  {
    name: 'a copy to an empty key',
    call: ({ objects }, bucket) => objects.copy({ ...bucket.at('here'), to: { key: '' } })
  },
  {
    name: 'an upload that expires in less than a second',
    call: ({ uploads }, bucket) => uploads.create({ ...bucket.at('k'), expiresInMs: 999 })
  },
  {
    name: 'an upload that lives longer than 30 days',
    call: ({ uploads }, bucket) =>
      uploads.create({ ...bucket.at('k'), expiresInMs: LIMITS.uploadLifetimeMsMax + 1 })
  },
  {
    name: 'part 0',
    call: ({ uploads }, bucket) =>
      uploads.putPart({ ...bucket.at('k'), uploadId: 'u', partNumber: 0, body: bytes('x') })
  },
  {
    name: 'part 10001',
    call: ({ uploads }, bucket) =>
      uploads.putPart({ ...bucket.at('k'), uploadId: 'u', partNumber: 10_001, body: bytes('x') })
  },
  {
    name: 'a negative quota',
    call: ({ buckets }, bucket) => buckets.configure({ bucket: bucket.name, settings: { quotaBytes: -1 } })
  },
  {
    name: 'nothing at all',
    call: ({ objects }) => objects.put(undefined as never)
  },
  {
    name: 'a key that is a number',
    call: ({ objects }, bucket) => objects.head({ bucket: bucket.name, key: 5 as unknown as string })
  },
  {
    name: 'an access nobody knows',
    call: ({ keys }) => keys.create({ access: 'everything' as never })
  }
];

export const badInput: Section = async (t, fixture) => {
  await t.test('input that is wrong is refused before anything happens', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('here');
    const before = await bucket.snapshot();
    for (const { name, call } of TABLE) {
      const made = async () => call(bucket.calls, bucket);
      await fails(t, made(), 'InvalidArgument', name);
    }
    t.same(await bucket.snapshot(), before, 'nothing changed');
  });
};
