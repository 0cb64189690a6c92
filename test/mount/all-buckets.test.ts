import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdir, open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createStoreClient, type StoreClient } from '@stampede/client';
import { DRIVER_NAMES, type DriverName } from '@stampede/fs-mount';
import t from 'tap';
import { Writer } from '../crash/stamp-in-parts.js';
import { startDrive, withoutDrive } from '../support/drive-process.js';
import { missingOf } from '../support/needs.js';
import { COMMAND, credentialsOf, ROOT, scratch, startMount, startStore } from '../support/store-process.js';
import { PROGRAM_SCRIPTS } from './program-scripts.js';

/* `stampede mount :all`: every bucket a directory, and what programs do in and between them. */

const run = promisify(execFile);
const SOURCE = join(ROOT, 'packages/fs-mount/src');
const POLL_MS = 5;
const WAIT_MS_MAX = 20_000;
const KILLS = 2;
/** These take long, and are run on a drive of one bucket. */
const LONG = /^ten thousand files|^find and du|^sort writes/;

interface Fixture {
  readonly folder: string;
  readonly data: string;
  readonly drive: string;
  readonly driver: DriverName;
  readonly endpoint: string;
  readonly store: StoreClient;
  bash(script: string): Promise<string>;
}

for (const driver of DRIVER_NAMES)
  t.test(
    `all buckets on a drive of ${driver}`,
    { skip: withoutDrive('stamp', driver), timeout: 240_000 },
    async (t) => {
      using folder = scratch();
      const data = join(folder.path, 'data');
      const drive = join(folder.path, 'drive');
      await using process = await startStore({ data });
      const { endpoint } = process;
      await using store = createStoreClient({ ...credentialsOf(data), endpoint });
      await using _mount = await startMount({ data, endpoint, bucket: ':all', directory: drive, driver });
      const bash = async (script: string) =>
        (await run('bash', ['-euc', script, SOURCE], { cwd: drive, maxBuffer: 1 << 24 })).stdout;
      const fixture: Fixture = { folder: folder.path, data, drive, driver, endpoint, store, bash };
      await t.test('mkdir and rmdir make and delete buckets', (t) => makeAndDelete(t, fixture));
      await t.test('trees are copied and moved between buckets', (t) => copyAndMove(t, fixture));
      await t.test('what is made and deleted elsewhere shows', (t) => changedElsewhere(t, fixture));
      await t.test('a bucket that is deleted under an open file is an error, not a wait', (t) =>
        deletedUnderFile(t, fixture)
      );
      await t.test('a key for one bucket is shown that one alone', (t) => scopedKey(t, fixture));
      await t.test('what was closed or fsynced in any bucket outlives the process', (t) =>
        killed(t, fixture)
      );
      await t.test('the commands for drives work on it', (t) => commands(t, fixture));
    }
  );

type Test = Parameters<Parameters<typeof t.test>[0]>[0];

async function makeAndDelete(t: Test, { drive, store, bash }: Fixture): Promise<void> {
  t.same(await readdir(drive), []);
  await bash('mkdir photos my.music; ls -ld photos; touch photos/f');
  t.same(
    (await store.buckets.list({})).buckets.map(({ bucket }) => bucket),
    ['my.music', 'photos']
  );
  for (const [script, error] of [
    ['mkdir "My Photos"', /Invalid argument/],
    ['mkdir photos', /File exists/],
    ['rmdir photos', /not empty/],
    ['touch file', /not permitted/],
    ['ln -s photos link', /not permitted/],
    ['rmdir none', /No such file/],
    ['stat none', /No such file/]
  ] as const)
    await t.rejects(bash(script), { code: 1, stderr: error }, script);
  await bash('rm photos/f; rmdir photos; mkdir photos; chmod 700 photos; rm -r my.music');
  t.same(await readdir(drive), ['photos']);
  t.equal(((await stat(join(drive, 'photos'))).mode & 0o777).toString(8), '700');
}

async function copyAndMove(t: Test, { bash }: Fixture): Promise<void> {
  await bash(`mkdir one two; cp -a "$0" one/src; cp -a one/src two/copy; diff -r "$0" two/copy
    rsync -a one/src/ two/synced/; test -z "$(rsync -ain one/src/ two/synced/)"; diff -r one/src two/synced`);
  await bash(`head -c 5000000 /dev/urandom > one/large; cp one/large two/large; cmp one/large two/large
    mv one/large two/moved; test ! -e one/large; cmp two/large two/moved
    mv one/src/drivers two/drivers; test ! -e one/src/drivers; diff -r "$0/drivers" two/drivers
    printf kept > two/replaced; echo new > one/f; mv one/f two/replaced; test "$(cat two/replaced)" = new`);
  t.equal(
    await bash('find . -type f -name "*.ts" | wc -l'),
    await bash('find one two -type f -name "*.ts" | wc -l')
  );
  t.equal(await bash('find . | xargs -d "\\n" stat -c %i | sort | uniq -d'), '', 'numbers are unique');
  await bash('mv two/copy two/again; ln -s ../one/src two/link; test -d two/link/all-buckets; rm -r two');
  await t.rejects(bash('stat two'), { code: 1, stderr: /No such file/ });
}

async function changedElsewhere(t: Test, { drive, store }: Fixture): Promise<void> {
  await t.rejects(readdir(join(drive, 'meanwhile')), { code: 'ENOENT' });
  await store.buckets.create({ bucket: 'meanwhile' });
  await store.objects.put({ bucket: 'meanwhile', key: 'd/f', body: Buffer.from('one') });
  t.ok((await readdir(drive)).includes('meanwhile'));
  await until(async () => (await readdir(join(drive, 'meanwhile')).catch(() => [])).length === 1);
  t.equal(await readFile(join(drive, 'meanwhile/d/f'), 'utf8'), 'one');
  await store.objects.put({ bucket: 'meanwhile', key: 'd/g', body: Buffer.from('two') });
  await until(async () => (await readFile(join(drive, 'meanwhile/d/g'), 'utf8').catch(() => '')) === 'two');
  for (const key of ['d/f', 'd/g']) await store.objects.delete({ bucket: 'meanwhile', key });
  await store.buckets.delete({ bucket: 'meanwhile' });
  t.notOk((await readdir(drive)).includes('meanwhile'));
  await until(async () => (await stat(join(drive, 'meanwhile')).catch(() => undefined)) === undefined);
}

async function deletedUnderFile(t: Test, { drive, store }: Fixture): Promise<void> {
  const path = join(drive, 'short-lived');
  await store.buckets.create({ bucket: 'short-lived' });
  await until(async () => (await stat(path).catch(() => undefined)) !== undefined);
  await writeFile(join(path, 'f'), Buffer.alloc(3_000_000, 1));
  const file = await open(join(path, 'f'), 'r+');
  await store.objects.delete({ bucket: 'short-lived', key: 'f' });
  await store.buckets.delete({ bucket: 'short-lived' });
  await until(async () => (await stat(path).catch(() => undefined)) === undefined);
  const failure = await file
    .write('new')
    .then(() => file.sync())
    .catch((error: NodeJS.ErrnoException) => error.code);
  t.match(failure, /^(ENOENT|ESTALE)$/);
  await file.close().catch(() => undefined);
  await t.rejects(readFile(join(path, 'f')), { code: 'ENOENT' });
  await writeFile(join(drive, 'photos/f'), 'the others go on');
  t.equal(await readFile(join(drive, 'photos/f'), 'utf8'), 'the others go on');
}

async function scopedKey(t: Test, { folder, endpoint, driver, store }: Fixture): Promise<void> {
  const drive = join(folder, 'of-one');
  const { accessKey, secretKey } = await store.keys.create({
    description: 'of one bucket',
    access: 'write',
    buckets: ['photos']
  });
  const key = ['--access-key', accessKey, '--secret-key', secretKey];
  const files = ['--pid-file', `${drive}.pid`, '--log-file', `${drive}.log`];
  await command(
    'mount',
    ':all',
    drive,
    '--daemon',
    '--driver',
    driver,
    '--endpoint',
    endpoint,
    ...key,
    ...files
  );
  try {
    t.same(await readdir(drive), ['photos']);
    await writeFile(join(drive, 'photos/mine'), 'x');
    await t.rejects(readdir(join(drive, 'one')), { code: 'EACCES' });
    await t.rejects(mkdir(join(drive, 'another')), { code: 'EACCES' });
    await t.rejects(mkdir(join(drive, 'No Bucket')), { code: 'EINVAL' });
    await until(async () => /No Bucket.*lower-case letters/.test(await readFile(`${drive}.log`, 'utf8')));
  } finally {
    await command('umount', drive);
  }
  t.equal((await store.objects.head({ bucket: 'photos', key: 'mine' })).size, 1);
  await store.objects.delete({ bucket: 'photos', key: 'mine' });
}

async function killed(t: Test, { folder, data, endpoint, driver, store }: Fixture): Promise<void> {
  const directory = join(folder, 'killed');
  const buckets = ['kill-a', 'kill-b'];
  for (const bucket of buckets) await store.buckets.create({ bucket });
  const start = () => startMount({ data, endpoint, bucket: ':all', directory, driver });
  const writers = buckets.map((bucket, index) => new Writer(join(directory, bucket), folder, index));
  let mounted = await start();
  try {
    for (let round = 0; round < KILLS; round++) {
      for (const writer of writers) writer.start(round);
      for (const writer of writers) t.ok(await writer.goesOn());
      await mounted.kill();
      for (const writer of writers) await writer.ended;
      mounted = await start();
      for (const writer of writers)
        t.match(await writer.check(), { errors: [], found: [] }, `round ${round}`);
      t.same(
        (await readdir(directory)).filter((name) => name.startsWith('kill')),
        buckets
      );
    }
  } finally {
    await mounted[Symbol.asyncDispose]();
  }
}

async function command(...words: readonly string[]): Promise<string> {
  return (await run(process.execPath, [COMMAND, ...words])).stdout;
}

async function commands(t: Test, { drive, store, bash }: Fixture): Promise<void> {
  await bash('rm -rf one/*; head -c 100000 /dev/zero > one/f; head -c 1000 /dev/zero > photos/g');
  t.match(await bash('cat .stampede/stats'), /stampede_drive_info\{[^}]*bucket=":all"/);
  t.match(await command('stats', drive, '--once'), /open files/);
  const warm = JSON.parse(await command('warmup', join(drive, 'one'), join(drive, 'photos/g'), '--json'));
  t.same(warm, { files: 2, bytes: 101_000, failed: 0 });
  const quotaBytes = 48 * 1024 * 1024;
  await store.buckets.configure({ bucket: 'one', settings: { quotaBytes } });
  await until(async () => (await spaceOf(bash, 'one')) === quotaBytes);
  t.ok((await spaceOf(bash, 'photos')) !== quotaBytes, 'that of the other is as it was');
  await store.buckets.configure({ bucket: 'one', settings: { quotaBytes: 110_000 } });
  await t.rejects(bash('head -c 50000 /dev/zero > one/more'), { code: 1, stderr: /quota/i });
  const last = await open(join(drive, 'photos/last'), 'w');
  await last.write('stored by umount');
  await command('umount', '--force', drive);
  await last.close();
  t.equal((await store.objects.head({ bucket: 'photos', key: 'last' })).size, 16);
}

async function spaceOf(bash: Fixture['bash'], bucket: string): Promise<number> {
  const [blocks, bytes] = (await bash(`stat -f -c "%b %S" ${bucket}`)).split(' ');
  return Number(blocks) * Number(bytes);
}

/** What another one did shows soon. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const endsAtMs = performance.now() + WAIT_MS_MAX;
  while (!(await isSo())) {
    if (performance.now() > endsAtMs) throw new Error(`still not so: ${isSo}`);
    await sleep(POLL_MS);
  }
}

for (const driver of DRIVER_NAMES)
  t.test(
    `programs do in a bucket of a drive of ${driver} what they do on a plain folder`,
    { skip: withoutDrive('memory', driver), timeout: 240_000 },
    async (t) => {
      using folder = scratch();
      const plain = join(folder.path, 'plain');
      mkdirSync(plain);
      await using drive = await startDrive({
        store: 'memory',
        driver,
        folder: folder.path,
        mount: { bucket: ':all' }
      });
      for (const [index, { name, script, needs }] of PROGRAM_SCRIPTS.entries()) {
        if (LONG.test(name)) continue;
        const skip = await missingOf(needs === undefined ? [] : [needs]);
        await t.test(name, { skip }, async (t) => {
          const onPlain = await outputOf(join(plain, `case-${index}`), script);
          t.equal(await outputOf(join(drive.directory, `drive/case-${index}`), script), onPlain);
        });
      }
      t.same(
        drive.events.filter(({ type }) => type !== 'watchLive'),
        []
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
