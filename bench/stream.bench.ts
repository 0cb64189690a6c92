import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { faultDomain, streamId } from '../packages/server/src/api/index.js';
import { openEmbeddedMetaStore } from '../packages/server/src/coordination/index.js';
import {
  openClassicLevelStore,
  systemClock,
  systemDisk,
  systemRandom
} from '../packages/server/src/platform/index.js';
import { type OwnedStream, openEmbeddedStreamLayer } from '../packages/server/src/stream/index.js';
import { Bench, runLoad, scratch, seconds, touchMemory } from './harness.js';

/*
 * The stream layer alone, in this process: appends to one stream on one extent node, and on three of the same disk.
 * Beside it the disk's own fdatasync rate, in the same round.
 */

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const SECONDS_EACH = Number(process.env['STREAM_SECONDS'] ?? 3);
const BIG_BYTES = Number(process.env['STREAM_BYTES'] ?? 2 ** 30);
const SMALL_BYTES = 4096;
const BIG_BLOCK_BYTES = 4 * 2 ** 20;
const SYNCS = 2000;
const MIB = 2 ** 20;

const bench = new Bench(
  'stream',
  'Appends to one stream of the stream layer, without the layers above, in one process.'
);

let sequence = 0;

for (let round = 0; round < ROUNDS; round++) {
  for (const durability of ['sync', 'os'] as const) {
    for (const nodeCount of [1, 3]) {
      using folder = scratch();
      touchMemory();
      const disk = await runLoad<{ seconds: number }>('files', ['fdatasync', folder.path, String(SYNCS)]);
      bench.record('fdatasync of 4 KiB', 'calls/s', SYNCS / disk.seconds);
      if (durability === 'sync') {
        const plain = await runLoad<{ seconds: number }>('files', ['write', folder.path, String(BIG_BYTES)]);
        bench.record('plain file and fsync', 'MiB/s', BIG_BYTES / MIB / plain.seconds);
      }
      console.log(`round ${round + 1}: ${durability}, ${nodeCount} nodes`);
      await using stamp = await openStamp(folder.path, nodeCount);
      const name = nodeCount === 1 ? durability : `${durability}, ${nodeCount} replicas,`;
      const stream = await stamp.layer.openStream({ streamId: streamId('bench'), epoch: 1, durability });
      for (const inFlight of [1, 64]) {
        bench.record(
          `${name} append 4 KiB, ${inFlight} in flight`,
          'calls/s',
          await appendRate(stream, inFlight)
        );
      }
      const block = Buffer.alloc(BIG_BLOCK_BYTES, 0x5a);
      const took = await seconds(() =>
        repeated(stream, { block, count: BIG_BYTES / BIG_BLOCK_BYTES, inFlight: 8 })
      );
      bench.record(`${name} append 4 MiB, 8 in flight`, 'MiB/s', BIG_BYTES / MIB / took);
    }
  }
}

bench.compare('sync append 4 KiB at 64 in flight / fdatasync rate', {
  figure: 'sync append 4 KiB, 64 in flight',
  to: 'fdatasync of 4 KiB',
  expectedMin: 15,
  meaning: 'calls over calls: group commit'
});
bench.compare('sync append 4 KiB at 1 in flight / fdatasync rate', {
  figure: 'sync append 4 KiB, 1 in flight',
  to: 'fdatasync of 4 KiB',
  meaning: 'calls over calls: what the layer adds to one sync'
});
bench.compare('sync append 4 MiB / plain file and fsync', {
  figure: 'sync append 4 MiB, 8 in flight',
  to: 'plain file and fsync',
  meaning: 'bytes over bytes: the plain file is synced once'
});
bench.finish();

async function openStamp(path: string, nodeCount: number) {
  const clock = systemClock();
  const random = systemRandom();
  const store = await openClassicLevelStore(join(path, 'meta'));
  const metaStore = await openEmbeddedMetaStore({ store, clock, random });
  const folders = Array.from({ length: nodeCount }, (_, index) => {
    const directory = join(path, `node-${index}`);
    mkdirSync(directory, { recursive: true });
    return { directory, faultDomain: faultDomain(`rack-${index}`) };
  });
  const layer = await openEmbeddedStreamLayer({ folders, disk: systemDisk(), clock, random, metaStore });
  return {
    layer,
    [Symbol.asyncDispose]: async () => {
      await layer.close();
      await metaStore.close();
      await store.close();
    }
  };
}

async function appendRate(stream: OwnedStream, inFlight: number): Promise<number> {
  const block = Buffer.alloc(SMALL_BYTES, 0x61);
  const end = performance.now() + SECONDS_EACH * 1000;
  let count = 0;
  const took = await seconds(() =>
    Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (performance.now() < end) {
          await stream.append({ sequence: sequence++, parts: [block] });
          count += 1;
        }
      })
    )
  );
  return count / took;
}

async function repeated(
  stream: OwnedStream,
  { block, count, inFlight }: { block: Buffer; count: number; inFlight: number }
): Promise<void> {
  let rest = count;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (rest-- > 0) await stream.append({ sequence: sequence++, parts: [block] });
    })
  );
}
