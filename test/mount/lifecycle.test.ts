import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DRIVER_NAMES } from '@stampede/fs-mount';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';

/* How a drive begins and ends, whoever ends it. */

const run = promisify(execFile);
for (const driver of DRIVER_NAMES) {
  const TEST = { skip: withoutDrive('memory', driver), timeout: 60_000 };

  t.test(`${driver}: SIGTERM stores what was written, unmounts and ends with 0`, TEST, async (t) => {
    using folder = scratch();
    const drive = await startDrive({ driver, store: 'memory', folder: folder.path });
    await shell(drive, 'echo closed > closed');
    t.equal(await drive.end('SIGTERM'), 0);
    t.notOk(await isMounted(drive.directory));
    t.same(closing(drive), { unstored: [], contents: { closed: 'closed\n' } });
  });

  t.test(
    `${driver}: a program that holds a file open does not keep the drive from ending`,
    TEST,
    async (t) => {
      using folder = scratch();
      const drive = await startDrive({ driver, store: 'memory', folder: folder.path });
      const holder = await hold(drive, 'exec 3> open; echo written >&3');
      t.equal(await drive.end('SIGTERM'), 0);
      holder.kill('SIGKILL');
      t.notOk(await isMounted(drive.directory));
      t.same(closing(drive), { unstored: [], contents: { open: 'written\n' } });
    }
  );

  t.test(`${driver}: a drive that somebody else unmounts stores what it has and ends`, TEST, async (t) => {
    using folder = scratch();
    const drive = await startDrive({ driver, store: 'memory', folder: folder.path });
    const holder = await hold(drive, 'exec 3> open; echo written >&3');
    const ended = new Promise((resolve) => drive.process.once('exit', resolve));
    await run('umount', ['-l', drive.directory]);
    t.equal(await ended, 0);
    holder.kill('SIGKILL');
    t.ok(drive.events.some((event) => event.type === 'unmounted'));
    t.same(closing(drive), { unstored: [], contents: { open: 'written\n' } });
  });

  t.test(`${driver}: what a killed drive leaves behind is cleared by the next one`, TEST, async (t) => {
    using folder = scratch();
    const first = await startDrive({ driver, store: 'memory', folder: folder.path });
    await first.end('SIGKILL');
    t.ok(await isMounted(first.directory));
    await t.rejects(run('ls', [first.directory]), { message: /not connected/ });
    await using second = await startDrive({ driver, store: 'memory', folder: folder.path });
    await shell(second, 'echo again > f; cat f');
  });

  t.test(`${driver}: a directory that shows a drive already is not mounted on`, TEST, async (t) => {
    using folder = scratch();
    await using first = await startDrive({ driver, store: 'memory', folder: folder.path });
    await shell(first, 'echo kept > f');
    await t.rejects(startDrive({ driver, store: 'memory', folder: folder.path }), {
      message: /is a mount already/
    });
    t.equal(await shell(first, 'cat f'), 'kept\n');
  });

  t.test(`${driver}: a drive shows under a path with blanks and commas`, TEST, async (t) => {
    using folder = scratch();
    const path = join(folder.path, 'my drive, (new)');
    const drive = await startDrive({ driver, store: 'memory', folder: path });
    t.equal(await shell(drive, 'echo here > f; cat f'), 'here\n');
    t.equal(await drive.end(), 0);
    t.notOk(await isMounted(drive.directory));
  });

  t.test(`${driver}: a drive below symbolic links stays, and is found again`, TEST, async (t) => {
    using folder = scratch();
    const real = join(folder.path, 'real');
    mkdirSync(join(real, 'drive'), { recursive: true });
    symlinkSync(real, join(folder.path, 'above'));
    const throughParent = await startDrive({ driver, store: 'memory', folder: join(folder.path, 'above') });
    t.equal(await shell(throughParent, 'echo here > f; cat f'), 'here\n');
    t.notOk(throughParent.events.some((event) => event.type === 'unmounted'));
    await throughParent.end('SIGKILL');
    mkdirSync(join(folder.path, 'other'));
    symlinkSync(join(real, 'drive'), join(folder.path, 'other', 'drive'));
    const throughLink = await startDrive({ driver, store: 'memory', folder: join(folder.path, 'other') });
    t.equal(await shell(throughLink, 'echo there > f; cat f'), 'there\n');
    t.notOk(throughLink.events.some((event) => event.type === 'unmounted'));
    t.equal(await throughLink.end(), 0);
    t.notOk(await isMounted(join(real, 'drive')));
  });

  t.test(`${driver}: a mount point that is no empty directory is refused by name`, TEST, async (t) => {
    using folder = scratch();
    const path = join(folder.path, 'drive');
    writeFileSync(path, 'x');
    await t.rejects(startDrive({ driver, store: 'memory', folder: folder.path }), {
      message: /drive is no directory/
    });
    unlinkSync(path);
    mkdirSync(path);
    writeFileSync(join(path, 'mine'), 'x');
    await t.rejects(startDrive({ driver, store: 'memory', folder: folder.path }), {
      message: /has files in it/
    });
    t.same(readdirSync(path), ['mine']);
  });

  t.test(`${driver}: a read-only drive refuses every change`, TEST, async (t) => {
    using folder = scratch();
    await using drive = await startDrive({
      driver,
      store: 'memory',
      folder: folder.path,
      mount: { readOnly: true }
    });
    for (const script of ['echo x > f', 'mkdir d', 'ln -s a b'])
      await t.rejects(shell(drive, script), { message: /Read-only file system/ });
  });

  t.test(`${driver}: a drive of a prefix keeps its files under it`, TEST, async (t) => {
    using folder = scratch();
    const drive = await startDrive({
      driver,
      store: 'memory',
      folder: folder.path,
      mount: { prefix: 'team/a' }
    });
    await shell(drive, 'mkdir d; echo x > d/f; test "$(ls)" = d');
    await drive.end();
    t.same(Object.keys(closing(drive).contents), ['team/a/d/', 'team/a/d/f']);
  });

  t.test(`${driver}: hard links are refused, and df, getfattr and stat answer`, TEST, async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ driver, store: 'memory', folder: folder.path });
    await t.rejects(shell(drive, 'echo x > f; ln f g'), { message: /Operation not permitted/ });
    t.match(await shell(drive, 'df -P . | tail -1'), /^stampede:drive\/ +\d+ +\d+ +\d+ +0% /);
    t.match(await shell(drive, 'stat -f -c "%l %T" .'), /^255 fuse/);
  });
}

async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', script], { cwd: drive.directory })).stdout;
}

/** Runs a script that keeps what it opened until it is killed. */
async function hold(drive: DriveProcess, script: string): Promise<ChildProcess> {
  const holder = spawn('bash', ['-euc', `${script}; echo held; read`], {
    cwd: drive.directory,
    stdio: ['pipe', 'pipe', 'inherit']
  });
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  return holder;
}

async function isMounted(directory: string): Promise<boolean> {
  const { stdout } = await run('cat', ['/proc/self/mountinfo']);
  return stdout.includes(` ${directory.replaceAll(' ', '\\040')} `);
}

/** What the drive said when it was closed. */
function closing(drive: DriveProcess): { unstored: unknown; contents: Record<string, string> } {
  const { unstored, contents } = drive.events.find((event) => event.type === 'closed')!;
  return { unstored, contents: contents as Record<string, string> };
}
