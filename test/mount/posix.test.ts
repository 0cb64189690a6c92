import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DRIVER_NAMES } from '@stampede/fs-mount';
import t from 'tap';
import { startDrive, withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';
import { POSIX_SCRIPTS, PRELUDE } from './posix-scripts.js';

/* Every row of the drive's semantics as a program, which a local disk must answer in the same way. */

const run = promisify(execFile);

/** Where this drive says no, and a local disk may not: nameless files, exchanged directories, hard links. */
const REFUSALS = `
told(lambda: os.open('.', os.O_TMPFILE | os.O_RDWR))
os.mkdir('a'); os.mkdir('b')
print(libc.renameat2(-100, b'a', -100, b'b', 2), errno.errorcode[ctypes.get_errno()])
put('f'); told(lambda: os.link('f', 'g'))`;

for (const driver of DRIVER_NAMES)
  t.test(
    `${driver}: system calls answer as on a local disk`,
    { skip: withoutDrive('memory', driver) || withoutRights(), timeout: 120_000 },
    async (t) => {
      using folder = scratch();
      chmodSync(folder.path, 0o755);
      await using drive = await startDrive({
        store: 'memory',
        driver,
        folder: folder.path,
        mount: { allowOther: true }
      });
      for (const [index, { name, script, linuxOnly }] of POSIX_SCRIPTS.entries()) {
        if (linuxOnly && driver !== 'linux') continue;
        const onDrive = await answersOf(join(drive.directory, `case-${index}`), script);
        const onDisk = await answersOf(join(folder.path, `case-${index}`), script);
        t.notMatch(onDisk, /Traceback/, `${name}: the script works at all`);
        t.equal(onDrive, onDisk, name);
      }
      if (driver === 'linux')
        t.equal(await answersOf(drive.directory, REFUSALS), 'ENOTSUP\n-1 EINVAL\nEPERM\n');
      t.same(
        drive.events.filter(({ type }) => type === 'bug'),
        []
      );
    }
  );

async function answersOf(directory: string, script: string): Promise<string> {
  const options = { cwd: directory, timeout: 60_000 };
  await run('mkdir', ['-p', directory]);
  const ran = run('python3', ['-c', PRELUDE + script], options);
  const { stdout } = await ran.catch((error: Error & { stdout?: string }) => ({
    stdout: `${error.stdout ?? ''}${error.message}`
  }));
  return stdout;
}

function withoutRights(): string | false {
  return process.getuid?.() === 0 ? false : 'only root can become somebody else';
}
