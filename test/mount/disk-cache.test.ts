import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { crc32c } from '@stampede/client';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { COMMAND, scratch } from '../support/store-process.js';

/* What was read comes from the disk the next time, and is never anything but what is stored. */

const run = promisify(execFile);
const TEST = { skip: withoutDrive('stamp', 'linux'), timeout: 60_000 };
const MIB = 1024 * 1024;

t.test('what was read comes from the disk, also after the next start', TEST, async (t) => {
  using folder = scratch();
  {
    await using drive = await start(folder.path);
    await shell(drive, 'echo stored > f');
  }
  {
    await using drive = await start(folder.path);
    t.equal(await shell(drive, 'cat f'), 'stored\n');
  }
  // Bytes that only the cache has, with the checksum they should have, show who answers.
  const [name] = cacheFiles(folder.path);
  const planted = Buffer.from('cached\n');
  writeFileSync(name!, planted);
  renameSync(name!, name!.replace(/[^.]*$/, crc32c(planted).toString(16).padStart(8, '0')));
  await using drive = await start(folder.path);
  t.equal(await shell(drive, 'cat f'), 'cached\n');
  await shell(drive, 'echo newer > f; sync f');
  t.equal(await shell(drive, 'cat f'), 'newer\n');
});

t.test('a damaged file is fetched anew', TEST, async (t) => {
  using folder = scratch();
  const before = join(folder.path, 'before');
  await run('dd', ['if=/dev/urandom', `of=${before}`, 'bs=1M', 'count=5']);
  {
    await using drive = await start(folder.path);
    await shell(drive, `cp ${before} f`);
  }
  for (const position of [0, 3 * MIB]) {
    {
      await using drive = await start(folder.path);
      t.equal(await shell(drive, `cmp ${before} f && echo same`), 'same\n');
    }
    const [name] = cacheFiles(folder.path);
    const bytes = readFileSync(name!);
    t.equal(bytes.length, 5 * MIB, 'all of it is there');
    bytes[position]! ^= 0x40;
    writeFileSync(name!, bytes);
  }
  await using drive = await start(folder.path);
  t.equal(await shell(drive, `cmp ${before} f && echo same`), 'same\n');
});

t.test('a version that others stored is read, not the one that is cached', TEST, async (t) => {
  using folder = scratch();
  await using drive = await start(folder.path);
  for (const text of ['one', 'two', 'two', 'three']) {
    const path = join(folder.path, 'local');
    writeFileSync(path, text);
    await run(process.execPath, [COMMAND, 'cp', path, 'st:drive/f', '--data', join(folder.path, 'data')]);
    while ((await shell(drive, 'cat f 2>/dev/null || true')) !== text);
  }
  await shell(drive, 'mv f g; cp g h');
  t.equal(await shell(drive, 'cat g h'), 'threethree');
});

t.test('a process that is killed leaves nothing that is read wrong', TEST, async (t) => {
  using folder = scratch();
  const before = join(folder.path, 'before');
  await run('dd', ['if=/dev/urandom', `of=${before}`, 'bs=1M', 'count=64']);
  {
    await using drive = await start(folder.path);
    await shell(drive, `cp ${before} f; for i in 1 2 3 4 5 6 7 8 9; do echo $i > s$i; done`);
  }
  for (let round = 0; round < 3; round++) {
    const drive = await start(folder.path);
    const reading = shell(drive, 'cat s?; cat f').catch(() => undefined);
    while (cacheFiles(folder.path).length < 3 * (round + 1)) await setTimeout(1);
    await drive.end('SIGKILL');
    await reading;
  }
  await using drive = await start(folder.path);
  t.equal(await shell(drive, `cmp ${before} f; cat s?`), '1\n2\n3\n4\n5\n6\n7\n8\n9\n');
});

t.test('a folder that another mount has, or that lies in the drive, is refused', TEST, async (t) => {
  using folder = scratch();
  const cacheDirectory = join(folder.path, 'cache');
  const options = { driver: 'linux', store: 'memory', cacheDirectory } as const;
  const first = await startDrive({ ...options, folder: join(folder.path, 'first') });
  const second = { ...options, folder: join(folder.path, 'second') };
  await t.rejects(startDrive(second), { message: /is the disk cache of another mount/ });
  await first.end('SIGKILL');
  await run('umount', [first.directory]);
  await using drive = await startDrive(second);
  await shell(drive, 'echo x > f; cat f');
  const inside = join(folder.path, 'third/drive/cache');
  await t.rejects(startDrive({ ...options, folder: join(folder.path, 'third'), cacheDirectory: inside }), {
    message: /cacheDirectory is not in the mounted directory/
  });
});

function start(folder: string): Promise<DriveProcess> {
  return startDrive({ store: 'stamp', driver: 'linux', folder, cacheDirectory: join(folder, 'cache') });
}

/** Files with bytes in them. */
function cacheFiles(folder: string): string[] {
  const files = readdirSync(join(folder, 'cache'), { recursive: true, withFileTypes: true });
  return files
    .filter((file) => file.isFile() && /^[0-9a-f]{32}/.test(file.name) && !file.name.endsWith('.sums'))
    .map((file) => join(file.parentPath, file.name));
}

async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', `umask 022; ${script}`], { cwd: drive.directory })).stdout;
}
