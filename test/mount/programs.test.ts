import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { missingOf } from '../support/needs.js';
import { ROOT, scratch } from '../support/store-process.js';
import { PROGRAM_SCRIPTS } from './program-scripts.js';

/*
 * Programs people use, on the drive and on a plain folder: what they print must be the same. Whatever a script that fails
 * says is part of that.
 */

const run = promisify(execFile);

for (const { driver, store } of DRIVES)
  t.test(
    `programs do on a drive of ${driver} over ${store} what they do on a plain folder`,
    { skip: withoutDrive(store, driver), timeout: 600_000 },
    async (t) => {
      using folder = scratch();
      const plain = join(folder.path, 'plain');
      mkdirSync(plain);
      await using drive = await startDrive({ store, driver, folder: folder.path });
      for (const [index, { name, script, needs }] of PROGRAM_SCRIPTS.entries()) {
        const skip = await missingOf(needs === undefined ? [] : [needs]);
        await t.test(name, { skip }, async (t) => {
          const onDrive = await outputOf(join(drive.directory, `case-${index}`), script);
          const onPlain = await outputOf(join(plain, `case-${index}`), script);
          t.notMatch(onPlain, /^Command failed/, 'the script works at all');
          t.equal(onDrive, onPlain);
        });
      }

      await t.test('a tree of several thousand files is the same after copying in', async (t) => {
        const source = join(ROOT, 'node_modules/zod');
        await run('cp', ['-r', source, join(drive.directory, 'tree')]);
        t.equal((await run('diff', ['-r', source, join(drive.directory, 'tree')])).stdout, '');
      });
      t.same(
        drive.events.filter((event) => event.type !== 'watchLive'),
        [],
        'no event of the mount'
      );
    }
  );

async function outputOf(directory: string, script: string): Promise<string> {
  const { stdout } = await run('bash', ['-euc', `mkdir -p "$0"; cd "$0"; umask 022; ${script}`, directory], {
    maxBuffer: 1 << 26,
    timeout: 120_000
  }).catch((error: Error & { stderr?: string; stdout?: string }) => {
    return { stdout: `${error.message}\n${error.stdout ?? ''}\n${error.stderr ?? ''}` };
  });
  return stdout.replaceAll(directory, 'DIR');
}
