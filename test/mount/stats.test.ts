import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { whyNoLinuxDriver } from '@stampede/fs-mount';
import t from 'tap';
import { COMMAND, scratch, startStore, withoutFuse } from '../support/store-process.js';

/* `stampede stats` and `stampede warmup` on a real drive. */

const run = promisify(execFile);
const command = async (...words: readonly string[]): Promise<string> =>
  (await run(process.execPath, [COMMAND, ...words])).stdout;

t.test(
  'what a drive does is shown, and files are read into its caches',
  { skip: withoutFuse() },
  async (t) => {
    using folder = scratch();
    const drive = join(folder.path, 'drive');
    await using _store = await startStore({ data: join(folder.path, 'data'), mount: drive });
    await run('mkdir', [join(drive, 'tree')]);
    for (let number = 0; number < 20; number++)
      await run('dd', [
        'if=/dev/zero',
        `of=${join(drive, 'tree', `f${number}`)}`,
        'bs=10000',
        'count=5',
        'status=none'
      ]);
    const samples = JSON.parse(await command('stats', drive, '--once', '--json')) as Record<string, number>;
    t.ok(samples['operations_total{operation="create"}']! >= 20);
    t.equal(samples['written_bytes_total'], 1_000_000);
    t.match(await command('stats', drive, '--once'), /open files +\d+[\s\S]*process memory +[\d.]+ MiB/);
    t.same(JSON.parse(await command('warmup', join(drive, 'tree'), '--json')), {
      files: 20,
      bytes: 1_000_000,
      failed: 0
    });
    const after = JSON.parse(await command('stats', drive, '--once', '--json')) as Record<string, number>;
    t.ok(
      after['read_bytes_total']! - samples['read_bytes_total']! >= 1_000_000,
      'past the pages of the kernel'
    );
    // Without a disk cache there is nothing that the kernel could read by itself.
    if (whyNoLinuxDriver() === undefined) {
      t.ok(after['opens_total{outcome="off"}']! >= 20);
      t.match(await command('stats', drive, '--once'), /opened so far: off +\d+/);
    }
    t.equal(await command('warmup', join(drive, 'tree/f1')), '1 files, 48.8 KiB\n');
  }
);

t.test('what is no drive, or cannot be read, is said', async (t) => {
  using folder = scratch();
  mkdirSync(join(folder.path, 'plain'));
  writeFileSync(join(folder.path, 'plain', 'file'), 'x');
  await t.rejects(command('stats', join(folder.path, 'plain')), {
    code: 1,
    stderr: /cannot be read \(ENOENT\)/
  });
  await t.rejects(command('warmup', join(folder.path, 'nothing')), {
    code: 1,
    stderr: /1 could not be read/
  });
  await t.rejects(command('warmup'), { code: 2 });
  rmSync(join(folder.path, 'plain'), { recursive: true });
});
