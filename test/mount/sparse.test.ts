import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';

/* Holes take no space and are found; copies move no bytes. Shown by what the store's folder takes. */

const run = promisify(execFile);
const MIB = 1024 * 1024;
const TEST = { skip: withoutDrive('stamp', 'linux'), timeout: 120_000 };

t.test('a file of holes takes no space, and its holes are found', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  const before = await storedBytes(folder.path);
  await python(
    drive,
    `
with open('sparse', 'wb') as f:
    f.truncate(1 << 40)
    for at in (4096, 1 << 30, (1 << 40) - 5): f.seek(at); f.write(b'bytes')`
  );
  t.equal(await extentsOf(drive, 'sparse'), '4096+5 1073741824+5 1099511627771+5');
  t.equal(
    await shell(
      drive,
      'stat -c %s sparse; cmp -n 9000 sparse <(head -c 4096 /dev/zero; printf bytes; head -c 4899 /dev/zero)'
    ),
    '1099511627776\n'
  );
  t.ok((await storedBytes(folder.path)) - before < 8 * MIB);
});

t.test('punched and zeroed ranges are holes and give their space back', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  await shell(drive, 'head -c 24M /dev/urandom > f; cp f ../plain');
  for (const [options, name] of [
    ['-p -o 1M -l 2M', 'punched'],
    ['-z -o 5000001 -l 4000001', 'zeroed, at odd places'],
    ['-z -n -o 23M -l 8M', 'zeroed over the end, which stays'],
    ['-p -o 20M -l 100', 'a hole of few bytes'],
    ['-l 30M', 'longer'],
    ['-n -l 40M', 'allocated behind the end, which stays'],
    ['-z -o 29M -l 3M', 'zeroed over the end, which moves']
  ]) {
    for (const file of ['f', '../plain']) await shell(drive, `fallocate ${options} ${file}`);
    await shell(drive, 'cmp f ../plain');
    t.pass(String(name));
  }
  t.equal(await shell(drive, 'stat -c %s f'), `${32 * MIB}\n`);
  t.equal(
    await extentsOf(drive, 'f'),
    `0+${MIB} ${3 * MIB}+${5000001 - 3 * MIB} 9000002+${23 * MIB - 9000002}`,
    'all but the few bytes'
  );
});

t.test('ranges are neither collapsed nor inserted', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  await shell(drive, 'head -c 1M /dev/urandom > f; cp f ../plain');
  for (const option of ['-c', '-i'])
    await t.rejects(shell(drive, `fallocate ${option} -o 64K -l 64K f`), { message: /not supported/i });
  await shell(drive, 'cmp f ../plain');
});

t.test('a copy of a file moves no bytes, and is its own', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  await shell(drive, 'head -c 96M /dev/urandom > ../plain; cp ../plain f; sync f');
  const before = await storedBytes(folder.path);
  await shell(drive, 'cp f g; cp --reflink=auto f h; cp -p f i');
  t.ok((await storedBytes(folder.path)) - before < 32 * MIB, 'three copies');
  await shell(drive, 'cmp f ../plain; cmp g ../plain; cmp h ../plain; rm f h; cmp g ../plain');
  await shell(drive, 'printf changed | dd of=g bs=1 seek=1000000 conv=notrunc status=none; cmp i ../plain');
  await shell(
    drive,
    'printf changed | dd of=../plain bs=1 seek=1000000 conv=notrunc status=none; cmp g ../plain'
  );
});

t.test('ranges are copied within a file and between files that are being written', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  const script = `
import os, random
random.seed(7)
expected = {'a': bytearray(random.randbytes(12 << 20)), 'b': bytearray(random.randbytes(9 << 20))}
fds = {name: os.open(name, os.O_RDWR | os.O_CREAT) for name in expected}
for name, content in expected.items(): os.write(fds[name], content)
for step in range(60):
    source, target = random.choice('ab'), random.choice('ab')
    length = random.choice((100, 70000, 1 << 20, 3 << 20)) + random.randrange(5000)
    at, to = random.randrange(8 << 20), random.randrange(16 << 20)
    if source == target and at < to + length and to < at + length: continue
    done = os.copy_file_range(fds[source], fds[target], length, at, to)
    assert done > 0
    part = bytes(expected[source][at:at + done])
    content = expected[target]
    if len(content) < to: content.extend(bytes(to - len(content)))
    content[to:to + done] = part
    where = random.randrange(len(expected[source]) - 9)
    if step % 3 == 0:
        os.pwrite(fds[source], b'dirty too', where)
        expected[source][where:where + 9] = b'dirty too'
    if step % 7 == 0: os.fsync(fds[target])
    name = random.choice('ab')
    assert os.pread(fds[name], 1 << 25, 0) == bytes(expected[name]), (step, name)
for name in expected:
    os.close(fds[name])
    assert open(name, 'rb').read() == bytes(expected[name])
print('same')`;
  t.equal(await python(drive, script), 'same\n');
});

t.test('bytes that a mapping has written are no hole', TEST, async (t) => {
  using folder = scratch();
  await using drive = await startDrive({ store: 'stamp', driver: 'linux', folder: folder.path });
  const script = `
import mmap, os, subprocess
f = os.open('f', os.O_RDWR | os.O_CREAT)
os.truncate(f, 64 << 20)
os.fsync(f)
view = mmap.mmap(f, 64 << 20)
os.close(f)
view[40 << 20:(40 << 20) + 6] = b'mapped'
f, at = os.open('f', os.O_RDONLY), 40 << 20
print(os.lseek(f, 0, os.SEEK_DATA) - at, os.lseek(f, at, os.SEEK_HOLE) - at == mmap.PAGESIZE)
view[50 << 20] = 1
print(os.lseek(f, 45 << 20, os.SEEK_DATA) == 50 << 20)
subprocess.run(['cp', '--sparse=always', 'f', '../copy'], check=True)
print(open('../copy', 'rb').read()[40 << 20:(40 << 20) + 6])`;
  t.equal(await python(drive, script), "0 True\nTrue\nb'mapped'\n");
});

/** As `offset+length` of each stretch of bytes. */
async function extentsOf(drive: DriveProcess, name: string): Promise<string> {
  const script = `
import os
f, at, found = os.open('${name}', os.O_RDONLY), 0, []
while True:
    try: at = os.lseek(f, at, os.SEEK_DATA)
    except OSError as error:
        assert error.errno == 6
        break
    end = os.lseek(f, at, os.SEEK_HOLE)
    found.append(f'{at}+{end - at}')
    at = end
print(*found, end='')`;
  return python(drive, script);
}

async function storedBytes(folder: string): Promise<number> {
  return Number((await run('du', ['-s', '-B1', join(folder, 'data')])).stdout.split('\t')[0]);
}

async function python(drive: DriveProcess, script: string): Promise<string> {
  return (await run('python3', ['-c', script], { cwd: drive.directory })).stdout;
}

async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', script], { cwd: drive.directory })).stdout;
}
