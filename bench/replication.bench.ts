import { join } from 'node:path';
import { createStoreClient, type StoreClient } from '@stampede/client';
import { FULL_STAMP, StampCluster } from '../test/support/stamp-cluster.js';
import { Bench, credentialsOf, runLoad, scratch, seconds, startStore, touchMemory } from './harness.js';

/*
 * What three replicas cost on one machine: the same calls on a store with one extent node, with three in one process, and
 * on a stamp of nine processes and etcd. All replicas share one disk and the same cores, so that every byte is written
 * three times and every group of appends is synced three times: the price at its worst.
 */

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const SECONDS_EACH = Number(process.env['REPLICATION_SECONDS'] ?? 4);
const BIG_BYTES = Number(process.env['REPLICATION_BYTES'] ?? 512 * 2 ** 20);
const SMALL_BYTES = 4096;
const MIB = 2 ** 20;

const bench = new Bench(
  'replication',
  'Puts of 4 KiB and one large upload with one replica, three in one process, and three in a stamp of nine processes.'
);

for (let round = 0; round < ROUNDS; round++) {
  using folder = scratch();
  touchMemory();
  const disk = await runLoad<{ seconds: number }>('files', ['fdatasync', folder.path, '3000']);
  bench.record('fdatasync of 4 KiB', 'calls/s', 3000 / disk.seconds);
  for (const durability of ['sync', 'os'] as const) {
    for (const nodes of [1, 3]) {
      const data = join(folder.path, `${durability}-${nodes}`);
      await using store = await startStore({ data, durability, nodes });
      await using client = createStoreClient({ ...credentialsOf(data), endpoint: store.endpoint });
      await measure(`${durability}, R = ${nodes}`, client);
    }
    await using stamp = await StampCluster.start({ ...FULL_STAMP, durability });
    await using client = stamp.client();
    await measure(`${durability}, R = 3, nine processes`, client);
  }
}

for (const durability of ['sync', 'os'])
  for (const kind of ['R = 3', 'R = 3, nine processes'])
    for (const figure of ['put 4 KiB, 64 in flight', 'upload 1 object'])
      bench.compare(`${durability} ${figure}: ${kind} / R = 1`, {
        figure: `${durability}, ${kind}: ${figure}`,
        to: `${durability}, R = 1: ${figure}`,
        ...(kind === 'R = 3' && figure.startsWith('put') && { expectedMin: 0.5 }),
        meaning: 'rate over rate'
      });
bench.finish();

async function measure(name: string, client: StoreClient): Promise<void> {
  await client.buckets.create({ bucket: 'bench' });
  const body = Buffer.alloc(SMALL_BYTES, 0x61);
  let next = 0;
  for (const inFlight of [1, 64, 256]) {
    const calls = await rate(inFlight, () =>
      client.objects.put({ bucket: 'bench', key: `small/${next++}`, body })
    );
    bench.record(`${name}: put 4 KiB, ${inFlight} in flight`, 'calls/s', calls);
  }
  const block = Buffer.alloc(4 * MIB, 0x5a);
  const taken = await seconds(() =>
    client.upload({ bucket: 'bench', key: 'big', body: repeat(block, BIG_BYTES / block.length) })
  );
  bench.record(`${name}: upload 1 object`, 'MiB/s', BIG_BYTES / MIB / taken);
}

async function* repeat(block: Uint8Array, count: number): AsyncIterable<Uint8Array> {
  for (let index = 0; index < count; index++) yield block;
}

/** Calls a second with `inFlight` callers for SECONDS_EACH. */
async function rate(inFlight: number, call: () => Promise<unknown>): Promise<number> {
  const endMs = performance.now() + SECONDS_EACH * 1000;
  let calls = 0;
  const taken = await seconds(async () => {
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        for (; performance.now() < endMs; calls++) await call();
      })
    );
  });
  return calls / taken;
}
