import { LockService, type StoreCalls, StoreError } from '@stampede/server/api';
import t from 'tap';
import type { BucketFileSystem } from '../bucket-file-system.js';
import type { FileHandle } from '../file-handle.js';
import { BUCKET, driveOn, errnoOf, readFile, stored } from '../testing/drive.js';
import { ObservedStore } from '../testing/observed-store.js';
import { settle, VirtualClock } from '../testing/virtual-clock.js';

const LEASE_MS = 10_000;
const PAST_LEASE_MS = 12_000;

type Space = 'range' | 'flock';

/** A program with an open file, which locks all of it or a part. */
class Program {
  readonly #handle: FileHandle;
  readonly #owner: string;
  readonly #fh: number;

  constructor(handle: FileHandle, owner: string, fh: number) {
    this.#handle = handle;
    this.#owner = owner;
    this.#fh = fh;
  }

  get handle(): FileHandle {
    return this.#handle;
  }

  take(mode: 'shared' | 'exclusive', { space = 'range' as Space, start = 0, end = 100, wait = false } = {}) {
    const all = space === 'flock' ? { start: 0, end: Number.POSITIVE_INFINITY } : { start, end };
    const request = { ...all, owner: this.#owner, space, mode, pid: 1, handle: this.#fh };
    return errnoOf(
      this.#locks.acquire(this.#handle.state, request, { wait, signal: new AbortController().signal })
    );
  }

  give({ space = 'range' as Space, start = 0, end = Number.POSITIVE_INFINITY } = {}) {
    return errnoOf(this.#locks.release(this.#handle.state, { start, end, owner: this.#owner, space }));
  }

  write(text: string) {
    return errnoOf(this.#handle.write(0, Buffer.from(text)));
  }

  /** As close(2) of one of the program's files, of which this may not be the last. */
  async closes(): Promise<string> {
    const told = await errnoOf(this.#handle.flush());
    await this.#locks.ownerClosed(this.#handle.state, this.#owner);
    return told;
  }

  async released(): Promise<void> {
    await this.#locks.handleClosed(this.#handle.state, this.#fh, this.#owner);
  }

  get #locks() {
    return this.#handle.locks!;
  }
}

/** Two mounts of one bucket with a file `f`, in virtual time. */
async function twoMounts() {
  const clock = new VirtualClock();
  const store = new ObservedStore({ clock, lockClock: clock, lockLeaseMs: LEASE_MS });
  await store.direct.buckets.create({ bucket: BUCKET });
  await store.direct.objects.put({ bucket: BUCKET, key: 'f', body: Buffer.from('first') });
  let count = 0;
  const locks = { newId: () => `session-or-file-${++count}` };
  const start = () => driveOn(store, { clock, locks });
  const [a, b] = [start(), start()];
  const program = async (mount: { fileSystem: BucketFileSystem }, owner = 'p', fh = ++count) =>
    new Program(await mount.fileSystem.open('/f', { writable: true }), owner, fh);
  return {
    clock,
    store,
    a,
    b,
    program,
    /** From now on nothing renews a session. */
    cutRenewals: () => store.fail({ call: 'locks.renew', code: 'ServiceUnavailable', times: 1e6 }),
    async [Symbol.asyncDispose]() {
      for (const mount of [a, b]) {
        await mount.fileSystem.endLocks();
        await mount[Symbol.asyncDispose]();
      }
    }
  };
}

t.test('who gets a lock reads what its last holder wrote', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  t.equal(await one.take('exclusive'), 'ok');
  t.equal(await one.write('mine!'), 'ok');
  t.equal(await other.take('shared'), 'EAGAIN');
  t.equal(await one.give(), 'ok');
  t.equal(await other.take('shared'), 'ok');
  const seen = Buffer.alloc(5);
  await other.handle.read(0, seen);
  t.equal(seen.toString(), 'mine!');
});

t.test('what cannot be stored keeps the lock when it is given back', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  await one.write('mine!');
  mounts.store.fail({ call: 'objects.edit', code: 'NoSpace' });
  t.equal(await one.give(), 'store:NoSpace');
  t.equal(await other.take('shared'), 'EAGAIN');
  t.equal(await one.give(), 'ok');
  t.equal(await other.take('shared'), 'ok');
  t.equal(await stored(mounts.store, 'f'), 'mine!');
});

t.test('what cannot be stored when a file is closed is given up with its lock', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  await one.write('mine!');
  mounts.store.fail({ call: 'objects.edit', code: 'NoSpace', times: 2 });
  t.equal(await one.closes(), 'store:NoSpace');
  t.equal(await other.take('exclusive'), 'ok');
  t.same(mounts.a.events, [{ type: 'locksLost', path: '/f', bytes: 5 }]);
  await mounts.clock.advance(60_000);
  t.equal(await stored(mounts.store, 'f'), 'first', 'nor is it stored later');
  t.equal(await one.write('late!'), 'EIO', 'whoever has the file open is told');
});

t.test('a lease that ends takes locks and unstored bytes with it, and says so', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  await one.write('mine!');
  mounts.store.fail({ call: 'objects.edit', code: 'ServiceUnavailable', times: 1e6 });
  mounts.cutRenewals();
  await mounts.clock.advance(PAST_LEASE_MS);
  mounts.store.heal();
  t.equal(await other.take('exclusive'), 'ok');
  for (const answer of [one.write('late!'), errnoOf(one.handle.fsync()), errnoOf(one.handle.flush())])
    t.equal(await answer, 'EIO');
  t.same(
    mounts.a.events.filter(({ type }) => type === 'locksLost'),
    [{ type: 'locksLost', path: '/f', bytes: 5 }]
  );
  await mounts.clock.advance(60_000);
  t.equal(await stored(mounts.store, 'f'), 'first');
  t.equal((await readFile(mounts.a.fileSystem, '/f')).toString(), 'first', 'who opens it again may read');
});

t.test('a change that is under way when the lease ends is not made any more', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  await one.write('mine!');
  const held = mounts.store.hold('objects.edit');
  const synced = errnoOf(one.handle.fsync());
  await settle();
  mounts.cutRenewals();
  await mounts.clock.advance(PAST_LEASE_MS);
  mounts.store.heal();
  t.equal(await other.take('exclusive'), 'ok');
  held.release();
  t.equal(await synced, 'EIO');
  t.equal(await stored(mounts.store, 'f'), 'first');
});

t.test('what was written beside a file is stored before its lock is given back', async (t) => {
  await using mounts = await twoMounts();
  const one = await mounts.program(mounts.a);
  for (const name of ['f-one', 'f-other']) {
    await one.take('exclusive');
    const journal = await mounts.a.fileSystem.create(`/${name}`, 0o644, { writable: true });
    await journal.write(0, Buffer.from('journal'));
    if (name === 'f-one') await one.give();
    else await one.closes();
    t.equal(await stored(mounts.store, name), 'journal');
  }
});

t.test('what lies beside a file whose locks were lost is not changed until it is closed', async (t) => {
  await using mounts = await twoMounts();
  const { fileSystem } = mounts.a;
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  const create = (name: string) => fileSystem.create(name, 0o644, { writable: true });
  const journal = await create('/f-journal');
  await journal.write(0, Buffer.from('old'));
  t.equal(await errnoOf(journal.fsync()), 'ok');
  const unstored = await create('/f-unstored');
  await unstored.write(0, Buffer.from('never'));
  mounts.cutRenewals();
  mounts.store.fail({ call: 'objects.put', code: 'ServiceUnavailable', times: 1e6 });
  await mounts.clock.advance(PAST_LEASE_MS);
  mounts.store.heal();
  t.equal(await other.take('exclusive'), 'ok');
  t.equal(await errnoOf(fileSystem.unlink('/f-journal')), 'EIO', 'it may be the next holder’s');
  t.equal(await errnoOf(fileSystem.rename('/f-journal', '/g')), 'EIO');
  t.equal(await errnoOf(create('/f-new').then((handle) => handle.fsync())), 'EIO');
  t.equal(await errnoOf(journal.write(0, Buffer.from('late'))), 'EIO');
  t.equal(await errnoOf(unstored.fsync()), 'EIO');
  t.equal(
    await errnoOf(create('/g').then((handle) => handle.fsync())),
    'ok',
    'other files are not concerned'
  );
  await one.handle.release();
  await mounts.clock.advance(60_000);
  t.equal(await stored(mounts.store, 'f-unstored'), undefined);
  t.equal(await errnoOf(fileSystem.unlink('/f-journal')), 'ok');
});

t.test('what was being read when the lease ended is not answered', async (t) => {
  await using mounts = await twoMounts();
  const one = await mounts.program(mounts.a);
  await one.take('shared');
  const held = mounts.store.hold('objects.read');
  const reading = errnoOf(one.handle.read(0, Buffer.alloc(5)));
  await settle();
  mounts.cutRenewals();
  await mounts.clock.advance(PAST_LEASE_MS);
  held.release();
  t.equal(await reading, 'EIO');
});

t.test('a machine that slept has lost its locks, although its clock stood still', async (t) => {
  await using mounts = await twoMounts();
  const one = await mounts.program(mounts.a);
  await one.take('exclusive');
  const { nowMs } = mounts.clock;
  mounts.clock.nowMs = () => nowMs.call(mounts.clock) + LEASE_MS;
  t.equal(await one.write('late!'), 'EIO');
});

t.test('a lock whose answer got lost is nobody’s', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  mounts.store.fail({ call: 'locks.acquire', code: 'ServiceUnavailable', when: 'after' });
  mounts.store.fail({ call: 'locks.release', code: 'ServiceUnavailable' });
  t.equal(await one.take('exclusive'), 'store:ServiceUnavailable');
  const waiting = other.take('exclusive', { wait: true });
  await mounts.clock.advance(2000);
  t.equal(await waiting, 'ok');
});

t.test('a lock that cannot be given back goes back later', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('exclusive');
  mounts.store.fail({ call: 'locks.release', code: 'ServiceUnavailable', times: 3 });
  t.equal(await one.give(), 'ok');
  t.equal(await other.take('exclusive'), 'EAGAIN');
  await mounts.clock.advance(2000);
  t.equal(await other.take('exclusive'), 'ok');
});

t.test('a lock without a look at the file is of no use, but what was held before stays', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  await one.take('shared', { start: 0, end: 10 });
  mounts.store.fail({ call: 'objects.head', code: 'InternalError' });
  t.equal(await one.take('exclusive', { start: 5, end: 20 }), 'store:InternalError');
  t.equal(await other.take('shared', { start: 10, end: 30 }), 'ok');
  t.equal(await other.take('exclusive', { start: 0, end: 5 }), 'EAGAIN');
});

t.test('a flock that cannot be converted is given up', async (t) => {
  await using mounts = await twoMounts();
  const [one, other] = [await mounts.program(mounts.a), await mounts.program(mounts.b)];
  const space = 'flock';
  await one.take('shared', { space });
  mounts.store.fail({ call: 'locks.acquire', code: 'SlowDown' });
  t.equal(await one.take('exclusive', { space }), 'store:SlowDown');
  t.equal(await other.take('exclusive', { space }), 'ok');
});

t.test('the end of an open file ends no locks that were taken through another one', async (t) => {
  await using mounts = await twoMounts();
  const [old, neighbour] = [await mounts.program(mounts.a, 'p', 1), await mounts.program(mounts.a, 'q', 2)];
  await old.take('exclusive');
  await neighbour.take('shared', { start: 500, end: 600 });
  await old.closes();
  const again = await mounts.program(mounts.a, 'p', 3);
  t.equal(await again.take('exclusive'), 'ok');
  // Its last copy, which a child had.
  await old.released();
  const other = await mounts.program(mounts.b);
  t.equal(await other.take('shared'), 'EAGAIN');
  await again.released();
  t.equal(await other.take('shared'), 'ok');
});

t.test('a session that nobody needs is ended, and begun again', async (t) => {
  await using mounts = await twoMounts();
  const one = await mounts.program(mounts.a);
  await one.take('exclusive');
  await one.give();
  await mounts.clock.advance(LEASE_MS);
  t.ok(mounts.store.takeCalls().includes('locks.end'));
  await mounts.clock.advance(10 * LEASE_MS);
  t.notOk(
    mounts.store.takeCalls().some((call) => call.startsWith('locks.')),
    'nothing is renewed'
  );
  t.equal(await one.take('exclusive'), 'ok');
  await mounts.clock.advance(10 * LEASE_MS);
  t.equal(await one.write('mine!'), 'ok', 'what is held is');
});

/** What happens to the first renewal, or to the first claim, after a new start of the store. */
const TROUBLES = [{ name: 'calm' }, { name: 'renew', isDone: true }, { name: 'acquire', isDone: false }];

for (const trouble of TROUBLES)
  t.test(`locks are claimed from a store that was started anew: ${trouble.name}`, async (t) => {
    await using mounts = await twoMounts();
    const { clock, store } = mounts;
    const [one, neighbour] = [await mounts.program(mounts.a), await mounts.program(mounts.a, 'q')];
    const other = await mounts.program(mounts.b);
    await one.take('exclusive');
    await neighbour.take('exclusive', { start: 200, end: 300 });
    const anew = new LockService({ clock, lifeId: 'next', mayHaveBefore: true, leaseMs: LEASE_MS });
    Object.assign(store.observed.locks, callsOf(anew, trouble));
    await clock.advance(LEASE_MS / 2);
    const waiting = other.take('exclusive', { start: 200, end: 300, wait: true });
    await clock.advance(1000);
    t.equal(await neighbour.give({ start: 200, end: 300 }), 'ok', 'given back while they are claimed');
    await clock.advance(2 * LEASE_MS);
    t.equal(await waiting, 'ok');
    t.equal(await other.take('shared'), 'EAGAIN', 'it is still held');
    t.equal(await one.write('mine!'), 'ok');
    t.equal(await errnoOf(one.handle.fsync()), 'ok');
  });

function callsOf(
  locks: LockService,
  trouble: { readonly name: string; readonly isDone?: boolean }
): StoreCalls['locks'] {
  let isOver = false;
  const troubled = async <Result>(name: string, run: () => Result | Promise<Result>): Promise<Result> => {
    const isHit = !isOver && name === trouble.name;
    if (isHit) isOver = true;
    const result = isHit && !trouble.isDone ? undefined : await run();
    if (isHit) throw new StoreError('ServiceUnavailable', `${name} fails in this test`);
    return result!;
  };
  return {
    renew: (input) => troubled('renew', () => locks.renew(input)),
    acquire: (input, options) => troubled('acquire', () => locks.acquire(input, options)),
    release: async (input) => locks.release(input),
    find: async (input) => locks.find(input),
    end: async (input) => locks.end(input)
  };
}
