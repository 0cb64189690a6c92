import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { missingOf } from '../support/needs.js';
import { StampCluster } from '../support/stamp-cluster.js';

/* Bytes that rot on the disks of a running stamp are found by a scrub and made anew from other replicas. */

/** Where payloads are, behind the headers of the file and of its first block. */
const DAMAGED_OFFSET = 8192;
const OBJECT_COUNT = 30;

const skip = await missingOf(['etcd']);

t.test('every planted fault is found and repaired, and every object is whole', { skip }, async (t) => {
  await using stamp = await StampCluster.start();
  await using client = stamp.client();
  await client.buckets.create({ bucket: 'things' });
  const body = Buffer.alloc(100_000, 7);
  const put = async (number: number) =>
    await client.objects.put({ bucket: 'things', key: `key-${number}`, body });
  for (let number = 0; number < OBJECT_COUNT; number++) await put(number);
  // The next owner seals what is open; only sealed extents are scrubbed.
  for (const name of ['ps-1', 'ps-2']) {
    await stamp.find(name).kill();
    await put(0);
    await stamp.find(name).start();
  }
  const { extents } = await client.admin.extents({ limit: 1000 });
  const sealed = new Set(extents.filter(({ state }) => state === 'sealed').map(({ extentId }) => extentId));
  const planted = await damage(join(stamp.find('en-2').directory, 'extents', 'extents'), sealed);
  t.ok(planted > 0, `${planted} faults`);
  await client.admin.scrub({});
  let corrupt = 0;
  let repaired = 0;
  for (let isDone = false; !isDone; ) {
    await sleep(200);
    const { members } = await client.admin.members();
    isDone = members.every(({ scrub }) => scrub.finishedAtMs !== undefined);
    corrupt = members.reduce((sum, { scrub }) => sum + scrub.corruptCount, 0);
    repaired = members.reduce((sum, { scrub }) => sum + scrub.repairedCount, 0);
  }
  t.equal(corrupt, planted);
  t.equal(repaired, planted);
  const { totals } = await client.admin.extents();
  t.match(totals, { underReplicatedCount: 0, damagedCount: 0, unavailableCount: 0 });
  for (let number = 0; number < OBJECT_COUNT; number++) {
    const read = await client.objects.read({ bucket: 'things', key: `key-${number}` });
    if (!body.equals(read.body)) t.fail(`key-${number} has other bytes`);
  }
});

/** Changes a byte of each of these extents that is large enough, as a failing disk would. @returns Of how many. */
async function damage(directory: string, extentIds: ReadonlySet<number>): Promise<number> {
  let count = 0;
  for (const name of (await readdir(directory)).filter((each) => extentIds.has(Number.parseInt(each, 10)))) {
    const file = await open(join(directory, name), 'r+');
    const { size } = await file.stat();
    if (size > 2 * DAMAGED_OFFSET) {
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, DAMAGED_OFFSET);
      await file.write(Buffer.of(byte[0]! ^ 0xff), 0, 1, DAMAGED_OFFSET);
      count += 1;
    }
    await file.close();
  }
  return count;
}
