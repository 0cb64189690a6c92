import t from 'tap';
import type { ObjectHead } from '../api/index.js';
import { seededRandom } from '../platform/index.js';
import { checkPartition } from './testing/partition-checks.js';
import { PartitionFixture } from './testing/partition-fixture.js';

const { SEED } = process.env;
const BUCKET = 'space-bucket';
const EXTENT_BYTES = 64 * 1024;
const KEY_COUNT = 900;
const REWRITE_COUNT = 6000;

interface Written {
  readonly body: Buffer;
  readonly head: ObjectHead;
}

async function extentBytes(fixture: PartitionFixture): Promise<number> {
  let bytes = 0;
  for (const path of await fixture.extentPaths()) {
    const file = await fixture.memoryDisk.findFile(path);
    bytes += (await file?.size()) ?? 0;
    await file?.close();
  }
  return bytes;
}

t.test('space stays in proportion to what is used while most of it is written again and again', async (t) => {
  const seed = Number(SEED ?? 1);
  const random = seededRandom(seed);
  await using fixture = await PartitionFixture.start({
    seed,
    extentBytesMax: EXTENT_BYTES,
    checkpointRecordBytesMin: 8 * 1024
  });
  const { layer } = fixture;
  await fixture.until(layer.buckets.create({ bucket: BUCKET }));
  const written = new Map<string, Written>();
  const write = async (number: number): Promise<void> => {
    const key = `key-${number}`;
    const body = Buffer.alloc(2000 + Math.floor(random.fraction() * 4000), number + written.size);
    const head = await fixture.until(layer.objects.put({ bucket: BUCKET, key, body }));
    written.set(key, { body, head });
  };
  let worst = 0;
  for (let count = 0; count < REWRITE_COUNT; count++) {
    // One key in three is written once and stays, so that every extent keeps something.
    const isFirst = count < KEY_COUNT;
    const number = isFirst ? count : Math.floor((random.fraction() * KEY_COUNT) / 3) * 3;
    await write(number);
    if (count % 20 === 0) await fixture.clock.advance(1000);
    if (count < 2 * KEY_COUNT || count % 500 !== 0) continue;
    await fixture.clock.advance(20_000);
    const used = [...written.values()].reduce((sum, { body }) => sum + body.byteLength, 0);
    // Two extents that are being filled or wait for the next checkpoint, and those of the other streams.
    const rest = (await extentBytes(fixture)) - 6 * EXTENT_BYTES;
    worst = Math.max(worst, rest / used);
  }
  t.ok(worst > 0 && worst <= 1.3, `at worst ${worst.toFixed(2)} times what is used`);
  const passes = fixture.events.filter(({ type }) => type === 'extents-compacted');
  t.ok(passes.length > 0, `${passes.length} passes`);
  for (const [key, { body, head }] of written) {
    const read = await fixture.until(layer.objects.read({ bucket: BUCKET, key }));
    if (!body.equals(read.body)) t.fail(`${key} has other bytes`);
    t.same(read.head, head, 'nobody can tell that it moved');
  }
  await checkPartition(fixture, BUCKET);
});

t.test(
  'objects of many slices, copies and pending uploads survive that their extents are emptied',
  async (t) => {
    await using fixture = await PartitionFixture.start({
      extentBytesMax: EXTENT_BYTES,
      checkpointRecordBytesMin: 4 * 1024
    });
    const { layer } = fixture;
    const { objects, uploads } = layer;
    await fixture.until(layer.buckets.create({ bucket: BUCKET }));
    const at = { bucket: BUCKET, key: 'many' };
    const expected = Buffer.alloc(200 * 1000);
    await fixture.until(objects.put({ ...at, body: expected }));
    for (let number = 0; number < 200; number++) {
      const body = Buffer.alloc(1000, number);
      body.copy(expected, number * 1000);
      await fixture.until(
        objects.edit({ ...at, steps: [{ type: 'write', offset: number * 1000, length: 1000 }], body })
      );
      // What lies between goes away again.
      await fixture.until(objects.put({ bucket: BUCKET, key: 'rest', body: Buffer.alloc(3000, number) }));
    }
    await fixture.until(objects.copy({ ...at, to: { key: 'copy' } }));
    const { uploadId } = await fixture.until(uploads.create({ bucket: BUCKET, key: 'upload' }));
    const part = Buffer.alloc(5000, 9);
    await fixture.until(uploads.write({ bucket: BUCKET, key: 'upload', uploadId, offset: 0, body: part }));
    for (let round = 0; round < 10; round++) {
      for (let number = 0; number < 30; number++)
        await fixture.until(objects.put({ bucket: BUCKET, key: 'rest', body: Buffer.alloc(4000, number) }));
      await fixture.until(layer.checkpoint());
      await fixture.clock.advance(30_000);
    }
    const passes = fixture.events.filter(({ type }) => type === 'extents-compacted');
    t.ok(passes.length > 0, `${passes.length} passes`);
    await fixture.until(uploads.complete({ bucket: BUCKET, key: 'upload', uploadId }));
    await fixture.until(fixture.crash());
    for (const key of ['many', 'copy']) {
      const { body } = await fixture.until(fixture.layer.objects.read({ bucket: BUCKET, key }));
      t.ok(expected.equals(body), key);
    }
    const { body } = await fixture.until(fixture.layer.objects.read({ bucket: BUCKET, key: 'upload' }));
    t.ok(part.equals(body), 'the upload');
    await checkPartition(fixture, BUCKET);
  }
);
