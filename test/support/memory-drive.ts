import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type FaultRule, faultyCalls, memoryStore, seededRandom } from '@stampede/client/testing';
import { mount } from '@stampede/fs-mount';
import { sinkStore } from './sink-store.js';

/*
 * A drive on a store in this process's memory, for tests of the drive alone; the process that serves a mount never
 * touches it itself. Prints a JSON line `{"ready":true}`, then one for each event of the mount, and at the end what
 * the store has of the first objects. SIGTERM unmounts.
 *
 *   node memory-drive.js --directory PATH [--store memory|slow|sink] [--options JSON]
 */

/** Answers of a slow store come out of order. */
const DELAYS: readonly FaultRule[] = [
  { on: '*', fault: { type: 'delay', durationMs: 4 }, chance: 0.05 },
  { on: '*', fault: { type: 'delay', durationMs: 1 }, chance: 0.3 }
];

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    store: { type: 'string', default: 'memory' },
    options: { type: 'string', default: '{}' }
  }
});
/** The store outlives the mount, so that what it was left with can be seen. */
const inner = values.store === 'sink' ? sinkStore() : memoryStore();
const waiting = { random: seededRandom(1), clock: { sleep: (ms: number) => sleep(ms) } };
const client = values.store === 'slow' ? faultyCalls(inner, DELAYS, waiting) : inner;
await client.buckets.create({ bucket: 'drive' });
const drive = await mount({
  client,
  bucket: 'drive',
  directory: values.directory!,
  ...JSON.parse(values.options),
  onEvent: (event) => print('error' in event ? { ...event, error: String(event.error) } : event)
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void drive.close());
print({ ready: true });
await drive.ended;
const unstored = await drive.close();
const { objects } = await client.objects.list({ bucket: 'drive', maxKeys: 10 });
const contents: Record<string, string> = {};
for (const { key } of objects) {
  const { body } = await client.objects.read({ bucket: 'drive', key, offset: 0, length: 100 });
  contents[key] = Buffer.from(body).toString();
}
print({ type: 'closed', unstored, contents });

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
