import { join } from 'node:path';
import { createStoreClient } from '@stampede/client';
import { Bench, credentialsOf, runLoad, scratch, seconds, startStore, touchMemory } from './harness.js';

/*
 * The store through the SDK: the server is a process of its own (`stampede up`), the client is this one, the framed
 * transport between them on loopback. Beside it the disk's own fdatasync rate in the same round.
 */

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const BIG_BYTES = Number(process.env['STORE_BYTES'] ?? 2 ** 30);
const SECONDS_EACH = Number(process.env['STORE_SECONDS'] ?? 4);
const SMALL_BYTES = 4096;
const MIB = 2 ** 20;

const bench = new Bench(
  'store',
  'The store alone through the SDK over the framed transport on loopback, server and client in two processes.'
);

for (let round = 0; round < ROUNDS; round++) {
  using folder = scratch();
  touchMemory();
  const disk = await runLoad<{ seconds: number }>('files', ['fdatasync', folder.path, '3000']);
  bench.record('fdatasync of 4 KiB', 'calls/s', 3000 / disk.seconds);
  for (const durability of ['sync', 'os'] as const) {
    const data = join(folder.path, durability);
    await using store = await startStore({ data, durability });
    const { accessKey, secretKey } = credentialsOf(data);
    await using client = createStoreClient({ endpoint: store.endpoint, accessKey, secretKey });
    await client.buckets.create({ bucket: 'bench' });
    console.log(`round ${round + 1}: ${durability}`);
    const body = Buffer.alloc(SMALL_BYTES, 0x61);
    let next = 0;
    for (const inFlight of [1, 64]) {
      const before = next;
      const put = await rate(inFlight, () =>
        client.objects.put({ bucket: 'bench', key: `small/${next++}`, body })
      );
      bench.record(`${durability} put 4 KiB, ${inFlight} in flight`, 'calls/s', put);
      let read = before;
      const get = await rate(inFlight, () =>
        client.objects.read({ bucket: 'bench', key: `small/${before + (read++ % (next - before))}` })
      );
      bench.record(`${durability} get 4 KiB, ${inFlight} in flight`, 'calls/s', get);
    }
    const block = Buffer.alloc(4 * MIB, 0x5a);
    const up = await seconds(() =>
      client.upload({ bucket: 'bench', key: 'big', body: repeat(block, BIG_BYTES / block.length) })
    );
    bench.record(`${durability} upload 1 object`, 'MiB/s', BIG_BYTES / MIB / up);
    let bytes = 0;
    const down = await seconds(async () => {
      const { body: stream } = await client.download({ bucket: 'bench', key: 'big' });
      for await (const piece of stream) bytes += piece.length;
    });
    if (bytes !== BIG_BYTES) throw new Error(`downloaded ${bytes} of ${BIG_BYTES} bytes`);
    bench.record(`${durability} download 1 object (warm)`, 'MiB/s', BIG_BYTES / MIB / down);
    bench.record(`${durability} server resident, peak`, 'MiB', store.residentBytes().peak / MIB);
  }
}

bench.compare('sync put 4 KiB at 64 in flight / fdatasync rate', {
  figure: 'sync put 4 KiB, 64 in flight',
  to: 'fdatasync of 4 KiB',
  expectedMin: 10,
  meaning: 'calls over calls: group commit'
});
bench.compare('sync put 4 KiB at 1 in flight / fdatasync rate', {
  figure: 'sync put 4 KiB, 1 in flight',
  to: 'fdatasync of 4 KiB',
  meaning: 'calls over calls'
});
bench.finish();

async function* repeat(block: Uint8Array, count: number): AsyncIterable<Uint8Array> {
  for (let index = 0; index < count; index++) yield block;
}

/** Calls a second with `inFlight` callers for SECONDS_EACH. */
async function rate(inFlight: number, call: () => Promise<unknown>): Promise<number> {
  let calls = 0;
  let running = true;
  const taken = await seconds(async () => {
    const stop = setTimeout(() => {
      running = false;
    }, SECONDS_EACH * 1000);
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (running) {
          await call();
          calls += 1;
        }
      })
    );
    clearTimeout(stop);
  });
  return calls / taken;
}
