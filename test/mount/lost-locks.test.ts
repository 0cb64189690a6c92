import { readFile } from 'node:fs/promises';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import { missingOf } from '../support/needs.js';
import { opened, type TwoMounts, twoMounts } from '../support/two-mounts.js';

/* Locks of two mounts when the store, or a mount, is gone for a while or for good. */

const skip = withoutDrive('stamp', 'linux') || (await missingOf(['python3']));
const TEST = { skip, timeout: 120_000 };
const LEASE_MS = 10_000;

type Test = Parameters<Parameters<typeof t.test>[0]>[0];

t.test('locks of two mounts that fail', TEST, async (t) => {
  await using mounts = await twoMounts();
  await t.test('locks outlive a restart of the store', (t) => restart(t, mounts));
  await t.test('a mount that stood still has lost its locks, and says so', (t) => standsStill(t, mounts));
  await t.test('a mount that is killed gives its locks back after the lease', (t) => killedMount(t, mounts));
});

async function restart(t: Test, mounts: TwoMounts): Promise<void> {
  const { a, b } = mounts;
  await using one = await opened(a('restart'));
  await using other = await opened(b('restart'));
  await one.does('flock(f, EX)');
  await one.does('lockf(f, SH, 5, 10)');
  const waiting = await other.begins('flock(f, EX)');
  await mounts.restartStore();
  t.equal(await one.does('os.pwrite(f, b"kept", 0)'), '4');
  await using third = await opened(b('restart'));
  t.equal(await third.does('flock(f, SH | NB)'), 'EAGAIN', 'it is still held');
  t.equal(await third.does('who(f, 0, 0)'), "['shared', 10, 5, 'elsewhere']");
  t.equal(await one.does('os.fsync(f)'), 'ok', 'and can be relied on');
  t.equal(await one.does('flock(f, UN)'), 'ok');
  t.equal(await waiting.answer, 'ok', 'who waited meanwhile gets it');
  t.equal(await other.does('os.pread(f, 9, 0)'), "b'kept'");
}

async function standsStill(t: Test, mounts: TwoMounts): Promise<void> {
  const { a, b } = mounts;
  await using one = await opened(a('still'));
  await using other = await opened(b('still'));
  await one.does('lockf(f, EX)');
  await one.does('os.pwrite(f, b"mine", 0)');
  mounts.process('a').kill('SIGSTOP');
  try {
    const startedMs = performance.now();
    t.equal(await other.does('lockf(f, EX)'), 'ok', 'once the lease has ended');
    t.ok(performance.now() - startedMs > LEASE_MS / 2, 'not before');
    t.equal(await other.does('os.pwrite(f, b"theirs", 0)'), '6');
    t.equal(await other.does('os.fsync(f)'), 'ok');
  } finally {
    mounts.process('a').kill('SIGCONT');
  }
  t.equal(await one.does('os.pwrite(f, b"late", 0)'), 'EIO');
  t.equal(await one.does('os.pread(f, 4, 0)'), 'EIO', 'also of what the kernel had');
  t.equal(await one.does('os.fsync(f)'), 'EIO');
  t.equal(await one.does('lockf(f, EX | NB)'), 'EIO');
  await one.does('os.close(f)');
  t.equal(await other.does('lockf(f, UN)'), 'ok');
  t.equal(await readFile(a('still'), 'utf8'), 'theirs', 'what was written under the lost lock is not stored');
  await using again = await opened(a('still'));
  t.equal(await again.does('lockf(f, EX | NB)'), 'ok', 'who opens it again may lock it');
}

async function killedMount(t: Test, mounts: TwoMounts): Promise<void> {
  const { a, b } = mounts;
  await using one = await opened(a('killed'));
  await using other = await opened(b('killed'));
  await one.does('flock(f, EX)');
  await mounts.crashMount('a');
  t.equal(await other.does('flock(f, EX | NB)'), 'EAGAIN', 'not at once');
  t.equal(await other.does('flock(f, EX)'), 'ok', 'in the end');
  await one.kill();
  await mounts.startMount('a');
  await using again = await opened(a('killed'));
  t.equal(await again.does('flock(f, EX | NB)'), 'EAGAIN');
}
