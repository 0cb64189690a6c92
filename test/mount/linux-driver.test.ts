import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { COMMAND, scratch } from '../support/store-process.js';

/* What the Linux driver can and fuse-native cannot, and what the kernel remembers of files that others change. */

const run = promisify(execFile);
const TEST = { skip: withoutDrive('memory', 'linux'), timeout: 60_000 };

t.test('times have nanoseconds, and one of the two is set alone', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  const set = 'touch -d "2001-02-03 04:05:06.123456789 UTC" f; touch -m -d "1969-12-31 23:59:58.5 UTC" f';
  await shell(drive, `echo x > f; ${set}`);
  t.equal(await shell(drive, 'stat -c "%.9X %.9Y" f'), '981173106.123456789 -1.500000000\n');
  await shell(drive, 'touch -a -d "2002-01-01 UTC" f; cp -p f g; tar cf t f; rm f; tar xf t');
  for (const name of ['f', 'g'])
    t.equal(await shell(drive, `stat -c %.9Y ${name}`), name === 'g' ? '-1.500000000\n' : '-2.000000000\n');
  await shell(drive, 'touch -d "2003-04-05 06:07:08.987654321 UTC" h; mkdir o; cp -a h o; rsync -a h o/r');
  t.equal(await shell(drive, 'stat -c %.9Y o/h o/r'), '1049522828.987654321\n1049522828.987654321\n');
});

t.test('files are exchanged in one step, also while they are open', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  const script = `python3 - <<'END'
import ctypes, os
os.mkdir('d'); open('a', 'w').write('one'); open('d/b', 'w').write('two')
held = open('a')
libc = ctypes.CDLL(None, use_errno=True)
print(libc.renameat2(-100, b'a', -100, b'd/b', 2))
print(open('a').read(), open('d/b').read(), held.read())
print(libc.renameat2(-100, b'a', -100, b'none', 2), ctypes.get_errno())
print(libc.renameat2(-100, b'a', -100, b'd/b', 1), ctypes.get_errno())
END`;
  t.equal(await shell(drive, script), '0\ntwo one one\n-1 2\n-1 17\n');
});

t.test(
  'who comes late to a file that was replaced opens what is there by then, if he may',
  TEST,
  async (t) => {
    if (process.getuid?.() !== 0) return t.comment('only root can become somebody else');
    using folder = scratch();
    await run('chmod', ['755', folder.path]);
    await using drive = await startDrive({
      store: 'memory',
      driver: 'linux',
      folder: folder.path,
      mount: { allowOther: true }
    });
    const script = `python3 - <<'END'
import os, subprocess
def late(replace, user=0):
    with open('f', 'w') as f: f.write('old')
    os.chmod('f', 0o644)
    # The kernel holds the old file's number, as one who has looked the name up and has not opened it yet.
    fd = os.open('f', os.O_PATH)
    replace('new')
    os.rename('new', 'f')
    command = ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', 'cat', f'/proc/self/fd/{fd}']
    done = subprocess.run(command, pass_fds=[fd], capture_output=True)
    os.close(fd)
    said = done.stdout.decode() or done.stderr.decode().strip().split(': ')[-1]
    print(said, '|', oct(os.lstat('f').st_mode))
    os.unlink('f')
def file(mode):
    def make(name):
        with open(name, 'w') as f: f.write('other')
        os.chmod(name, mode)
    return make
late(file(0o644)); late(file(0o644), 1234)
late(file(0o600)); late(file(0o600), 1234)
late(lambda name: os.symlink('x', name)); late(os.mkfifo)
END`;
    t.same((await shell(drive, script)).trim().split('\n'), [
      'other | 0o100644',
      'other | 0o100644',
      'other | 0o100600',
      'Stale file handle | 0o100600',
      'Stale file handle | 0o120777',
      'Stale file handle | 0o10644'
    ]);
  }
);

t.test('a file is created exclusively once', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  const script = 'for i in 1 2 3 4 5 6 7 8; do (set -C; echo $i > f) 2>/dev/null && echo won & done; wait';
  t.equal(await shell(drive, script), 'won\n');
});

t.test('a new file belongs to who made it, or to the group of its directory', TEST, async (t) => {
  if (process.getuid?.() !== 0) return t.comment('only root can become somebody else');
  using folder = scratch();
  await run('chmod', ['755', folder.path]);
  await using drive = await startDrive({
    store: 'memory',
    driver: 'linux',
    folder: folder.path,
    mount: { allowOther: true }
  });
  const other = 'setpriv --reuid=1234 --regid=1234 --clear-groups';
  await shell(drive, `mkdir d; chmod 777 d; mkdir g; chown 0:77 g; chmod 2777 g`);
  await shell(drive, `${other} sh -c 'echo x > d/f; echo x > g/f; mkdir g/s; ln -s x d/l'`);
  t.equal(await shell(drive, 'stat -c "%u:%g" d/f g/f g/s d/l'), '1234:1234\n1234:77\n1234:77\n1234:1234\n');
  t.equal(await shell(drive, 'stat -c %a g/s'), '2755\n');
});

t.test('who writes to a program takes its set-user-id bit', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  await shell(drive, 'echo x > f; chmod 6755 f; chown 1234 f');
  t.equal(await shell(drive, 'stat -c %a f'), '755\n');
});

t.test('an open directory that is rewound shows what is there by now', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  const script = `
    opendir(D, ".") or die; print join(" ", sort grep !/^\\./, readdir D), ";";
    for (1, 2) { mkdir "d$_"; rewinddir D; print join(" ", sort grep !/^\\./, readdir D), ";" }`;
  t.equal(await shell(drive, `perl -e '${script}'`), ';d1;d1 d2;');
});

t.test('allocating space moves the time of a file, also where no byte changes', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'memory', driver: 'linux', folder: folder.path });
  const script =
    'echo x > f; touch -d "2001-01-01 UTC" f; fallocate -p -o 5000 -l 9 f; stat -c %Y f; stat -c %s f';
  t.notMatch(await shell(drive, script), /^978307200/);
});

t.test(
  'what others change is read by the next who opens it, whoever has it open here',
  { skip: withoutDrive('stamp', 'linux'), timeout: 60_000 },
  async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
    const replace = async (text: string) => {
      const path = join(folder.path, 'local');
      writeFileSync(path, text);
      const data = join(folder.path, 'data');
      await run(process.execPath, [COMMAND, 'cp', path, 'st:drive/f', '--data', data]);
    };
    await shell(drive, 'echo 1 > f; cat f');
    const held = await run('bash', ['-euc', 'exec 3< f; cat f; echo held; exec 3<&-'], {
      cwd: drive.directory
    });
    t.equal(held.stdout, '1\nheld\n');
    for (const text of ['2\n', '3\n']) {
      await shell(drive, 'cat f; exec 3< f; cat <&3');
      await replace(text);
      await eventually(async () => (await shell(drive, 'cat f')) === text);
    }
    // Held open across the change, so that the driver meets the new version while it has the old one.
    const program = `exec 3< f; cat <&3; read; until test "$(cat f)" = 4; do sleep 0.05; done; cat f`;
    const holder = execFile('bash', ['-euc', program], { cwd: drive.directory, timeout: 20_000 });
    const said: string[] = [];
    holder.stdout!.on('data', (text: string) => said.push(text));
    const ended = new Promise((resolve) => holder.once('close', resolve));
    await new Promise((resolve) => holder.stdout!.once('data', resolve));
    await replace('4\n');
    holder.stdin!.write('\n');
    t.equal(await ended, 0);
    t.equal(said.join(''), '3\n4\n');
  }
);

async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', `umask 022; ${script}`], { cwd: drive.directory })).stdout;
}

/** Waits for something that becomes true by itself; the test's own limit ends it otherwise. */
async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue()));
}
