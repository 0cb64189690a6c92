import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { ROOT, scratch } from '../support/store-process.js';

/* What the process that serves a drive holds in memory, however much passes through it. */

const run = promisify(execFile);
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const COPY_BYTES = Number(process.env['COPY_GIB'] ?? 4) * GIB;
const ENTRY_COUNT = Number(process.env['ENTRIES'] ?? 20_000);
const RESIDENT_BYTES_MAX = 600 * MIB;

for (const store of ['sink', 'stamp'] as const)
  t.test(
    `a drive over ${store} stays below 600 MiB`,
    { skip: withoutDrive(store), timeout: 900_000 },
    async (t) => {
      using folder = scratch();
      // As the command does.
      const nodeArguments = ['--heap-growing-percent=50'];
      await using drive = await startDrive({ store, folder: folder.path, nodeArguments });
      const file = join(drive.directory, 'large');

      await t.test(`while ${COPY_BYTES / GIB} GiB are copied in and out`, async (t) => {
        await pattern('write', file, COPY_BYTES);
        await pattern('check', file, COPY_BYTES);
        assertResident(t, drive);
      });

      await t.test('while several large files are written and read at the same time', async (t) => {
        const files = Array.from({ length: 6 }, (_, index) => join(drive.directory, `large-${index}`));
        await Promise.all(files.map((one) => pattern('write', one, COPY_BYTES / 16)));
        await Promise.all(files.map((one) => pattern('check', one, COPY_BYTES / 16)));
        assertResident(t, drive);
      });

      await t.test(`while ${ENTRY_COUNT} entries are made, listed and removed`, async (t) => {
        const script = `mkdir many; cd many; seq 1 ${ENTRY_COUNT} | xargs touch; ls -l | wc -l; find . -type f | wc -l; cd ..; rm -r many`;
        const { stdout } = await run('bash', ['-euc', script], { cwd: drive.directory });
        t.equal(stdout, `${ENTRY_COUNT + 1}\n${ENTRY_COUNT}\n`);
        assertResident(t, drive);
      });
    }
  );

async function pattern(verb: 'write' | 'check', file: string, bytes: number): Promise<void> {
  const program = join(ROOT, 'test/support/pattern-program.ts');
  const node = ['--import=tsx', '--conditions=stampede-source', program, verb, file, String(bytes)];
  await run(process.execPath, node, { cwd: ROOT });
}

function assertResident(t: { ok(value: boolean, message: string): void }, drive: DriveProcess): void {
  const { peak } = drive.residentBytes();
  t.ok(peak < RESIDENT_BYTES_MAX, `${Math.round(peak / MIB)} MiB at most`);
}
