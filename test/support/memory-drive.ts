import { parseArgs } from 'node:util';
import { memoryStore } from '@stampede/client/testing';
import { mount } from '@stampede/fs-mount';

/*
 * A drive on a store in this process's memory, for tests of the drive alone; the process that serves a mount never
 * touches it itself. Prints a JSON line `{"ready":true}`, then one for each event of the mount. SIGTERM unmounts.
 *
 *   node memory-drive.js --directory PATH [--store memory|sink] [--options JSON]
 */

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    store: { type: 'string', default: 'memory' },
    options: { type: 'string', default: '{}' }
  }
});
const client = memoryStore();
await client.buckets.create({ bucket: 'drive' });
const drive = await mount({
  client,
  bucket: 'drive',
  directory: values.directory!,
  ...JSON.parse(values.options),
  onEvent: (event) => print('error' in event ? { ...event, error: String(event.error) } : event)
});
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => void drive.close().then((unstored) => print({ type: 'closed', unstored })));
print({ ready: true });
await drive.ended;
await drive.close();

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
