import t from 'tap';
import { isStoreError, StoreError } from '../api/index.js';
import { type ManualClock, manualClock, type OrderedStore, seededRandom } from '../platform/index.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from './embedded-meta-store.js';
import type { MetaStoreEvent } from './meta-rows.js';
import type { MetaChange } from './meta-store.js';
import { FailingStores, type StepFault } from './testing/failing-stores.js';

const COUNTERS = ['a', 'b', 'c'];
const ROUNDS = 4;

class Fixture implements AsyncDisposable {
  readonly clock: ManualClock = manualClock();
  readonly failing = new FailingStores();
  readonly events: MetaStoreEvent[] = [];
  #meta: EmbeddedMetaStore | undefined;
  #store: OrderedStore | undefined;

  get meta(): EmbeddedMetaStore {
    return this.#meta!;
  }

  async open(): Promise<void> {
    const { clock, failing } = this;
    this.#store = await failing.open();
    this.#meta = await openEmbeddedMetaStore({
      store: this.#store,
      reopen: () => failing.open(),
      clock,
      random: seededRandom(1),
      onEvent: (event) => this.events.push(event)
    });
  }

  /** Lets time pass until a promise is settled. */
  async until<Result>(promise: Promise<Result>): Promise<Result> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    settled.catch(() => undefined);
    for (let turn = 0; !isSettled; turn++) {
      await this.clock.advance(20);
      if (turn > 10_000) throw new Error('it ends in bounded time');
    }
    return await settled;
  }

  /** Tries again what the store cannot do now. */
  async persist<Result>(run: () => Promise<Result>): Promise<Result> {
    for (let attempt = 0; attempt < 200; attempt++) {
      try {
        return await this.until(run());
      } catch (error) {
        if (!isStoreError(error, 'DiskFailed', 'ServiceUnavailable', 'NoSpace')) throw error;
        await this.clock.advance(100);
      }
    }
    throw new Error('the store never comes back');
  }

  async close(): Promise<void> {
    await this.#meta?.close();
    await this.#store?.close().catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A counter that many add to by compare-and-set; an addition without an answer is looked up before the next. */
class Counter {
  readonly #fixture: Fixture;
  readonly #key: string;
  /** What is certain. */
  value = 0;

  constructor(fixture: Fixture, key: string) {
    this.#fixture = fixture;
    this.#key = key;
  }

  async read(): Promise<{ readonly value: number; readonly revision: number }> {
    const entry = await this.#fixture.persist(() => this.#fixture.meta.find(this.#key));
    return entry
      ? { value: Number(Buffer.from(entry.value)), revision: entry.revision }
      : { value: 0, revision: 0 };
  }

  async add(): Promise<void> {
    const { value, revision } = await this.read();
    if (value !== this.value) throw new Error(`${this.#key} is ${value}, not ${this.value}`);
    const next = Buffer.from(String(value + 1));
    const { meta } = this.#fixture;
    try {
      const { committed } = await this.#fixture.until(
        meta.transact({
          compares: [{ key: this.#key, revision }],
          puts: [{ key: this.#key, value: next }]
        })
      );
      if (!committed) throw new Error(`nobody else adds to ${this.#key}`);
      this.value += 1;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      const found = await this.read();
      if (found.value !== value && found.value !== value + 1) throw new Error(`${this.#key}: ${found.value}`);
      this.value = found.value;
    }
  }
}

/** Follows all changes as `WatchedRange` does; knows each key's value in the end. */
async function follow(fixture: Fixture, signal: AbortSignal): Promise<Map<string, string>> {
  const copy = new Map<string, string>();
  const apply = (change: MetaChange): number => {
    if (change.type === 'delete') copy.delete(change.key);
    else copy.set(change.entry.key, Buffer.from(change.entry.value).toString());
    return change.type === 'delete' ? change.revision : change.entry.revision;
  };
  let revision: number | undefined;
  while (!signal.aborted) {
    try {
      if (revision === undefined) {
        const { meta } = fixture;
        const range = await meta.range('');
        revision = range.revision;
        copy.clear();
        for (const entry of range.entries) apply({ type: 'put', entry });
      }
      for await (const change of fixture.meta.watch('', { afterRevision: revision, signal }))
        revision = apply(change);
    } catch (error) {
      if (isStoreError(error, 'MetaCompacted')) revision = undefined;
      if (!signal.aborted) await fixture.clock.sleep(20, signal).catch(() => undefined);
    }
  }
  return copy;
}

async function count(fixture: Fixture): Promise<number> {
  await fixture.open();
  const counters = COUNTERS.map((key) => new Counter(fixture, key));
  const stop = new AbortController();
  const following = follow(fixture, stop.signal);
  const lease = await fixture.meta.grantLease(10_000);
  const puts = [{ key: 'leased', value: Buffer.from('x'), leaseId: lease.leaseId }];
  await fixture.persist(() => fixture.meta.transact({ compares: [], puts }));
  for (let round = 0; round < ROUNDS; round++) await Promise.all(counters.map((counter) => counter.add()));
  // It may fail; the keys go all the same.
  await fixture.until(lease.revoke().catch(() => undefined));
  await fixture.clock.advance(60_000);
  for (const counter of counters) {
    const { value } = await counter.read();
    if (value !== counter.value) throw new Error(`read ${value}, not ${counter.value}`);
    if (value > ROUNDS) throw new Error('an addition was made twice');
  }
  if (await fixture.persist(() => fixture.meta.find('leased')))
    throw new Error('a lease that ended has keys');
  await fixture.clock.advance(1000);
  const steps = fixture.failing.stepCount;
  stop.abort();
  const copy = await fixture.until(following);
  for (const [index, counter] of counters.entries()) {
    if (copy.get(COUNTERS[index]!) !== String(counter.value) && counter.value > 0)
      throw new Error(`a watch missed ${COUNTERS[index]}`);
  }
  await fixture.close();
  await fixture.failing.crash();
  await fixture.open();
  for (const counter of counters) {
    const { value } = await counter.read();
    if (value !== counter.value) throw new Error(`after a power cut ${value}, not ${counter.value}`);
  }
  return steps;
}

t.test('a fault at any step, and several in a row, lose nothing that was acknowledged', async (t) => {
  await using calm = new Fixture();
  const stepCount = await count(calm);
  t.ok(stepCount > ROUNDS, `${stepCount} steps`);
  t.same(calm.events, []);
  for (const kind of ['before', 'after'] as const satisfies readonly StepFault[]) {
    for (let step = 2; step <= stepCount; step++) {
      for (const length of [1, 2, 4]) {
        await using fixture = new Fixture();
        for (let at = step; at < step + length; at++) fixture.failing.faults.set(at, kind);
        try {
          await count(fixture);
        } catch (error) {
          t.fail(`${length} faults ${kind} step ${step}: ${error}`);
        }
        const types = fixture.events.map(({ type }) => type);
        t.ok(types.includes('meta-store-failed'), `${kind} ${step}: it failed`);
        t.equal(types.at(-1), 'meta-store-reopened', `${kind} ${step}: and came back`);
      }
    }
  }
});

t.test('calls fail at once while the store cannot be opened, and closing ends the tries', async (t) => {
  await using fixture = new Fixture();
  await fixture.open();
  const put = () => fixture.meta.transact({ compares: [], puts: [{ key: 'k', value: Buffer.from('v') }] });
  await put();
  for (let step = fixture.failing.stepCount + 1; step < 1000; step++)
    fixture.failing.faults.set(step, 'before');
  await t.rejects(put(), { code: 'DiskFailed', message: /cannot be written/ });
  await fixture.clock.advance(60_000);
  await t.rejects(put(), { code: 'DiskFailed' });
  await t.rejects(fixture.meta.find('k'), { code: 'ServiceUnavailable' });
  t.ok(fixture.failing.stepCount < 40, 'the pauses grow');
  await fixture.close();
  t.equal(fixture.clock.pendingCount(), 0);
});

t.test('a store that lost what was acknowledged stays closed and says so', async (t) => {
  await using fixture = new Fixture();
  await fixture.open();
  const put = () => fixture.meta.transact({ compares: [], puts: [{ key: 'k', value: Buffer.from('v') }] });
  await put();
  // The write, and the first opening after it was closed.
  for (const after of [1, 3]) fixture.failing.faults.set(fixture.failing.stepCount + after, 'before');
  await t.rejects(put(), { code: 'DiskFailed' });
  // Before it is opened again somebody empties it.
  fixture.failing.stores.remove('/meta');
  await fixture.clock.advance(60_000);
  await t.rejects(put(), { code: 'DiskFailed', message: /lost what was acknowledged.*Restore/ });
  await t.rejects(fixture.meta.range(''), StoreError);
});
