import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { ROOT, scratch } from '../support/store-process.js';

/*
 * Random reads and writes of one file through the mount, beside a local file. Small files are single calls at each commit;
 * large ones pass through uploads, and what is read of them comes from versions, uploads and memory at once.
 */

const run = promisify(execFile);
const OPERATION_COUNT = Number(process.env['FSX_OPERATIONS'] ?? 100_000);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const KIB = 1024;
const MIB = 1024 * KIB;

const RUNS = [
  { name: 'a small file', sizeBytes: 256 * KIB, operationCount: OPERATION_COUNT },
  { name: 'a file of several blocks', sizeBytes: 24 * MIB, operationCount: Math.ceil(OPERATION_COUNT / 100) }
] as const;

for (const { driver, store } of DRIVES)
  for (const { name, sizeBytes, operationCount } of RUNS)
    t.test(
      `${operationCount} random operations on ${name} of ${driver} over ${store} do what they do on a local disk`,
      { skip: withoutDrive(store, driver), timeout: 900_000 },
      async (t) => {
        t.comment(`seed ${SEED}: SEED=${SEED} FSX_OPERATIONS=${OPERATION_COUNT}`);
        using folder = scratch();
        await using drive = await startDrive({ store, driver, folder: folder.path });
        const program = join(ROOT, 'test/support/fsx-program.ts');
        const { stdout } = await run(
          process.execPath,
          [
            '--import=tsx',
            '--conditions=stampede-source',
            program,
            '--drive',
            join(drive.directory, 'file'),
            '--local',
            join(folder.path, 'file'),
            '--seed',
            String(SEED),
            '--operations',
            String(operationCount),
            '--size',
            String(sizeBytes)
          ],
          { cwd: ROOT }
        ).catch((error: Error & { stderr?: string }) => ({ stdout: error.stderr ?? String(error) }));
        t.equal(stdout, `${operationCount} operations with seed ${SEED}: no difference\n`);
        t.same(
          drive.events.filter((event) => event.type !== 'watchLive'),
          [],
          'no event of the mount'
        );
      }
    );
