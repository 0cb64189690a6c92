import { join } from 'node:path';
import { createStoreClient } from '@stampede/client';
import { Bench, credentialsOf, scratch, startStore } from './harness.js';

/* From the start of the process until it serves, after it was killed with a log of many bytes behind it. */

const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const BYTES = Number(process.env['RESTART_BYTES'] ?? 2 ** 30);

const bench = new Bench(
  'restart',
  'Start of `stampede up` after kill −9 with 1 GiB written since the last checkpoint, as 4 MiB and as 64 KiB objects.'
);
for (let round = 0; round < ROUNDS; round++) {
  for (const size of [4 * 2 ** 20, 64 * 2 ** 10]) {
    using folder = scratch();
    const data = join(folder.path, 'data');
    const store = await startStore({ data, durability: 'os' });
    const client = createStoreClient({ ...credentialsOf(data), endpoint: store.endpoint });
    await client.buckets.create({ bucket: 'bench' });
    const body = Buffer.alloc(size, 0x5a);
    const count = BYTES / size;
    for (let first = 0; first < count; first += 16) {
      await Promise.all(
        Array.from({ length: Math.min(16, count - first) }, (_, index) =>
          client.objects.put({ bucket: 'bench', key: `object-${first + index}`, body })
        )
      );
    }
    await client.close();
    await store.kill();
    await using again = await startStore({ data });
    bench.record(`ready after kill −9, ${size / 1024} KiB objects`, 's', again.readyAfterMs / 1000);
  }
}
bench.record('allowed', 's', 3);
for (const size of [4096, 64]) {
  bench.compare(`allowed / ready, ${size} KiB objects`, {
    figure: 'allowed',
    to: `ready after kill −9, ${size} KiB objects`,
    expectedMin: 1,
    meaning: 'time over time'
  });
}
bench.finish();
