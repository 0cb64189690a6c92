import { execFile } from 'node:child_process';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { COMMAND, ROOT, scratch } from '../support/store-process.js';

/*
 * Files that the kernel reads from the disk cache by itself, and what happens to who has one open when it is changed.
 * Whether it does is seen by changing the cache's file behind everybody's back: only a kernel that asks nobody shows that.
 */

const run = promisify(execFile);
const TEST = { skip: withoutPassthrough(), timeout: 60_000 };
const OPERATION_COUNT = Number(process.env['HANDLE_OPERATIONS'] ?? 3000);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const MIB = 1024 * 1024;

/** Of every script: a file of 1 MiB, in the disk cache, and a way to see whether a handle passes the kernel by. */
const PRELUDE = `
import glob, mmap, os, time
CACHE = os.environ['CACHE'] + '/stampede-cache-1/??/'
BYTES = bytes((i * 7) % 251 for i in range(1 << 20))
def cached():
    return [f for f in glob.glob(CACHE + '*') if '.' not in os.path.basename(f)]
def whole():
    return [f for f in glob.glob(CACHE + '*.*') if 'draft' not in f]
def make(name, content=BYTES):
    with open(name, 'wb') as f: f.write(content)
    warm(name)
def is_there(size):
    return any(os.path.getsize(f) == size and os.path.exists(f + '.sums') for f in cached())
def warm(name, again=False):
    # Past the kernel's cache, so that every byte passes the drive, which writes it down in the background.
    before = set(whole())
    fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
    room = mmap.mmap(-1, 2 << 20)
    while os.readv(fd, [room]) > 0: pass
    os.close(fd)
    for i in range(500):
        if set(whole()) - before or again and is_there(os.path.getsize(name)): return
        time.sleep(0.01)
def passes(fd, at=500000):
    files = [(f, os.open(f, os.O_RDWR)) for f in cached()]
    before = os.pread(fd, 1, at)
    for _, f in files: os.pwrite(f, b'\\xff', at)
    seen = os.pread(fd, 1, at) == b'\\xff'
    for _, f in files:
        os.pwrite(f, before, at)
        os.close(f)
    return seen
`;

t.test('a file that was read through is read by the kernel the next time', TEST, async (t) => {
  await using world = await start();
  const script = `
make('f')
a = os.open('f', os.O_RDONLY); b = os.open('f', os.O_RDONLY)
print(passes(a), passes(b), os.pread(a, 2 << 20, 0) == BYTES, len(os.pread(a, 100, (1 << 20) - 5)))
m = mmap.mmap(a, 0, prot=mmap.PROT_READ); print(m[:] == BYTES)
os.close(a); print(passes(b)); m.close(); os.close(b)
make('small', b'x' * 5000)
s = os.open('small', os.O_RDONLY); print(os.pread(s, 9000, 0) == b'x' * 5000)`;
  t.equal(await world.python(script), 'True True True 5\nTrue\nTrue\nTrue\n');
});

t.test('many who open it at once all pass the drive by', TEST, async (t) => {
  await using world = await start();
  const script = `
import threading
make('f')
for round in range(20):
    fds = []
    threads = [threading.Thread(target=lambda: fds.append(os.open('f', os.O_RDONLY))) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    if len(fds) != 8 or not all(passes(fd) for fd in fds): print('round', round)
    for fd in fds: os.close(fd)
print('done')`;
  t.equal(await world.python(script), 'done\n');
});

t.test('who reads it sees what others write, however they opened it', TEST, async (t) => {
  await using world = await start();
  const script = `
make('f')
a = os.open('f', os.O_RDONLY); print(passes(a))
m = mmap.mmap(a, 0, prot=mmap.PROT_READ)
w = os.open('f', os.O_WRONLY | os.O_APPEND); os.write(w, b'appended'); os.close(w)
print(os.pread(a, 100, 1 << 20), os.fstat(a).st_size - (1 << 20))
w = os.open('f', os.O_WRONLY); os.pwrite(w, b'WRITTEN', 10); print(os.pread(a, 7, 10), m[10:17])
r = os.open('f', os.O_RDWR); os.pwrite(r, b'BOTH', 20); print(os.pread(a, 4, 20), os.pread(r, 7, 10))
n = mmap.mmap(r, 0); n[30:36] = b'MAPPED'; n.flush(); print(os.pread(a, 6, 30)); n.close()
os.ftruncate(r, 500); print(len(os.pread(a, 4096, 0)), os.fstat(a).st_size)
os.truncate('f', 100); print(len(os.pread(a, 4096, 0)), os.fstat(a).st_size)
b = os.open('f', os.O_RDONLY); print(os.fstat(a).st_ino == os.fstat(b).st_ino == os.fstat(r).st_ino)
for fd in (a, b, r, w): os.close(fd)
print(open('f', 'rb').read()[8:40])`;
  t.equal(
    await world.python(script),
    `True\nb'appended' 8\nb'WRITTEN' b'WRITTEN'\nb'BOTH' b'WRITTEN'\nb'MAPPED'\n500 500\n100 100\nTrue\n` +
      `b'8?WRITTENw~\\x85BOTH\\xa8\\xaf\\xb6\\xbd\\xc4\\xcbMAPPED\\x01\\x08\\x0f\\x16'\n`
  );
});

t.test(
  'who writes without reading keeps the inode, and who does both gets one that is cached',
  TEST,
  async (t) => {
    await using world = await start();
    const script = `
import fcntl
make('f')
a = os.open('f', os.O_RDONLY); w = os.open('f', os.O_WRONLY)
fcntl.flock(a, fcntl.LOCK_SH)
try: fcntl.flock(w, fcntl.LOCK_EX | fcntl.LOCK_NB); print('locked')
except BlockingIOError: print('refused')
os.close(w); print(passes(a))
r = os.open('f', os.O_RDWR); b = os.open('f', os.O_RDONLY); print(passes(b), passes(a))
for fd in (a, b, r): os.close(fd)
c = os.open('f', os.O_RDONLY); print(passes(c))
with open('db', 'wb') as f: f.write(b'SQLite format 3\\0' + BYTES)
warm('db'); d = os.open('db', os.O_RDONLY); print(passes(d))`;
    t.equal(await world.python(script), 'refused\nTrue\nFalse True\nTrue\nFalse\n');
  }
);

t.test('names come and go, and who has the file open keeps it', TEST, async (t) => {
  await using world = await start();
  const script = `
make('f'); make('g', BYTES[::-1])
a = os.open('f', os.O_RDONLY); os.rename('f', 'h'); print(passes(a), os.pread(a, 1 << 20, 0) == BYTES)
b = os.open('h', os.O_RDONLY); print(passes(b), os.fstat(a).st_ino == os.fstat(b).st_ino)
os.rename('g', 'h'); print(open('h', 'rb').read() == BYTES[::-1], os.pread(a, 1 << 20, 0) == BYTES)
c = os.open('h', os.O_RDONLY); os.unlink('h'); print(os.fstat(c).st_nlink, os.pread(c, 1 << 20, 0) == BYTES[::-1])
r = os.open('/proc/self/fd/%d' % c, os.O_WRONLY); os.pwrite(r, b'unlinked', 0); print(os.pread(c, 8, 0))
for fd in (a, b, c, r): os.close(fd)
print(os.listdir('.'))`;
  t.equal(await world.python(script), `True True\nTrue True\nTrue True\n0 True\nb'unlinked'\n[]\n`);
});

t.test('a file that leaves the cache while it is open is read on', TEST, async (t) => {
  await using world = await start({ cacheBytes: 64 * MIB });
  const script = `
make('f')
a = os.open('f', os.O_RDONLY); print(passes(a))
file = cached()[0]
for i in range(10): make('other%d' % i, BYTES * 8)
print(os.path.exists(file), os.pread(a, 1 << 20, 0) == BYTES)
os.close(a)
b = os.open('f', os.O_RDONLY); print(os.pread(b, 1 << 20, 0) == BYTES)`;
  t.equal(await world.python(script), 'True\nFalse True\nTrue\n');
  await world.nothingKeptOpen();
});

t.test('what others store is read by the next open, and not by who has the old one', TEST, async (t) => {
  await using world = await start({ store: 'stamp' });
  const local = join(world.folder, 'local');
  const data = join(world.folder, 'data');
  const replace = `${process.execPath} ${COMMAND} cp ${local} st:drive/f --data ${data}`;
  writeFileSync(local, 'n'.repeat(300_000));
  const script = `
make('f')
a = os.open('f', os.O_RDONLY); print(passes(a))
os.system('${replace} > /dev/null')
while open('f', 'rb').read() != b'n' * 300000: time.sleep(0.02)
print(os.pread(a, 1 << 20, 0) == BYTES)
b = os.open('f', os.O_RDONLY); print(os.pread(b, 1 << 20, 0) == b'n' * 300000)
os.close(a); os.close(b); warm('f', again=True)
c = os.open('f', os.O_RDONLY); print(passes(c, 100))`;
  t.equal(await world.python(script), 'True\nTrue\nTrue\nTrue\n');
});

t.test('after a start a file is compared with its checksums before the kernel reads it', TEST, async (t) => {
  using folder = scratch();
  const first = await start({ store: 'stamp', folder: folder.path });
  await first.python(`make('f')`);
  await first[Symbol.asyncDispose]();
  const second = await start({ store: 'stamp', folder: folder.path });
  t.equal(await second.python(`a = os.open('f', os.O_RDONLY); print(passes(a))`), 'True\n');
  await second.python(`f = os.open(cached()[0], os.O_RDWR); os.pwrite(f, b'DAMAGE', 700000)`);
  await second[Symbol.asyncDispose]();
  await using third = await start({ store: 'stamp', folder: folder.path });
  const script = `
a = os.open('f', os.O_RDONLY); print(os.pread(a, 1 << 20, 0) == BYTES); os.close(a)
warm('f', again=True); a = os.open('f', os.O_RDONLY); print(passes(a), os.pread(a, 1 << 20, 0) == BYTES)`;
  t.equal(await third.python(script), 'True\nTrue True\n');
});

t.test(
  `${OPERATION_COUNT} random operations through many handles do what they do on a local disk`,
  TEST,
  async (t) => {
    t.comment(`seed ${SEED}: SEED=${SEED} HANDLE_OPERATIONS=${OPERATION_COUNT}`);
    await using world = await start();
    const sides = ['--drive', join(world.drive.directory, 'f'), '--local', join(world.folder, 'local')];
    const size = ['--seed', String(SEED), '--operations', String(OPERATION_COUNT), '--size', String(MIB / 2)];
    const program = join(ROOT, 'test/support/handles-program.ts');
    const node = ['--import=tsx', '--conditions=stampede-source', program, ...sides, ...size];
    const { stdout } = await run(process.execPath, node, { cwd: ROOT }).catch(
      (error: Error & { stderr?: string }) => ({ stdout: error.stderr ?? String(error) })
    );
    t.equal(stdout, `${OPERATION_COUNT} operations with seed ${SEED}: no difference\n`);
    t.same(
      world.drive.events.filter((event) => event.type !== 'watchLive'),
      []
    );
    await world.nothingKeptOpen();
  }
);

interface World extends AsyncDisposable {
  readonly drive: DriveProcess;
  readonly folder: string;
  /** Runs a script in the drive's directory; returns what it prints. */
  python(script: string): Promise<string>;
  /** Waits until the process of the drive has no file open that has no name: the test's own limit ends it otherwise. */
  nothingKeptOpen(): Promise<void>;
}

async function start({
  store = 'memory',
  cacheBytes,
  folder
}: {
  readonly store?: 'memory' | 'stamp';
  readonly cacheBytes?: number;
  readonly folder?: string;
} = {}): Promise<World> {
  const own = folder === undefined ? scratch() : undefined;
  const path = folder ?? own!.path;
  const cacheDirectory = join(path, 'cache');
  const mount = cacheBytes === undefined ? {} : { cacheBytes };
  const drive = await startDrive({ store, driver: 'linux', folder: path, cacheDirectory, mount });
  return {
    drive,
    folder: path,
    async python(script) {
      const env = { ...process.env, CACHE: cacheDirectory };
      const options = { cwd: drive.directory, env, timeout: 50_000 };
      return (await run('python3', ['-c', PRELUDE + script], options)).stdout;
    },
    async nothingKeptOpen() {
      const descriptors = `/proc/${drive.process.pid}/fd`;
      const isGone = (name: string) => /^.*cache.*\(deleted\)$/.test(linkOf(join(descriptors, name)));
      while (readdirSync(descriptors).some(isGone)) await setTimeout(10);
    },
    async [Symbol.asyncDispose]() {
      await drive.end();
      own?.[Symbol.dispose]();
    }
  };
}

/** Empty for what was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function withoutPassthrough(): string | false {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 9)) return `Linux ${release()} passes nothing through`;
  if (process.getuid?.() !== 0) return 'only root may let the kernel read by itself';
  return withoutDrive('stamp', 'linux');
}
