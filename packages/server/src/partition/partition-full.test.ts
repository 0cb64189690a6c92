import t from 'tap';
import { isStoreError } from '../api/index.js';
import { checkPartition } from './testing/partition-checks.js';
import { PartitionFixture } from './testing/partition-fixture.js';

const BUCKET = 'full';
const BODY_BYTES = 128 * 1024;
const CAPACITY_BYTES = 16 * 2 ** 20;

const bodyOf = (number: number): Buffer => Buffer.alloc(BODY_BYTES, number % 251);
const keyOf = (number: number): string => `k${String(number).padStart(4, '0')}`;

async function isDone(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (isStoreError(error, 'NoSpace')) return false;
    throw error;
  }
}

class FullStore {
  readonly fixture: PartitionFixture;
  #count = 0;

  constructor(fixture: PartitionFixture) {
    this.fixture = fixture;
  }

  put(number: number): Promise<boolean> {
    const { fixture } = this;
    const put = { bucket: BUCKET, key: keyOf(number), body: bodyOf(number) };
    return fixture.until(isDone(fixture.layer.objects.put(put)));
  }

  /** Puts until the store is full; how many there are. */
  async fill(): Promise<number> {
    while (await this.put(this.#count)) this.#count += 1;
    return this.#count;
  }

  delete(number: number): Promise<boolean> {
    const { fixture } = this;
    return fixture.until(isDone(fixture.layer.objects.delete({ bucket: BUCKET, key: keyOf(number) })));
  }

  /** Lets upkeep run until there is room for a put again. */
  async hasRoomSoon(): Promise<boolean> {
    for (let seconds = 0; seconds < 60; seconds++) {
      if (!this.fixture.streams.isFull()) return true;
      await this.fixture.until(this.fixture.clock.advance(1000));
    }
    return false;
  }

  async holds(numbers: readonly number[]): Promise<boolean> {
    for (const number of numbers) {
      const read = this.fixture.layer.objects.read({ bucket: BUCKET, key: keyOf(number) });
      if (!bodyOf(number).equals((await this.fixture.until(read)).body)) return false;
    }
    return true;
  }
}

interface Row {
  readonly name: string;
  readonly extentBytesMax?: number;
  /** 0: nothing is kept. */
  readonly keepsOneOf: number;
  readonly capacityBytes?: number;
}

const rows: readonly Row[] = [
  { name: 'all of it in many extents', extentBytesMax: 2 ** 20, keepsOneOf: 0 },
  { name: 'all of it in one extent', extentBytesMax: 256 * 2 ** 20, keepsOneOf: 0 },
  { name: 'half of every extent', extentBytesMax: 2 ** 20, keepsOneOf: 2 },
  { name: 'half of extents of the size for this disk', keepsOneOf: 2, capacityBytes: 8 * CAPACITY_BYTES }
];

for (const { name, extentBytesMax, keepsOneOf, capacityBytes = CAPACITY_BYTES } of rows) {
  for (const isRestarted of [false, true]) {
    const when = isRestarted ? ' after a restart' : '';
    t.test(`a full store gives back what is deleted${when}: ${name}`, async (t) => {
      const options = { capacityBytes, ...(extentBytesMax !== undefined && { extentBytesMax }) };
      await using fixture = await PartitionFixture.start(options);
      await fixture.until(fixture.layer.buckets.create({ bucket: BUCKET }));
      const store = new FullStore(fixture);
      const count = await store.fill();
      t.ok(count * BODY_BYTES > capacityBytes / 2, `${count} objects`);
      if (isRestarted) await fixture.until(fixture.crash());
      t.equal(await store.put(count), false, 'it is full');
      const numbers = Array.from({ length: count }, (_, number) => number);
      const kept = numbers.filter((number) => keepsOneOf > 0 && number % keepsOneOf === 0);
      for (const number of numbers) {
        if (!kept.includes(number) && !(await store.delete(number))) t.fail(`${number} is not deleted`);
      }
      t.ok(await store.hasRoomSoon(), 'there is room again');
      t.ok((await store.fill()) > count, 'objects can be put again');
      t.ok(await store.holds(kept), 'what was kept is there');
      await fixture.until(fixture.layer.objects.deletePrefix({ bucket: BUCKET, prefix: 'k' }));
      await checkPartition(fixture, BUCKET);
    });
  }
}

t.test('a checkpoint for which there is no space leaves none of its blocks behind', async (t) => {
  const extentBytesMax = 2 ** 20;
  await using fixture = await PartitionFixture.start({ extentBytesMax });
  const { layer } = fixture;
  await fixture.until(layer.buckets.create({ bucket: BUCKET }));
  const body = Buffer.alloc(4 * 2 ** 20);
  for (let number = 0; number < 20; number++)
    await fixture.until(layer.objects.put({ bucket: BUCKET, key: `large-${number}`, body }));
  // Large rows, so that the checkpoint does not fit what is kept free.
  const userMetadata = { text: 'x'.repeat(1900) };
  const row = (number: number) => ({ bucket: BUCKET, key: keyOf(number), body: new Uint8Array(0) });
  for (let number = 0; number < 6000; number++)
    await fixture.until(layer.objects.put({ ...row(number), userMetadata }));
  const before = fixture.memoryDisk.usedBytes;
  fixture.memoryDisk.setCapacity(Math.ceil(before * 1.08));
  await fixture.until(fixture.streams.sweep());
  for (let attempt = 0; attempt < 3; attempt++) {
    t.equal(await fixture.until(isDone(layer.checkpoint())), false, 'there is no space');
    await fixture.until(fixture.streams.sweep());
    t.ok(fixture.memoryDisk.usedBytes - before < 2 ** 18, `${fixture.memoryDisk.usedBytes - before} bytes`);
    t.equal(await fixture.until(isDone(layer.objects.delete(row(attempt)))), true, 'deletions go on');
  }
  fixture.memoryDisk.setCapacity(2 * before);
  await fixture.until(fixture.streams.sweep());
  t.equal(await fixture.until(isDone(layer.checkpoint())), true);
});
