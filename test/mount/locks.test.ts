import { execFile } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import { Locker } from '../support/locker.js';
import { missingOf } from '../support/needs.js';
import { scratch, startMount, startStore } from '../support/store-process.js';
import { opened, type TwoMounts, twoMounts } from '../support/two-mounts.js';

/* Locks of programs on two mounts of one store, each a process of its own, with --locks=server. */

const run = promisify(execFile);
const skip = withoutDrive('stamp', 'linux') || (await missingOf(['python3']));
const TEST = { skip, timeout: 120_000 };

type Test = Parameters<Parameters<typeof t.test>[0]>[0];
type Mounts = TwoMounts;

t.test('locks of two mounts', TEST, async (t) => {
  await using mounts = await twoMounts();
  await t.test('flock(2) keeps programs of both mounts apart, and shares', (t) => flocks(t, mounts));
  await t.test('fcntl(2) locks ranges, and tells what is in the way', (t) => ranges(t, mounts));
  await t.test('waiting ends with the lock, with a signal and with the program', (t) => waits(t, mounts));
  await t.test('locks end with the file’s closing and with the program, as POSIX has it', (t) =>
    closes(t, mounts)
  );
  await t.test('who gets a lock sees what its last holder wrote, also what he had in memory', (t) =>
    seesWrites(t, mounts)
  );
  await t.test('locks go with a file that is renamed or removed', (t) => followsNames(t, mounts));
  await t.test('sqlite on both mounts loses and doubles nothing', (t) => sqlite(t, mounts));
});

t.test('a drive of the store’s own process shares its locks too', TEST, async (t) => {
  using folder = scratch();
  const at = (name: string) => join(folder.path, name);
  const options = { data: at('data'), driver: 'linux', locks: 'server' } as const;
  await using store = await startStore({ ...options, mount: at('own') });
  const { endpoint } = store;
  await using _mount = await startMount({ ...options, endpoint, bucket: 'drive', directory: at('other') });
  await using one = await opened(at('own/f'));
  await using other = await opened(at('other/f'));
  t.equal(await one.does('lockf(f, EX | NB)'), 'ok');
  t.equal(await one.does('os.pwrite(f, b"mine", 0)'), '4');
  t.equal(await other.does('lockf(f, EX | NB)'), 'EAGAIN');
  t.equal(await one.does('lockf(f, UN)'), 'ok');
  t.equal(await other.does('lockf(f, EX | NB)'), 'ok');
  t.equal(await other.does('os.pread(f, 9, 0)'), "b'mine'");
});

async function flocks(t: Test, { a, b, metrics }: Mounts): Promise<void> {
  await using one = await opened(a('flock'));
  await using other = await opened(b('flock'));
  await using neighbour = await opened(a('flock'));
  t.equal(await one.does('flock(f, EX | NB)'), 'ok');
  t.equal(await other.does('flock(f, EX | NB)'), 'EAGAIN');
  t.equal(await other.does('flock(f, SH | NB)'), 'EAGAIN');
  t.equal(await neighbour.does('flock(f, SH | NB)'), 'EAGAIN', 'of the same mount, too');
  t.equal(await one.does('flock(f, SH | NB)'), 'ok', 'converted');
  t.equal(await other.does('flock(f, SH | NB)'), 'ok');
  t.equal(await one.does('flock(f, EX | NB)'), 'EAGAIN');
  t.equal(await other.does('flock(f, EX | NB)'), 'ok', 'what the other one converted is given up');
  t.equal(await other.does('flock(f, UN)'), 'ok');
  t.equal(await one.does('flock(f, EX | NB)'), 'ok');
  t.equal(await one.does('lockf(f, EX | NB)'), 'ok', 'another kind of lock');
  const script = 'exec 9<>"$0"; if flock -n 9; then echo taken; else echo busy; fi';
  t.equal((await run('sh', ['-c', script, b('flock')])).stdout.trim(), 'busy', 'flock(1)');
  t.match(await metrics(), /^stampede_locks\{[^}]*\} 2$/m, 'operators see them');
  t.match(await metrics(), /^stampede_lock_sessions\{[^}]*\} [12]$/m);
}

async function ranges(t: Test, { a, b }: Mounts): Promise<void> {
  await using one = await opened(a('ranges'));
  await using other = await opened(b('ranges'));
  t.equal(await one.does('lockf(f, EX | NB, 10, 0)'), 'ok');
  t.equal(await one.does('lockf(f, SH | NB, 10, 20)'), 'ok');
  t.equal(await other.does('lockf(f, EX | NB, 10, 10)'), 'ok');
  t.equal(await other.does('lockf(f, SH | NB, 5, 22)'), 'ok');
  t.equal(await other.does('lockf(f, EX | NB, 5, 22)'), 'EAGAIN');
  t.equal(await other.does('lockf(f, SH | NB, 1, 9)'), 'EAGAIN');
  t.equal(await other.does('who(f, 0, 1)'), "['exclusive', 0, 10, 'elsewhere']");
  t.equal(await other.does('who(f, 25, 0)'), "['shared', 20, 10, 'elsewhere']");
  t.equal(await other.does('who(f, 30, 0)'), 'free');
  t.equal(await one.does('lockf(f, EX | NB, 0, 2 ** 40)'), 'ok', 'for ever');
  t.equal(await other.does('who(f, 2 ** 41, 10)'), `['exclusive', ${2 ** 40}, 0, 'elsewhere']`);
  t.equal(await other.does('lockf(f, EX | NB, 1, 2 ** 62)'), 'EOVERFLOW');
  await using neighbour = await opened(a('ranges'));
  t.equal(await neighbour.does('who(f, 0, 1)'), "['exclusive', 0, 10, 'known']");
  t.equal(await neighbour.does('ofd(f, fcntl.F_WRLCK, 100, 5)'), 'ok', 'of an open file');
  t.equal(await other.does('lockf(f, SH | NB, 1, 104)'), 'EAGAIN');
  t.equal(await neighbour.does('os.close(f)'), 'ok');
  await eventually(async () => (await other.does('lockf(f, SH | NB, 1, 104)')) === 'ok');
  t.equal(await one.does('lockf(f, UN)'), 'ok');
  t.equal(await other.does('lockf(f, EX | NB)'), 'ok');
}

async function waits(t: Test, { a, b }: Mounts): Promise<void> {
  for (const [kind, take, give] of [
    ['flock', 'flock(f, EX)', 'flock(f, UN)'],
    ['fcntl', 'lockf(f, EX)', 'lockf(f, UN)'],
    ['open file', 'ofd(f, fcntl.F_WRLCK, 0, 0, True)', 'ofd(f, fcntl.F_UNLCK, 0, 0)']
  ] as const) {
    await using one = await opened(a('waits'));
    await using other = await opened(b('waits'));
    await using third = await opened(b('waits'));
    t.equal(await one.does(take), 'ok', kind);
    const interrupted = await other.begins(take);
    other.signal('SIGUSR1');
    t.equal(await interrupted.answer, 'interrupted', 'by a signal');
    const killed = await third.begins(take);
    await third.kill();
    t.equal(await killed.answer, 'ended', 'by being killed');
    const waiting = await other.begins(take);
    t.equal(await one.does(give), 'ok');
    t.equal(await waiting.answer, 'ok', 'woken');
    const back = await one.begins(take);
    await other.kill();
    t.equal(await back.answer, 'ok', 'woken by the end of the program');
  }
  await using one = await opened(a('circle'));
  await using other = await opened(b('circle'));
  await one.does('lockf(f, EX, 1, 0)');
  await other.does('lockf(f, EX, 1, 1)');
  const asked = [
    { locker: one, answer: one.does('lockf(f, EX, 1, 1)') },
    { locker: other, answer: other.does('lockf(f, EX, 1, 0)') }
  ];
  const told = await Promise.race(asked.map(async (who) => who.answer.then((answer) => ({ who, answer }))));
  t.equal(told.answer, 'EDEADLK', 'whoever closes the circle is told');
  await told.who.locker.does('lockf(f, UN)');
  t.same(await Promise.all(asked.map(({ answer }) => answer)).then((all) => all.toSorted()), [
    'EDEADLK',
    'ok'
  ]);
}

async function closes(t: Test, { a, b }: Mounts): Promise<void> {
  await using one = await opened(a('closes'));
  await using other = await opened(b('closes'));
  const path = JSON.stringify(a('closes'));
  t.equal(await one.does('lockf(f, EX)'), 'ok');
  t.equal(await one.does(`os.close(os.open(${path}, os.O_RDONLY))`), 'ok');
  t.equal(await other.does('lockf(f, EX | NB)'), 'ok', 'closing any of its files ends a program’s locks');
  t.equal(await other.does('lockf(f, UN)'), 'ok');
  t.equal(await one.does('flock(f, EX)'), 'ok');
  t.equal(await one.does('g = os.dup(f)'), 'ok');
  t.equal(await one.does('os.close(f)'), 'ok');
  t.equal(await other.does('flock(f, EX | NB)'), 'EAGAIN', 'a copy of the file holds the lock');
  await one.does('lockf(g, SH)');
  t.equal(await one.does("'%d' % (os.fork() or os._exit(0))").then((pid) => Number(pid) > 0), true);
  t.equal(await other.does('lockf(f, EX | NB)'), 'EAGAIN', 'a child has none of its own to end');
  await one.kill();
  await eventually(async () => (await other.does('flock(f, EX | NB)')) === 'ok');
  t.equal(await other.does('lockf(f, EX | NB)'), 'ok');
}

async function seesWrites(t: Test, { a, b }: Mounts): Promise<void> {
  await using one = await opened(a('counter'));
  await using other = await opened(b('counter'));
  await one.does('os.pwrite(f, b"0".rjust(8), 0)');
  await one.does('os.fsync(f)');
  for (const locker of [one, other]) {
    // Pages of a mapping are the kernel's own.
    await locker.does('import mmap');
    await locker.does('flock(f, SH)');
    t.equal(await locker.does('m = mmap.mmap(f, 8)'), 'ok');
    await locker.does('flock(f, UN)');
  }
  const count = 'int(os.pread(f, 8, 0))';
  for (let round = 0; round < 50; round++) {
    const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one];
    const take = round % 4 < 2 ? 'flock(f, EX)' : 'lockf(f, EX)';
    const give = take.replace('EX', 'UN');
    const waiting = async () => {
      await reader.does(take.replace('EX', 'SH'));
      const seen = [await reader.does(count), await reader.does('int(m[:8])')];
      seen.push(await reader.does('os.fstat(f).st_size'));
      await reader.does(give);
      return seen;
    };
    await writer.does(take);
    if (Number(await writer.does(count)) !== round) t.fail(`round ${round} is not what was written before`);
    await writer.does(`os.pwrite(f, b"${round + 1}".rjust(8), 0)`);
    await writer.does(`os.pwrite(f, b"x" * ${round}, 8)`);
    const seen = waiting();
    await writer.does(give);
    if ((await seen).join() !== `${round + 1},${round + 1},${round + 8}`)
      t.fail(`round ${round}: ${(await seen).join()}`);
  }
  t.equal(await one.does(count), '50');
}

async function followsNames(t: Test, { a, b }: Mounts): Promise<void> {
  await mkdir(a('names'));
  await writeFile(a('names/f'), 'f');
  await using one = await opened(a('names/f'));
  t.equal(await one.does('flock(f, EX)'), 'ok');
  await rename(a('names/f'), a('names/g'));
  await rename(a('names'), a('moved'));
  await using other = await opened(b('moved/g'));
  t.equal(await other.does('flock(f, EX | NB)'), 'EAGAIN');
  await writeFile(a('moved/new'), 'new');
  await rename(a('moved/new'), a('moved/g'));
  await using third = await opened(b('moved/g'));
  t.equal(await third.does('flock(f, EX | NB)'), 'ok', 'another file has the name');
  await using fourth = await opened(a('moved/g'));
  t.equal(await one.does('flock(f, UN)'), 'ok');
  t.equal(await fourth.does('flock(f, EX | NB)'), 'EAGAIN');
  t.equal(await third.does('flock(f, UN)'), 'ok');
  t.equal(await fourth.does('flock(f, EX | NB)'), 'ok');
  t.equal(await one.does('lockf(f, EX | NB)'), 'ok', 'a file without a name can be locked');
}

const SQLITE = `
import sqlite3, sys
path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
for step in range(count):
  db.execute('BEGIN IMMEDIATE')
  n, = db.execute('SELECT n FROM sum').fetchone()
  db.execute('INSERT INTO rows VALUES (?, ?, ?)', (who, step, 'x' * (n * 37 % 3000)))
  db.execute('UPDATE sum SET n = ?', (n + 1,))
  if step % 7 == 3: db.execute('ROLLBACK')
  else: db.execute('COMMIT')
  if db.execute('SELECT (SELECT n FROM sum) - (SELECT count(*) FROM rows)').fetchone()[0] != 0: sys.exit('torn')
`;
const STEPS = 20;

async function sqlite(t: Test, { a, b, ...mounts }: Mounts): Promise<void> {
  const python = (script: string, ...args: string[]) => run('python3', ['-c', script, ...args]);
  const make = `import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); print(db.execute('PRAGMA journal_mode = DELETE').fetchone()[0])
db.executescript('CREATE TABLE sum (n); CREATE TABLE rows (who, step, text); INSERT INTO sum VALUES (0)')`;
  await python(make, a('db'));
  const writers = [a, b, a, b].map((at, index) => python(SQLITE, at('db'), `w${index}`, String(STEPS)));
  await Promise.all(writers);
  const rolledBack = Array.from({ length: STEPS }).filter((_, step) => step % 7 === 3).length;
  const total = 4 * (STEPS - rolledBack);
  const check = `import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=60)
print(db.execute('PRAGMA integrity_check').fetchone()[0], *db.execute('SELECT n, (SELECT count(*) FROM rows), (SELECT count(*) FROM (SELECT DISTINCT who, step FROM rows)) FROM sum').fetchone())`;
  for (const at of [a, b])
    t.equal((await python(check, at('db'))).stdout.trim(), `ok ${total} ${total} ${total}`);
  // A program that is killed within a transaction leaves its journal to the other mount.
  await using victim = new Locker();
  for (const line of [
    'import sqlite3',
    `db = sqlite3.connect(${JSON.stringify(a('db'))}, isolation_level=None)`,
    'db.execute("PRAGMA cache_size = 1") and None',
    'db.execute("BEGIN IMMEDIATE") and None',
    'db.execute("UPDATE rows SET text = text || zeroblob(5000)") and None',
    'db.execute("UPDATE sum SET n = -1") and None'
  ])
    await victim.does(line);
  await victim.kill();
  t.equal((await python(check, b('db'))).stdout.trim(), `ok ${total} ${total} ${total}`, 'rolled back');
  t.ok(mounts);
}

async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setImmediate(resolve));
}
