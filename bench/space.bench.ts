import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createStoreClient } from '@stampede/client';
import { Bench, credentialsOf, scratch, startStore, touchMemory } from './harness.js';

/*
 * A live set that is written again and again in random order, one object in four excepted, so that every extent keeps
 * something: what space it takes at most, and what callers notice of the work that keeps it small. SPACE_LIVE and
 * SPACE_FACTOR set the size of the live set in bytes and how many times it is written.
 */

const LIVE = Number(process.env['SPACE_LIVE'] ?? 2 ** 30);
const FACTOR = Number(process.env['SPACE_FACTOR'] ?? 20);
const OBJECT_BYTES = 256 * 1024;
const IN_FLIGHT = 4;
const EXTENT_BYTES = 256 * 2 ** 20;
const MIB = 2 ** 20;

const bench = new Bench(
  'space',
  `A live set of ${LIVE / MIB} MiB in objects of ${OBJECT_BYTES / 1024} KiB, written ${FACTOR} times over.`
);

using folder = scratch();
touchMemory();
const data = join(folder.path, 'data');
await using store = await startStore({ data });
await using client = createStoreClient({ ...credentialsOf(data), endpoint: store.endpoint });
await client.buckets.create({ bucket: 'bench' });
const objectCount = Math.floor(LIVE / OBJECT_BYTES);
const body = Buffer.alloc(OBJECT_BYTES, 0x61);
const latencies: number[] = [];
const idle: number[] = [];
let state = 11;
let next = 0;

/** Of all objects once; then those that change. */
const total = objectCount * FACTOR;
let worst = 0;
const samples = setInterval(() => {
  if (next < objectCount) return;
  const used = Number(execFileSync('du', ['-sb', join(data, 'nodes')], { encoding: 'utf8' }).split('\t')[0]);
  worst = Math.max(worst, (used - 2 * EXTENT_BYTES) / LIVE);
}, 1000);
await Promise.all(
  Array.from({ length: IN_FLIGHT }, async () => {
    while (next < total) {
      const number = next++;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const key = number < objectCount ? number : Math.floor(((state % objectCount) * 3) / 4);
      const start = performance.now();
      await client.objects.put({ bucket: 'bench', key: `object-${key}`, body });
      if (number >= objectCount) latencies.push(performance.now() - start);
      else if (number % 4 === 0) idle.push(performance.now() - start);
    }
  })
);
clearInterval(samples);
bench.record('space over what is live and two extents, at most', 'times', worst);
bench.record('put 256 KiB before anything is unused, p99', 'ms', percentile(idle, 0.99));
bench.record('put 256 KiB while extents are emptied, p50', 'ms', percentile(latencies, 0.5));
bench.record('put 256 KiB while extents are emptied, p99', 'ms', percentile(latencies, 0.99));
bench.compare('p99 before / p99 while extents are emptied', {
  figure: 'put 256 KiB before anything is unused, p99',
  to: 'put 256 KiB while extents are emptied, p99',
  expectedMin: 0.5,
  meaning: 'time over time: 0.5 is twice as slow'
});
bench.finish();

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * part)] ?? 0;
}
