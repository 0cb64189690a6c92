import t from 'tap';
import { type AcquireLockInput, LIMITS, LockService, modesIn, StoreError, withMode } from '../api/index.js';
import { type ManualClock, manualClock } from '../platform/index.js';

const BUCKET = 'bucket';
const LEASE_MS = 10_000;

/** A service and the sessions of two mounts. */
function service(options: { readonly mayHaveBefore?: boolean } = {}) {
  const clock = manualClock();
  const locks = new LockService({
    clock,
    lifeId: 'life',
    mayHaveBefore: false,
    leaseMs: LEASE_MS,
    ...options
  });
  return { clock, locks, a: session(locks, 'a'), b: session(locks, 'b') };
}

function session(locks: LockService, name: string) {
  const at = { bucket: BUCKET, sessionId: `session-of-${name}-000` };
  let sequence = 0;
  const numbers = () => ({ sequence: ++sequence, settledSequence: 0 });
  const renew = () => locks.renew(at);
  renew();
  return {
    renew,
    acquire: (owner: string, input: Partial<AcquireLockInput> = {}, signal?: AbortSignal) =>
      locks.acquire(
        { ...at, ...numbers(), key: 'f', owner, mode: 'exclusive', space: 'range', ...input },
        { signal }
      ),
    release: (owner: string, input: Partial<AcquireLockInput> = {}) =>
      locks.release({ ...at, ...numbers(), key: 'f', owner, space: 'range', ...input })
  };
}

/** Renews now and then, as a mount does. */
async function advance(
  clock: ManualClock,
  durationMs: number,
  ...alive: readonly { renew: () => unknown }[]
): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 1000) {
    await clock.advance(Math.min(1000, durationMs - passedMs));
    for (const one of alive) one.renew();
  }
}

t.test('a session that is not renewed loses its locks to those who wait', async (t) => {
  const { clock, locks, a, b } = service();
  const { incarnation } = a.renew();
  await a.acquire('1');
  const waiting = b.acquire('1', { waitMs: 30_000 });
  let isGranted = false;
  void waiting.then(() => {
    isGranted = true;
  });
  await advance(clock, LEASE_MS, b);
  t.notOk(isGranted, 'not before its lease has ended');
  await advance(clock, LEASE_MS / 5, b);
  t.same(await waiting, { outcome: 'granted', fileId: 'life-1' });
  t.equal((await a.acquire('1')).outcome, 'noSession');
  t.not(a.renew().incarnation, incarnation, 'it begins anew');
  await advance(clock, 2 * LEASE_MS);
  b.renew();
  t.same(locks.counts, { sessions: 1, files: 0, segments: 0 }, 'nothing stays in memory');
});

t.test('after another service there is a time in which only locks of before are given', async (t) => {
  const { clock, a, b } = service({ mayHaveBefore: true });
  t.ok(a.renew().graceMs > LEASE_MS, 'longer than any session may still believe in its locks');
  t.equal((await b.acquire('1')).outcome, 'grace');
  t.equal((await a.acquire('1', { isReclaim: true })).outcome, 'granted');
  t.equal((await b.acquire('1', { isReclaim: true })).outcome, 'conflict');
  await advance(clock, LEASE_MS * 1.2, a, b);
  t.equal(a.renew().graceMs, 0);
  t.equal((await b.acquire('1')).outcome, 'conflict', 'it is held by whom it was held before');
  t.equal((await b.acquire('1', { key: 'g', isReclaim: true })).outcome, 'lost', 'it came too late');
});

t.test('waiting ends with its time, its session, its caller and the service', async (t) => {
  const { clock, locks, a, b } = service();
  await a.acquire('1');
  const timed = b.acquire('1', { waitMs: 2000 });
  await advance(clock, 3000, a, b);
  t.equal((await timed).outcome, 'conflict');
  const stop = new AbortController();
  const stopped = b.acquire('1', { waitMs: 30_000 }, stop.signal);
  stop.abort(new StoreError('Cancelled', 'stop'));
  await t.rejects(stopped, { code: 'Cancelled' });
  const orphaned = b.acquire('1', { waitMs: 30_000 });
  await advance(clock, LEASE_MS * 1.2, a);
  t.equal((await orphaned).outcome, 'noSession');
  b.renew();
  const refused = b.acquire('1', { waitMs: 30_000 });
  locks.close(new StoreError('ServiceUnavailable', 'closed'));
  await t.rejects(refused, { code: 'ServiceUnavailable' });
  await t.rejects(a.acquire('1'), { code: 'ServiceUnavailable' });
  t.equal(clock.pendingCount(), 0, 'no timer is left');
});

t.test('readers that come later wait for a writer who waits, unless they have locks already', async (t) => {
  const { a, b, clock } = service();
  await a.acquire('reader', { mode: 'shared', start: 0, end: 10 });
  const writer = b.acquire('writer', { waitMs: 30_000 });
  const later = a.acquire('later', { mode: 'shared', waitMs: 30_000 });
  t.equal((await a.acquire('reader', { mode: 'shared', start: 0, end: 20 })).outcome, 'granted');
  t.equal((await a.acquire('trier', { mode: 'shared' })).outcome, 'granted', 'who does not wait has no turn');
  a.release('trier');
  a.release('reader');
  t.equal((await writer).outcome, 'granted');
  b.release('writer');
  t.equal((await later).outcome, 'granted');
  t.equal(clock.pendingCount(), 0);
});

t.test('who asks again keeps the place of who has waited so long', async (t) => {
  const { a, b, clock } = service();
  await a.acquire('1');
  await advance(clock, 5000, a, b);
  const order: string[] = [];
  const young = b.acquire('young', { waitMs: 30_000 }).then(() => order.push('young'));
  const old = b.acquire('old', { waitMs: 30_000, waitedMs: 4000 }).then(() => order.push('old'));
  a.release('1');
  await old;
  b.release('old');
  await young;
  t.same(order, ['old', 'young']);
});

t.test('what flock(2) converts is given up first', async (t) => {
  const { a, b } = service();
  const flock = { space: 'flock' } as const;
  await a.acquire('1', { ...flock, mode: 'shared' });
  await b.acquire('1', { ...flock, mode: 'shared' });
  const one = a.acquire('1', { ...flock, waitMs: 30_000 });
  const other = b.acquire('1', { ...flock, waitMs: 30_000 });
  t.equal((await other).outcome, 'granted', 'two that convert do not wait for each other');
  b.release('1', flock);
  t.equal((await one).outcome, 'granted');
});

t.test('two who have a range and want it alone: the second is told', async (t) => {
  const { a, b } = service();
  await a.acquire('1', { mode: 'shared' });
  await b.acquire('1', { mode: 'shared' });
  const one = a.acquire('1', { waitMs: 30_000 });
  t.equal((await b.acquire('1', { waitMs: 30_000 })).outcome, 'deadlock');
  b.release('1');
  t.equal((await one).outcome, 'granted');
});

t.test('locks, sessions and those who wait are bounded', async (t) => {
  const { a, b, locks } = service();
  for (let index = 0; index < LIMITS.locksOfFileMax; index++)
    await a.acquire('1', { start: 2 * index, end: 2 * index + 1 });
  t.equal((await a.acquire('1', { start: 1e9 })).outcome, 'full');
  t.equal((await b.acquire('1', { key: 'g' })).outcome, 'granted');
  const stops = Array.from({ length: LIMITS.lockWaitersMax }, () => new AbortController());
  const waiting = stops.map(({ signal }, index) =>
    a.acquire(`w${index}`, { key: 'g', waitMs: 30_000 }, signal).catch(() => undefined)
  );
  t.equal((await a.acquire('last', { key: 'g', waitMs: 30_000 })).outcome, 'full');
  for (const stop of stops) stop.abort();
  await Promise.all(waiting);
  for (let index = 2; index < LIMITS.lockSessionsMax; index++)
    locks.renew({ bucket: BUCKET, sessionId: `session-${index}`.padEnd(20) });
  t.throws(() => locks.renew({ bucket: BUCKET, sessionId: 'one session more' }), { code: 'SlowDown' });
});

t.test('segments are what a byte for byte model says', async (t) => {
  const BYTES = 40;
  let random = 12345;
  const next = (limit: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return (random >>> 8) % limit;
  };
  const modes = ['shared', 'exclusive', undefined] as const;
  for (let round = 0; round < 200; round++) {
    let segments = withMode([], { start: 0, end: 1 }, undefined);
    const model = new Array<'shared' | 'exclusive' | undefined>(BYTES).fill(undefined);
    for (let step = 0; step < 20; step++) {
      const start = next(BYTES - 1);
      const end = start + 1 + next(BYTES - start - 1);
      const mode = modes[next(3)];
      segments = withMode(segments, { start, end }, mode);
      model.fill(mode, start, end);
      const said = modesIn(segments, { start: 0, end: BYTES }).flatMap(({ start, end, mode }) =>
        new Array(end - start).fill(mode)
      );
      if (said.length !== BYTES || said.some((found, index) => found !== model[index]))
        t.same(said, model, `round ${round}, step ${step}`);
      for (const [index, segment] of segments.entries()) {
        const before = segments[index - 1];
        if (
          before &&
          (before.end > segment.start || (before.end === segment.start && before.mode === segment.mode))
        )
          t.fail(`not merged in round ${round}`);
      }
    }
  }
  t.pass('all rounds');
});
