import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bench, dropCaches, ROOT, runLoad, scratch, startStore, touchMemory } from './harness.js';

/*
 * The drive beside `rclone mount` of a local folder (Debian package rclone, with fuse3), the plain file system on the same
 * disk, the fuse-native driver, and a file system in C that stores nothing (loads/null-fs.c; Debian package libfuse3-dev):
 * what FUSE itself costs. Durability is sync: close and fsync on the drive return after fdatasync; rclone's and ext4's
 * close do not; "os" is the drive without fdatasync; "cached" is the drive with a disk cache, where large files pass
 * through to the kernel. DRIVE_BYTES, DRIVE_FILES, DRIVE_ENTRIES and ROUNDS shrink it for a quick look, DRIVE_ONLY takes
 * the names of those that are wanted.
 */

const BYTES = Number(process.env['DRIVE_BYTES'] ?? 2 ** 30);
const FILES = Number(process.env['DRIVE_FILES'] ?? 10_000);
const ENTRIES = Number(process.env['DRIVE_ENTRIES'] ?? 100_000);
const ROUNDS = Number(process.env['ROUNDS'] ?? 3);
const MIB = 2 ** 20;

interface Mounted extends AsyncDisposable {
  readonly directory: string;
  /** Ends the mount, drops every cache, mounts again. */
  remount(): Promise<void>;
}

type Timing = { readonly seconds: number; readonly lines?: number; readonly count?: number };

const ONLY = process.env['DRIVE_ONLY']?.split(',');

const bench = new Bench(
  'drive',
  'The mounted drive beside rclone mount, ext4 on the same disk and a null file system, plain file operations.'
);

for (let round = 0; round < ROUNDS; round++) {
  {
    using folder = scratch();
    const disk = await runLoad<Timing>('files', ['fdatasync', folder.path, '3000']);
    bench.record('fdatasync of 4 KiB', 'calls/s', 3000 / disk.seconds);
  }
  for (const [name, open] of [
    ['stampede', (folder: string) => stampede(folder)],
    ['stampede os', (folder: string) => stampede(folder, { durability: 'os' as const })],
    ['stampede cached', (folder: string) => stampede(folder, { cacheDirectory: join(folder, 'cache') })],
    ['fuse-native', (folder: string) => stampede(folder, { driver: 'fuse-native' })],
    ['rclone', rclone],
    ['null', nullFs],
    ['ext4', plain]
  ] as const) {
    if (ONLY && !ONLY.includes(name)) continue;
    using folder = scratch();
    touchMemory();
    const opened = await open(folder.path);
    if (!opened) continue;
    await using mounted = opened;
    console.log(`round ${round + 1}: ${name}`);
    await measureBig(name, mounted);
    if (name !== 'stampede cached') await measureSmall(name, mounted);
  }
}

for (const [figure, expectedMin] of [
  ['write 1 file + fsync', 2],
  ['cold read', 2],
  ['create 4 KiB files', 3],
  ['read 4 KiB files', undefined],
  ['stat', undefined]
] as const) {
  bench.compare(`${figure}: stampede / rclone`, {
    figure: `stampede ${figure}`,
    to: `rclone ${figure}`,
    meaning: 'rate over rate',
    ...(expectedMin ? { expectedMin } : {})
  });
  bench.compare(`${figure}: stampede / ext4`, {
    figure: `stampede ${figure}`,
    to: `ext4 ${figure}`,
    meaning: 'rate over rate'
  });
}
for (const [figure, expectedMin] of [
  ['stat', 0.5],
  ['open and close', 0.5],
  ['write 1 file + fsync', undefined],
  ['cold read', undefined],
  ['random 4 KiB reads, warm', undefined]
] as const) {
  for (const name of ['stampede', 'stampede os'])
    bench.compare(`${figure}: ${name} / null`, {
      figure: `${name} ${figure}`,
      to: `null ${figure}`,
      meaning: 'rate over rate',
      ...(expectedMin ? { expectedMin } : {})
    });
}
for (const figure of ['read again', 'random 4 KiB reads, warm'])
  bench.compare(`${figure}: stampede cached / ext4`, {
    figure: `stampede cached ${figure}`,
    to: `ext4 ${figure}`,
    meaning: 'rate over rate: a file that is whole in the disk cache',
    expectedMin: 0.9
  });
bench.compare('cp -r of small files: stampede / rclone', {
  figure: 'stampede cp -r of small files',
  to: 'rclone cp -r of small files',
  meaning: 'rate over rate',
  expectedMin: 5
});
bench.compare('create 4 KiB files / fdatasync rate', {
  figure: 'stampede create 4 KiB files',
  to: 'fdatasync of 4 KiB',
  meaning: 'files over calls: one process, durable close',
  expectedMin: 0.6
});
bench.compare('create 4 KiB files, 16 processes / one', {
  figure: 'stampede create 4 KiB files, 16 processes',
  to: 'stampede create 4 KiB files',
  meaning: 'rate over rate',
  expectedMin: 4
});
for (const figure of ['ls -l', 'find']) {
  bench.compare(`${figure}: rclone time / stampede time`, {
    figure: `rclone ${figure}`,
    to: `stampede ${figure}`,
    meaning: 'time over time'
  });
}
bench.finish();

async function measureBig(name: string, mounted: Mounted): Promise<void> {
  const directory = () => mounted.directory;
  const write = await runLoad<Timing>('files', ['write', directory(), String(BYTES)]);
  bench.record(`${name} write 1 file + fsync`, 'MiB/s', BYTES / MIB / write.seconds);
  await mounted.remount();
  const read = await runLoad<Timing>('files', ['read', directory(), String(BYTES)]);
  bench.record(`${name} cold read`, 'MiB/s', BYTES / MIB / read.seconds);
  // The first time fills what the second finds.
  await runLoad<Timing>('files', ['read', directory(), String(BYTES)]);
  const again = await runLoad<Timing>('files', ['read', directory(), String(BYTES)]);
  bench.record(`${name} read again`, 'MiB/s', BYTES / MIB / again.seconds);
  const random = await runLoad<Timing>('files', ['random-read', directory(), String(BYTES)]);
  bench.record(`${name} random 4 KiB reads, warm`, 'calls/s', random.count! / random.seconds);
}

async function measureSmall(name: string, mounted: Mounted): Promise<void> {
  const directory = () => mounted.directory;
  const create = await runLoad<Timing>('files', ['create', directory(), String(FILES)]);
  bench.record(`${name} create 4 KiB files`, 'files/s', FILES / create.seconds);
  const create16 = await runLoad<Timing>('files', ['create-16', directory(), String(FILES)]);
  bench.record(`${name} create 4 KiB files, 16 processes`, 'files/s', FILES / create16.seconds);
  await mounted.remount();
  const readSmall = await runLoad<Timing>('files', ['read-small', directory(), String(FILES)]);
  bench.record(`${name} read 4 KiB files`, 'files/s', FILES / readSmall.seconds);
  const stat = await runLoad<Timing>('files', ['stat', directory(), String(FILES)]);
  bench.record(`${name} stat`, 'calls/s', FILES / stat.seconds);
  const open = await runLoad<Timing>('files', ['open', directory(), String(FILES)]);
  bench.record(`${name} open and close`, 'calls/s', FILES / open.seconds);
  const tree = await runLoad<Timing>('files', ['copy-tree', directory(), String(2 * FILES)]);
  bench.record(`${name} cp -r of small files`, 'files/s', (2 * FILES) / tree.seconds);
  const flat = join(directory(), 'flat');
  mkdirSync(flat);
  await runLoad<Timing>('files', ['create-flat', flat, String(ENTRIES)]);
  await mounted.remount();
  const list = await runLoad<Timing>('files', ['ls-l', flat]);
  if (list.lines !== ENTRIES) throw new Error(`ls -l printed ${list.lines} of ${ENTRIES} entries`);
  bench.record(`${name} ls -l`, 's', list.seconds);
  await mounted.remount();
  const first = await runLoad<Timing>('files', ['first-entry', flat]);
  bench.record(`${name} first entry of find`, 's', first.seconds);
  await mounted.remount();
  const find = await runLoad<Timing>('files', ['find', flat]);
  bench.record(`${name} find`, 's', find.seconds);
  if (name === 'null') return;
  const rename = await runLoad<Timing>('files', ['rename-directory', directory()]);
  bench.record(`${name} rename a directory of them`, 's', rename.seconds);
}

async function stampede(
  folder: string,
  options: { readonly driver?: string; readonly durability?: 'os'; readonly cacheDirectory?: string } = {}
): Promise<Mounted> {
  const data = join(folder, 'data');
  const directory = join(folder, 'drive');
  let store = await startStore({ data, mount: directory, ...options });
  return {
    directory,
    async remount() {
      await store[Symbol.asyncDispose]();
      dropCaches();
      store = await startStore({ data, mount: directory, ...options });
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]()
  };
}

async function rclone(folder: string): Promise<Mounted | undefined> {
  if (
    !succeeds('rclone', ['version']) ||
    !(succeeds('fusermount3', ['-V']) || succeeds('fusermount', ['-V']))
  ) {
    bench.note('rclone or fuse3 is not installed: no figures for rclone (apt-get install rclone fuse3)');
    return undefined;
  }
  const source = join(folder, 'source');
  const directory = join(folder, 'drive');
  mkdirSync(source);
  mkdirSync(directory);
  const start = async () => {
    const child = spawn('rclone', ['mount', source, directory, '--config', '/dev/null'], { stdio: 'ignore' });
    for (let tries = 0; !isMounted(directory); tries++) {
      if (tries > 100) throw new Error('rclone did not mount');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return child;
  };
  const stop = async (child: ReturnType<typeof spawn>) => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  let child = await start();
  return {
    directory,
    async remount() {
      await stop(child);
      dropCaches();
      child = await start();
    },
    [Symbol.asyncDispose]: () => stop(child)
  };
}

/** Absent where it cannot be built. It forgets all at its end, so caches are all that a remount drops. */
async function nullFs(folder: string): Promise<Mounted | undefined> {
  const program = join(folder, 'null-fs');
  const flags = spawnSync('pkg-config', ['--cflags', '--libs', 'fuse3'], { encoding: 'utf8' });
  const source = join(ROOT, 'bench/loads/null-fs.c');
  const words = ['-O2', '-o', program, source, ...(flags.stdout ?? '').trim().split(/\s+/)];
  if (flags.status !== 0 || !succeeds('cc', words)) {
    bench.note('the null file system could not be built (apt-get install gcc pkg-config libfuse3-dev)');
    return undefined;
  }
  const directory = join(folder, 'drive');
  mkdirSync(directory);
  const child = spawn(program, [directory], { stdio: 'ignore' });
  for (let tries = 0; !isMounted(directory); tries++) {
    if (tries > 100) throw new Error('the null file system did not mount');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    directory,
    remount: async () => void dropCaches(),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
  };
}

async function plain(folder: string): Promise<Mounted> {
  const directory = join(folder, 'plain');
  mkdirSync(directory);
  return { directory, remount: async () => void dropCaches(), [Symbol.asyncDispose]: async () => {} };
}

function isMounted(directory: string): boolean {
  return existsSync('/proc/mounts') && readFileSync('/proc/mounts', 'utf8').includes(` ${directory} `);
}

function succeeds(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { cwd: ROOT, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
