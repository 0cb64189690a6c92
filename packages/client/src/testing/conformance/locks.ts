import type { AcquireLockInput, AcquireLockResult } from '@stampede/server/api';
import { fails, type Section, type TestBucket } from './fixture.js';

const WAIT_MS = 20_000;
const CALLS_BEHIND = 10;

type Wish = Partial<Pick<AcquireLockInput, 'fileId' | 'isUnnamed' | 'space' | 'start' | 'end' | 'waitMs'>>;

/** One holder of locks, as a mount is. */
class Holder {
  readonly #bucket: TestBucket;
  readonly sessionId: string;
  #sequence = 0;

  private constructor(bucket: TestBucket, sessionId: string) {
    this.#bucket = bucket;
    this.sessionId = sessionId;
  }

  static async open(bucket: TestBucket, name: string): Promise<Holder> {
    const holder = new Holder(bucket, `session-of-${name}-0000`);
    await holder.renew();
    return holder;
  }

  get session() {
    return { bucket: this.#bucket.name, sessionId: this.sessionId };
  }

  renew() {
    return this.#bucket.calls.locks.renew(this.session);
  }

  acquire(
    owner: string,
    key: string,
    mode: 'shared' | 'exclusive',
    wish: Wish = {},
    options: { signal?: AbortSignal } = {}
  ) {
    return this.#bucket.calls.locks.acquire(
      { ...this.session, key, owner, mode, space: 'range', ...wish, ...this.numbers() },
      options
    );
  }

  release(owner: string, key: string, wish: Wish = {}) {
    const { waitMs: _, ...where } = wish;
    return this.#bucket.calls.locks.release({
      ...this.session,
      key,
      owner,
      space: 'range',
      ...where,
      ...this.numbers()
    });
  }

  find(owner: string, key: string, mode: 'shared' | 'exclusive', wish: Wish = {}) {
    const { waitMs: _, ...where } = wish;
    return this.#bucket.calls.locks.find({
      ...this.session,
      key,
      owner,
      mode,
      space: 'range',
      ...where
    });
  }

  numbers() {
    return { sequence: ++this.#sequence, settledSequence: 0 };
  }
}

export const locks: Section = async (t, fixture) => {
  const open = async () => {
    const bucket = await fixture.bucket();
    return { bucket, a: await Holder.open(bucket, 'a'), b: await Holder.open(bucket, 'b') };
  };

  await t.test('a session lasts while it is renewed, and is another one after its end', async (t) => {
    const { bucket, a } = await open();
    const { incarnation } = await a.renew();
    t.equal((await a.renew()).incarnation, incarnation);
    const { leaseMs, graceMs, ...other } = await bucket.calls.locks.renew({
      bucket: bucket.name,
      sessionId: 'another-session-00'
    });
    t.ok(leaseMs > 0);
    t.ok(other.incarnation !== incarnation);
    t.equal(graceMs, 0);
    await bucket.calls.locks.end(a.session);
    t.equal((await a.acquire('1', 'f', 'shared')).outcome, 'noSession');
    t.ok((await a.renew()).incarnation !== incarnation);
  });

  await t.test('readers share a range, a writer has it alone', async (t) => {
    const { a, b } = await open();
    t.equal((await a.acquire('1', 'f', 'shared')).outcome, 'granted');
    t.equal(
      (await b.acquire('1', 'f', 'shared')).outcome,
      'granted',
      'whether the names are the same or not'
    );
    const refused = await b.acquire('2', 'f', 'exclusive');
    t.equal(refused.outcome, 'conflict');
    t.equal((await b.acquire('1', 'f', 'exclusive')).outcome, 'conflict', 'of his own only');
    await a.release('1', 'f');
    t.equal((await b.acquire('1', 'f', 'exclusive')).outcome, 'granted', 'an owner is not in his own way');
    t.equal((await a.acquire('1', 'f', 'shared')).outcome, 'conflict');
    t.equal((await a.acquire('1', 'g', 'exclusive')).outcome, 'granted', 'another file');
  });

  await t.test('ranges are cut, joined and told to who asks', async (t) => {
    const { a, b } = await open();
    await a.acquire('1', 'f', 'exclusive', { start: 10, end: 30 });
    await a.acquire('1', 'f', 'shared', { start: 15, end: 20 });
    await a.release('1', 'f', { start: 25 });
    const find = async (start: number, end?: number, mode: 'shared' | 'exclusive' = 'exclusive') => {
      const found = await b.find('1', 'f', mode, { start, ...(end !== undefined && { end }) });
      return found.outcome === 'conflict'
        ? [found.conflict.mode, found.conflict.start, found.conflict.end]
        : found.outcome;
    };
    t.same(await find(0, 10), 'free');
    t.same(await find(0, 11), ['exclusive', 10, 15]);
    t.same(await find(15, 20), ['shared', 15, 20]);
    t.same(await find(15, 20, 'shared'), 'free');
    t.same(await find(20), ['exclusive', 20, 25]);
    t.same(await find(25), 'free');
    await a.acquire('1', 'f', 'exclusive', { start: 15, end: 20 });
    t.same(await find(0), ['exclusive', 10, 25], 'neighbours are one');
    await a.acquire('1', 'f', 'exclusive', { start: 25 });
    t.same(await find(2 ** 50), ['exclusive', 10, undefined], 'for ever');
    const found = await a.find('2', 'f', 'shared');
    t.equal(found.outcome === 'conflict' && found.conflict.isOwnSession, true);
    t.equal((await a.find('1', 'f', 'exclusive')).outcome, 'free');
  });

  await t.test('flock and ranges do not see each other', async (t) => {
    const { a, b } = await open();
    t.equal((await a.acquire('1', 'f', 'exclusive')).outcome, 'granted');
    t.equal((await b.acquire('1', 'f', 'exclusive', { space: 'flock' })).outcome, 'granted');
    t.equal((await a.acquire('1', 'f', 'shared', { space: 'flock' })).outcome, 'conflict');
  });

  await t.test('who waits is served in order when the lock comes free', async (t) => {
    const { a, b } = await open();
    await a.acquire('1', 'f', 'exclusive');
    const order: string[] = [];
    const wait = async (name: string, holder: Holder, mode: 'shared' | 'exclusive') => {
      const { outcome } = await holder.acquire(name, 'f', mode, { waitMs: WAIT_MS });
      order.push(`${name} ${outcome}`);
    };
    const writer = wait('writer', b, 'exclusive');
    await isWaiting(b);
    const reader = wait('reader', a, 'shared');
    await isWaiting(a);
    await a.release('1', 'f');
    await writer;
    t.same(order, ['writer granted']);
    await b.release('writer', 'f');
    await reader;
    t.same(order, ['writer granted', 'reader granted']);
  });

  await t.test('who gives up waiting gets nothing, and is in nobody’s way', async (t) => {
    const { a, b } = await open();
    await a.acquire('1', 'f', 'shared');
    const stop = new AbortController();
    const waiting = b.acquire('1', 'f', 'exclusive', { waitMs: WAIT_MS }, { signal: stop.signal });
    await isWaiting(b);
    stop.abort();
    await fails(t, waiting, 'Cancelled', 'waiting');
    await eventually(async () => {
      const { outcome } = await a.acquire('2', 'f', 'shared', { waitMs: 10 });
      return outcome === 'granted';
    });
    await a.release('1', 'f');
    await a.release('2', 'f');
    t.equal((await a.acquire('3', 'f', 'exclusive')).outcome, 'granted');
    const late = await b.acquire('1', 'f', 'exclusive', { waitMs: 1 });
    t.equal(late.outcome, 'conflict', 'waiting has its time');
  });

  await t.test('whoever would wait for himself is told', async (t) => {
    const { a, b } = await open();
    await a.acquire('1', 'f', 'exclusive');
    await b.acquire('1', 'g', 'exclusive');
    const waiting = a.acquire('1', 'g', 'exclusive', { waitMs: WAIT_MS });
    await isWaiting(a);
    const other = b.acquire('1', 'f', 'shared', { waitMs: WAIT_MS });
    const [told, holder, key] = await Promise.race([
      waiting.then(({ outcome }) => [outcome, a, 'f'] as const),
      other.then(({ outcome }) => [outcome, b, 'g'] as const)
    ]);
    t.equal(told, 'deadlock');
    await holder.release('1', key);
    const outcomes = (await Promise.all([waiting, other])).map(({ outcome }) => outcome);
    t.same(outcomes.sort(), ['deadlock', 'granted']);
  });

  await t.test('a session that ends gives back what it held', async (t) => {
    const { bucket, a, b } = await open();
    await a.acquire('1', 'f', 'exclusive');
    const waiting = b.acquire('1', 'f', 'exclusive', { waitMs: WAIT_MS });
    await isWaiting(b);
    await bucket.calls.locks.end(a.session);
    t.equal((await waiting).outcome, 'granted');
  });

  await t.test('locks stay with a file that is renamed, replaced or removed', async (t) => {
    const { bucket, a, b } = await open();
    const { objects } = bucket.calls;
    for (const key of ['f', 'other']) await bucket.put(key);
    const fileId = idOf(await a.acquire('1', 'f', 'exclusive'));
    await objects.rename({ ...bucket.at('f'), to: { key: 'd/g' } });
    t.equal((await b.acquire('1', 'f', 'exclusive')).outcome, 'granted', 'the old name is free');
    t.equal((await b.acquire('1', 'd/g', 'shared')).outcome, 'conflict', 'the new one is not');
    await objects.renamePrefix({ bucket: bucket.name, prefix: 'd/', to: 'e/' });
    t.equal((await b.acquire('1', 'e/g', 'shared')).outcome, 'conflict');
    await objects.rename({ ...bucket.at('other'), to: { key: 'e/g' } });
    t.equal((await b.acquire('1', 'e/g', 'exclusive')).outcome, 'granted', 'another file');
    const byId = { fileId, isUnnamed: true };
    t.equal((await b.acquire('1', 'f', 'shared', byId)).outcome, 'conflict', 'it is still held');
    await a.release('1', 'f', { fileId });
    t.equal((await b.acquire('1', 'f', 'shared', byId)).outcome, 'granted');
    await objects.delete(bucket.at('e/g'));
    await bucket.put('e/g');
    t.equal((await a.acquire('1', 'e/g', 'exclusive')).outcome, 'granted', 'of a removed file nothing stays');
  });

  await t.test('a call that was given up does nothing when it arrives late', async (t) => {
    const { bucket, a, b } = await open();
    const late = { ...a.numbers() };
    await a.acquire('1', 'g', 'shared');
    const numbers = { sequence: 100, settledSequence: 99 };
    await bucket.calls.locks.release({ ...a.session, key: 'f', owner: '1', space: 'range', ...numbers });
    const call = { ...a.session, key: 'f', owner: '1', space: 'range' as const, mode: 'exclusive' as const };
    await fails(t, bucket.calls.locks.acquire({ ...call, ...late }), 'Cancelled', 'late');
    t.equal((await b.acquire('1', 'f', 'exclusive')).outcome, 'granted');
  });

  await t.test('wrong ranges and modes are refused', async (t) => {
    const { a } = await open();
    await fails(t, a.acquire('1', 'f', 'shared', { start: 5, end: 5 }), 'InvalidArgument', 'an empty range');
    await fails(t, a.acquire('1', 'f', 'shared', { start: -1 }), 'InvalidArgument', 'before the file');
    await fails(t, a.acquire('1', '', 'shared'), 'InvalidArgument', 'no key');
    await fails(t, a.acquire('1', 'f', 'both' as 'shared'), 'InvalidArgument', 'a mode');
  });
};

/** What was sent before has arrived, also where each call may take a connection of its own. */
async function isWaiting(holder: Holder): Promise<void> {
  for (let call = 0; call < CALLS_BEHIND; call++) {
    await holder.renew();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setImmediate(resolve));
}

function idOf(result: AcquireLockResult): string {
  return result.outcome === 'granted' ? result.fileId : `not granted: ${result.outcome}`;
}
