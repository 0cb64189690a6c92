import { LIMITS } from '@stampede/server/api';
import { bytes, fails, MIB, payload, type Section, type TestBucket } from './fixture.js';

/** No zeros, so that every store sees the same bytes and holes. */
function filled(length: number): Uint8Array {
  return payload(length).map((byte) => byte + 1);
}

export const holes: Section = async (t, fixture) => {
  await t.test('bytes are no hole, what was never written or punched is one', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', filled(100_000));
    t.same(await holesOf(bucket), []);
    await edit(bucket, [{ type: 'punch', offset: 10_000, length: 20_000 }]);
    t.same(await holesOf(bucket), [[10_000, 20_000]]);
    await edit(bucket, [{ type: 'punch', offset: 90_000, length: 1_000_000 }]);
    t.same(await holesOf(bucket), [
      [10_000, 20_000],
      [90_000, 10_000]
    ]);
    await edit(bucket, [{ type: 'truncate', size: 200 * MIB }]);
    t.same(await holesOf(bucket), [
      [10_000, 20_000],
      [90_000, 200 * MIB - 90_000]
    ]);
    await edit(bucket, [{ type: 'write', offset: 100 * MIB, length: 5 }], bytes('hello'));
    t.same(await holesOf(bucket, 20_000), [
      [20_000, 10_000],
      [90_000, 100 * MIB - 90_000],
      [100 * MIB + 5, 100 * MIB - 5]
    ]);
    t.same(await holesOf(bucket, 100 * MIB + 2), [[100 * MIB + 5, 100 * MIB - 5]]);
    t.same(await holesOf(bucket, 300 * MIB), [], 'behind the end');
  });

  await t.test('a head says how many bytes lie in holes', async (t) => {
    const bucket = await fixture.bucket();
    const { objects } = bucket.calls;
    const says = async (name: string, holeBytes: number | undefined, key = 'k') => {
      t.equal((await bucket.head(key)).holeBytes, holeBytes, name);
      const page = await objects.list({ bucket: bucket.name, prefix: key });
      t.equal(page.objects[0]!.holeBytes, holeBytes, `${name}: in a listing`);
    };
    await bucket.put('k', filled(300_000));
    await says('none', undefined);
    await edit(bucket, [{ type: 'punch', offset: 100_000, length: 50_000 }]);
    await says('punched', 50_000);
    await edit(bucket, [{ type: 'truncate', size: 120_000 }]);
    await says('cut within it', 20_000);
    await edit(bucket, [{ type: 'truncate', size: 120 * MIB }]);
    await says('longer', 120 * MIB - 100_000);
    await edit(bucket, [{ type: 'write', offset: 70 * MIB, length: 100_000 }], filled(100_000));
    await says('written in the middle', 120 * MIB - 200_000);
    // So many that they are kept apart from the object.
    const offsets = Array.from({ length: 100 }, (_, index) => 80 * MIB + index * 100_000);
    const steps = offsets.map((offset) => ({ type: 'write' as const, offset, length: 1000 }));
    await edit(bucket, steps, filled(100_000));
    await says('written in many places', 120 * MIB - 300_000);
    await edit(bucket, [{ type: 'punch', offset: 80 * MIB, length: 5_000_000 }]);
    await says('punched in many places', 120 * MIB - 250_000);
    await objects.setAttributes({ ...bucket.at('k'), attributes: { mode: 0o100600 } });
    await says('with other attributes', 120 * MIB - 250_000);
    await objects.copy({ ...bucket.at('k'), to: { key: 'copy' } });
    await says('copied', 120 * MIB - 250_000, 'copy');
    await objects.rename({ ...bucket.at('copy'), to: { key: 'moved' } });
    await says('moved', 120 * MIB - 250_000, 'moved');
    await edit(bucket, [{ type: 'truncate', size: 60_000 }]);
    await says('cut to bytes', undefined);
    await bucket.put('moved', filled(10));
    await says('replaced', undefined, 'moved');
  });

  await t.test('many holes come in pages', async (t) => {
    const bucket = await fixture.bucket();
    const count = LIMITS.listKeysMax + 5;
    await bucket.put('k', filled(count * 8192));
    const offsets = Array.from({ length: count }, (_, index) => index * 8192);
    await edit(
      bucket,
      offsets.map((offset) => ({ type: 'punch', offset, length: 4096 }))
    );
    const found = await holesOf(bucket);
    t.same(
      found,
      offsets.map((offset) => [offset, 4096])
    );
    const page = await bucket.calls.objects.holes(bucket.at('k'));
    t.equal(page.holes.length, LIMITS.listKeysMax);
    t.ok(page.nextOffset !== undefined);
  });

  await t.test('holes are those of one version', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.put('k', 'first');
    const page = await bucket.calls.objects.holes({ ...bucket.at('k'), ifMatch: first.etag });
    t.equal(page.head.etag, first.etag);
    t.same(page.holes, []);
    await bucket.put('k', 'second');
    const older = bucket.calls.objects.holes({ ...bucket.at('k'), ifMatch: first.etag });
    await fails(t, older, 'PreconditionFailed', 'replaced');
    await fails(t, bucket.calls.objects.holes(bucket.at('none')), 'NoSuchKey', 'no such key');
    await bucket.put('empty', '');
    t.same((await bucket.calls.objects.holes(bucket.at('empty'))).holes, []);
  });
};

type Step = Parameters<TestBucket['calls']['objects']['edit']>[0]['steps'][number];

async function edit(bucket: TestBucket, steps: Step[], body: Uint8Array = new Uint8Array(0)): Promise<void> {
  await bucket.calls.objects.edit({ ...bucket.at('k'), steps, body });
}

async function holesOf(bucket: TestBucket, from = 0): Promise<number[][]> {
  const found: number[][] = [];
  let offset: number | undefined = from;
  while (offset !== undefined) {
    const { holes, nextOffset } = await bucket.calls.objects.holes({ ...bucket.at('k'), offset });
    found.push(...holes.map((hole) => [hole.offset, hole.length]));
    offset = nextOffset;
  }
  return found;
}
