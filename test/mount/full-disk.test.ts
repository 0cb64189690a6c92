import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';

/* A store with its drive on a disk that is too small: a file system in memory, which only root can mount. */

const run = promisify(execFile);
const DISK_MIB = 192;
const FILE_MIB = 8;
const TEST = {
  skip: withoutDrive('stamp') || (process.getuid?.() !== 0 && 'only root can mount a disk'),
  timeout: 120_000
};

async function smallDisk(directory: string): Promise<AsyncDisposable> {
  mkdirSync(directory);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'stampede-test', directory]);
  return { [Symbol.asyncDispose]: async () => void (await run('umount', [directory])) };
}

/** What a script in the drive prints. */
async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', script], { cwd: drive.directory })).stdout.trim();
}

/** Writes files until one is refused; how many there are. */
const FILL = `
  count=0
  while dd if=/dev/urandom of=file-$count bs=1M count=${FILE_MIB} conv=fsync 2>/dev/null
  do count=$((count + 1)); done
  rm -f file-$count
  echo $count`;

/** Tries to write a file for a minute. */
const WRITE_AGAIN = `
  for try in $(seq 120); do
    if dd if=/dev/zero of=again bs=1M count=32 conv=fsync 2>/dev/null; then echo written; exit; fi
    sleep 0.5
  done`;

t.test(
  'files can be removed from a drive that is full, also after a restart, and written again',
  TEST,
  async (t) => {
    using folder = scratch();
    await using _disk = await smallDisk(join(folder.path, 'disk'));
    const options = { store: 'stamp' as const, folder: join(folder.path, 'disk', 'store') };
    let drive = await startDrive(options);
    try {
      const count = Number(await shell(drive, FILL));
      t.ok(count * FILE_MIB > DISK_MIB / 2, `${count} files`);
      const sum = await shell(drive, 'md5sum file-0');
      await drive.end('SIGKILL');
      drive = await startDrive(options);
      await t.rejects(shell(drive, 'dd if=/dev/zero of=again bs=1M count=32 conv=fsync'), {
        message: /No space left/
      });
      await shell(drive, `rm again; for number in $(seq 1 ${count - 1}); do rm file-$number; done`);
      t.equal(await shell(drive, WRITE_AGAIN), 'written');
      t.equal(await shell(drive, 'md5sum file-0'), sum, 'what was kept is as it was');
    } finally {
      await drive.end();
    }
  }
);

t.test(
  'a store on a disk that something else fills to the last byte goes on when there is space',
  TEST,
  async (t) => {
    using folder = scratch();
    const directory = join(folder.path, 'disk');
    await using _disk = await smallDisk(directory);
    await using drive = await startDrive({ store: 'stamp', folder: join(directory, 'store') });
    await shell(drive, 'echo kept > kept; sync kept');
    const filler = join(directory, 'filler');
    await run('bash', ['-c', `cat /dev/zero > ${filler} 2>/dev/null || true`]);
    // Long enough for the index and the tables to meet it, too.
    for (let number = 0; number < 8; number++)
      await shell(drive, `mkdir d${number} && echo x > d${number}/f && sync d${number}/f || true`);
    await t.rejects(shell(drive, 'dd if=/dev/zero of=refused bs=1M count=32 conv=fsync'));
    await run('rm', [filler]);
    t.equal(await shell(drive, WRITE_AGAIN), 'written');
    t.equal(await shell(drive, 'cat kept'), 'kept');
  }
);
