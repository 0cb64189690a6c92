import { setImmediate as turnOfEvents } from 'node:timers/promises';
import type t from 'tap';
import { isStoreError, LIMITS } from '../../api/index.js';
import type { MetaChange, MetaStore } from '../meta-store.js';

/** Anything that subtests can be added to. */
type Test = Pick<typeof t, 'test'>;

/** One deployment of the store under test. */
export interface MetaStoreFixture extends AsyncDisposable {
  readonly store: MetaStore;
  /** Another member with leases of its own. */
  connect(): Promise<MetaMember>;
  /** Ends the life of `store` as a killed process would, and opens it again. */
  reopen(): Promise<MetaStore>;
  /** Lets time pass as the store sees it. */
  pass(durationMs: number): Promise<void>;
  elapsedMs(): number;
}

export interface MetaMember {
  readonly store: MetaStore;
  /** From now on nothing that the member sends arrives. */
  cutOff(): void;
}

const TIME_TO_LIVE_MS = 2000;
const { signal: NEVER } = new AbortController();

/** What every implementation of `MetaStore` must do, embedded or remote. */
export function metaStoreConformance(t: Test, open: () => Promise<MetaStoreFixture>): void {
  entryTests(t, open);
  limitTests(t, open);
  watchTests(t, open);
  leaseTests(t, open);
  electionTests(t, open);
  restartTests(t, open);
}

function entryTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test('finds what was put, with the revision that wrote it and the one that created it', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    t.equal(await store.find('a'), undefined);
    const created = await put(store, 'a', 'one');
    const changed = await put(store, 'a', 'two');
    t.equal(changed, created + 1);
    const entry = (await store.find('a'))!;
    t.same([text(entry.value), entry.revision, entry.createRevision], ['two', changed, created]);
    await store.transact({ compares: [], deletes: ['a'] });
    t.equal(await store.find('a'), undefined);
    const again = await put(store, 'a', 'three');
    t.equal((await store.find('a'))?.createRevision, again);
  });

  t.test('applies a transaction whole when every compare holds, and else not at all', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const revision = await put(store, 'a', 'one');
    const rows = [
      { name: 'absent key', compares: [{ key: 'a', revision: 0 }] },
      { name: 'older revision', compares: [{ key: 'a', revision: revision - 1 }] },
      { name: 'key that is not there', compares: [{ key: 'b', revision }] },
      {
        name: 'one of two',
        compares: [
          { key: 'a', revision },
          { key: 'b', revision: 1 }
        ]
      }
    ];
    for (const { name, compares } of rows) {
      t.same(
        await store.transact({ compares, puts: [entry('b', 'x')], deletes: ['a'] }),
        { committed: false },
        name
      );
    }
    t.equal(text((await store.find('a'))!.value), 'one');
    t.equal(await store.find('b'), undefined);
    const compares = [
      { key: 'a', revision },
      { key: 'b', revision: 0 }
    ];
    t.match(await store.transact({ compares, puts: [entry('b', 'x')], deletes: ['a'] }), { committed: true });
    t.equal(await store.find('a'), undefined);
    t.equal(text((await store.find('b'))!.value), 'x');
  });

  t.test('loses no update when many compare and set at the same time', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    await put(store, 'count', '0');
    const increment = async (): Promise<void> => {
      for (;;) {
        const found = (await store.find('count'))!;
        const result = await store.transact({
          compares: [{ key: 'count', revision: found.revision }],
          puts: [entry('count', String(Number(text(found.value)) + 1))]
        });
        if (result.committed) return;
      }
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let round = 0; round < 5; round++) await increment();
      })
    );
    t.equal(text((await store.find('count'))!.value), '40');
  });

  t.test('reads a range in the order of bytes, without its neighbours', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const before = (await store.range('')).revision;
    const inside = ['p/', 'p/a', 'p/a/b', 'p/z', 'p/é', 'p/\uffff', 'p/😀'];
    for (const key of [...inside, 'o', 'p', 'p0', 'q'].reverse()) await put(store, key, key);
    const { entries, revision } = await store.range('p/');
    t.same(
      entries.map(({ key }) => key),
      inside
    );
    t.same(
      entries.map(({ value }) => text(value)),
      inside
    );
    t.equal(revision, before + inside.length + 4);
    t.equal((await store.range('')).entries.length, inside.length + 4);
    t.same((await store.range('nothing')).entries, []);
  });

  t.test('reads a range as of one revision while others write', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const puts = (round: number) => [entry('p/a', String(round)), entry('p/b', String(round))];
    await store.transact({ compares: [], puts: puts(0) });
    const writes = (async () => {
      for (let round = 1; round <= 30; round++) await store.transact({ compares: [], puts: puts(round) });
    })();
    for (let round = 0; round < 15; round++) {
      const { entries, revision } = await store.range('p/');
      t.equal(text(entries[0]!.value), text(entries[1]!.value));
      t.equal(entries[0]!.revision, revision);
    }
    await writes;
  });

  t.test('answers a caller that has given up with Cancelled', async (t) => {
    await using fixture = await open();
    const signal = AbortSignal.abort();
    await t.rejects(fixture.store.find('a', { signal }), { code: 'Cancelled' });
    await t.rejects(fixture.store.transact({ compares: [] }, { signal }), { code: 'Cancelled' });
  });
}

function limitTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test('accepts a transaction at its limits', async (t) => {
    await using fixture = await open();
    const puts = entries(LIMITS.metaTransactionOperationsMax);
    const compares = puts.map(({ key }) => ({ key, revision: 0 }));
    t.match(await fixture.store.transact({ compares, puts }), { committed: true });
    const value = new Uint8Array(LIMITS.metaValueBytesMax).fill(7);
    t.match(await fixture.store.transact({ compares: [], puts: [{ key: 'large', value }] }), {
      committed: true
    });
    t.same((await fixture.store.find('large'))?.value, value);
  });

  t.test('refuses with InvalidArgument what some implementation could not hold', async (t) => {
    await using fixture = await open();
    const half = new Uint8Array(LIMITS.metaTransactionBytesMax / 2);
    const rows = [
      { name: 'too many puts', puts: entries(LIMITS.metaTransactionOperationsMax + 1) },
      { name: 'too many changes', puts: entries(LIMITS.metaTransactionOperationsMax), deletes: ['x'] },
      {
        name: 'too many compares',
        compares: entries(LIMITS.metaTransactionOperationsMax + 1).map(({ key }) => ({ key, revision: 0 }))
      },
      {
        name: 'too large a value',
        puts: [{ key: 'a', value: new Uint8Array(LIMITS.metaValueBytesMax + 1) }]
      },
      {
        name: 'too many bytes',
        puts: [
          { key: 'a', value: half },
          { key: 'b', value: half }
        ]
      },
      { name: 'a key twice', puts: [entry('a', '1'), entry('a', '2')] },
      { name: 'a key put and deleted', puts: [entry('a', '1')], deletes: ['a'] },
      { name: 'an empty key', puts: [entry('', '1')] }
    ];
    for (const { name, ...transaction } of rows) {
      await t.rejects(
        fixture.store.transact({ compares: [], ...transaction }),
        { code: 'InvalidArgument' },
        name
      );
    }
    t.same((await fixture.store.range('')).entries, []);
  });
}

function watchTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test(
    'gives every change under the prefix after the revision, in order, past ones included',
    async (t) => {
      await using fixture = await open();
      const { store } = fixture;
      const first = await put(store, 'p/a', '1');
      await put(store, 'p/a', '2');
      await put(store, 'other', 'x');
      await store.transact({ compares: [], puts: [entry('p/b', '3')], deletes: ['p/a'] });
      const changes = take(store, { prefix: 'p/', afterRevision: first, count: 4 });
      await put(store, 'p/c', '4');
      const seen = await changes;
      t.same(seen[0], { type: 'put', key: 'p/a', value: '2', revision: first + 1 });
      // The order within one transaction is open.
      t.same(seen.slice(1, 3).sort(byKey), [
        { type: 'delete', key: 'p/a', value: undefined, revision: first + 3 },
        { type: 'put', key: 'p/b', value: '3', revision: first + 3 }
      ]);
      t.same(seen[3], { type: 'put', key: 'p/c', value: '4', revision: first + 4 });
    }
  );

  t.test('misses nothing when a watch starts at the revision of a range', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const writes = (async () => {
      for (let round = 0; round < 40; round++) await put(store, `p/${round}`, '');
    })();
    await put(store, 'p/x', '');
    const { entries: found, revision } = await store.range('p/');
    const changes = await take(store, { prefix: 'p/', afterRevision: revision, count: 41 - found.length });
    await writes;
    const keys = [...found.map(({ key }) => key), ...changes.map(({ key }) => key)];
    t.equal(new Set(keys).size, 41);
    t.equal(keys.length, 41);
  });

  t.test('ends a watch when its signal aborts, also one that nobody reads yet', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const controller = new AbortController();
    const read = take(store, { prefix: 'p', afterRevision: 0, count: 1, signal: controller.signal });
    const unread = store.watch('p', { afterRevision: 0, signal: controller.signal });
    controller.abort();
    t.same(await read, []);
    for await (const change of unread) t.fail(`an aborted watch gave ${change.type}`);
  });

  t.test('reports no change for a delete of what is absent and for a failed compare', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const revision = await put(store, 'a', '1');
    await store.transact({ compares: [], deletes: ['absent'] });
    await store.transact({ compares: [{ key: 'a', revision: 0 }], puts: [entry('a', 'no')] });
    await put(store, 'a', '2');
    const [change] = await take(store, { prefix: '', afterRevision: revision, count: 1 });
    t.match(change, { type: 'put', key: 'a', value: '2' });
  });
}

function leaseTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test('keeps the keys of a lease while its holder lives, and drops them when it is revoked', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const revision = await putLeased(store, 'a', lease.leaseId);
    await put(store, 'b', 'stays');
    await fixture.pass(3 * TIME_TO_LIVE_MS);
    t.ok(await store.find('a'));
    t.equal(lease.lost.aborted, false);
    const remainingMs = lease.deadlineElapsedMs() - fixture.elapsedMs();
    t.ok(
      remainingMs > 0 && remainingMs < TIME_TO_LIVE_MS,
      `${remainingMs} ms are less than the time to live`
    );
    await lease.revoke();
    t.equal(lease.lost.aborted, true);
    t.ok(lease.deadlineElapsedMs() <= fixture.elapsedMs());
    t.equal(await store.find('a'), undefined);
    t.ok(await store.find('b'));
    const changes = await take(store, { prefix: 'a', afterRevision: revision, count: 1 });
    t.match(changes, [{ type: 'delete', key: 'a' }]);
  });

  t.test('drops the keys of a member that was cut off, after the member knows', async (t) => {
    await using fixture = await open();
    const member = await fixture.connect();
    const lease = await member.store.grantLease(TIME_TO_LIVE_MS);
    await putLeased(member.store, 'a', lease.leaseId);
    member.cutOff();
    t.ok(await fixture.store.find('a'), 'the time to live has not passed');
    let lostAtMs = Infinity;
    lease.lost.addEventListener('abort', () => {
      lostAtMs = fixture.elapsedMs();
    });
    while (await fixture.store.find('a')) await fixture.pass(TIME_TO_LIVE_MS / 20);
    t.ok(lostAtMs <= fixture.elapsedMs());
    t.ok(lease.deadlineElapsedMs() <= fixture.elapsedMs(), 'the holder stopped before the keys went');
    await t.rejects(member.store.find('a'), { code: 'ServiceUnavailable' });
  });

  t.test(
    'keeps a key that was put again without the lease, and drops one that moved to another',
    async (t) => {
      await using fixture = await open();
      const { store } = fixture;
      const [first, second] = [
        await store.grantLease(TIME_TO_LIVE_MS),
        await store.grantLease(TIME_TO_LIVE_MS)
      ];
      await putLeased(store, 'kept', first.leaseId);
      await putLeased(store, 'moved', first.leaseId);
      await put(store, 'kept', 'no lease');
      await putLeased(store, 'moved', second.leaseId);
      await first.revoke();
      t.ok(await store.find('kept'));
      t.ok(await store.find('moved'));
      await second.revoke();
      t.ok(await store.find('kept'));
      t.equal(await store.find('moved'), undefined);
    }
  );

  t.test('refuses a put with a lease that has ended', async (t) => {
    await using fixture = await open();
    const lease = await fixture.store.grantLease(TIME_TO_LIVE_MS);
    await lease.revoke();
    await t.rejects(putLeased(fixture.store, 'a', lease.leaseId), { code: 'StaleEpoch' });
    t.equal(await fixture.store.find('a'), undefined);
  });
}

function electionTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test('elects candidates in order, each with a greater epoch', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    t.equal(await store.findLeader('e'), undefined);
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const first = await store.campaign('e', 'one', { lease, signal: NEVER });
    t.same(await store.findLeader('e'), { candidate: 'one', epoch: first.epoch });

    const order: string[] = [];
    const run = async (candidate: string): Promise<number> => {
      const leadership = await store.campaign('e', candidate, { lease, signal: NEVER });
      order.push(candidate);
      t.match(await store.findLeader('e'), { candidate, epoch: leadership.epoch });
      await leadership.resign();
      return leadership.epoch;
    };
    const second = run('two');
    await until(async () => (await store.range('elections/e/')).entries.length === 2);
    const third = run('three');
    await until(async () => (await store.range('elections/e/')).entries.length === 3);
    t.same(order, [], 'they wait while the first one leads');

    await first.resign();
    t.equal(first.lost.aborted, true);
    const epochs = [first.epoch, await second, await third];
    t.same(order, ['two', 'three']);
    t.same(
      epochs,
      epochs.toSorted((a, b) => a - b)
    );
    t.equal(new Set(epochs).size, 3);
    t.equal(await store.findLeader('e'), undefined);
  });

  t.test('keeps elections apart whose names begin alike', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    for (const name of ['e', 'e/f', 'e2']) await store.campaign(name, name, { lease, signal: NEVER });
    for (const name of ['e', 'e/f', 'e2']) t.match(await store.findLeader(name), { candidate: name });
  });

  t.test(
    'lets transactions through with the proof of the leader, and none with that of a former one',
    async (t) => {
      await using fixture = await open();
      const { store } = fixture;
      const lease = await store.grantLease(TIME_TO_LIVE_MS);
      const leadership = await store.campaign('e', 'one', { lease, signal: NEVER });
      const transaction = { compares: [leadership.proof], puts: [entry('a', '1')] };
      t.match(await store.transact(transaction), { committed: true });
      await leadership.resign();
      t.match(await store.transact(transaction), { committed: false });
    }
  );

  t.test('elects the next one when the leader is cut off, and not before the leader knows', async (t) => {
    await using fixture = await open();
    const member = await fixture.connect();
    const lease = await member.store.grantLease(TIME_TO_LIVE_MS);
    const former = await member.store.campaign('e', 'one', { lease, signal: NEVER });
    const ownLease = await fixture.store.grantLease(10 * TIME_TO_LIVE_MS);
    let isElected = false;
    const next = fixture.store.campaign('e', 'two', { lease: ownLease, signal: NEVER }).then((leadership) => {
      isElected = true;
      t.equal(former.lost.aborted, true);
      t.ok(lease.deadlineElapsedMs() <= fixture.elapsedMs());
      return leadership;
    });
    member.cutOff();
    while (!isElected) await fixture.pass(TIME_TO_LIVE_MS / 20);
    const leadership = await next;
    t.ok(leadership.epoch > former.epoch);
    t.match(await fixture.store.transact({ compares: [former.proof], puts: [entry('a', '1')] }), {
      committed: false
    });
  });

  t.test('takes a candidate out that gives up', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const leadership = await store.campaign('e', 'one', { lease, signal: NEVER });
    const controller = new AbortController();
    const waiting = store.campaign('e', 'two', { lease, signal: controller.signal });
    await until(async () => (await store.range('elections/e/')).entries.length === 2);
    controller.abort();
    await t.rejects(waiting, { code: 'Cancelled' });
    await leadership.resign();
    t.equal(await store.findLeader('e'), undefined);
  });

  t.test('tells a leader and a candidate that their lease ended', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const leadership = await store.campaign('e', 'one', { lease, signal: NEVER });
    const candidateLease = await store.grantLease(TIME_TO_LIVE_MS);
    const waiting = store.campaign('e', 'two', { lease: candidateLease, signal: NEVER });
    await until(async () => (await store.range('elections/e/')).entries.length === 2);
    await Promise.all([candidateLease.revoke(), t.rejects(waiting, { code: 'StaleEpoch' })]);
    await lease.revoke();
    t.equal(leadership.lost.aborted, true);
  });

  t.test('tells a leader whose key someone deleted', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const leadership = await store.campaign('e', 'one', { lease, signal: NEVER });
    await store.transact({ compares: [], deletes: [leadership.proof.key] });
    await until(async () => leadership.lost.aborted);
    t.equal(lease.lost.aborted, false);
  });
}

function restartTests(t: Test, open: () => Promise<MetaStoreFixture>): void {
  t.test(
    'keeps entries and revisions over a restart, and drops leased keys of the life before',
    async (t) => {
      await using fixture = await open();
      const created = await put(fixture.store, 'a', 'one');
      const changed = await put(fixture.store, 'a', 'two');
      const lease = await fixture.store.grantLease(TIME_TO_LIVE_MS);
      const leadership = await fixture.store.campaign('e', 'one', { lease, signal: NEVER });
      const store = await fixture.reopen();
      await fixture.pass(2 * TIME_TO_LIVE_MS);
      const found = (await store.find('a'))!;
      t.same([text(found.value), found.revision, found.createRevision], ['two', changed, created]);
      t.equal(await store.findLeader('e'), undefined);
      const newLease = await store.grantLease(TIME_TO_LIVE_MS);
      const next = await store.campaign('e', 'two', { lease: newLease, signal: NEVER });
      t.ok(next.epoch > leadership.epoch);
      t.ok((await put(store, 'a', 'three')) > next.epoch);
    }
  );

  t.test('refuses calls and ends watches once closed', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const watching = take(store, { prefix: '', afterRevision: 0, count: 1 });
    await Promise.all([
      t.rejects(watching, { code: 'ServiceUnavailable' }),
      turnOfEvents().then(() => Promise.all([store.close(), store.close()]))
    ]);
    await t.rejects(store.find('a'), { code: 'ServiceUnavailable' });
    await t.rejects(put(store, 'a', '1'), { code: 'ServiceUnavailable' });
  });
}

interface SeenChange {
  readonly type: MetaChange['type'];
  readonly key: string;
  readonly value: string | undefined;
  readonly revision: number;
}

interface TakeOptions {
  readonly prefix: string;
  readonly afterRevision: number;
  readonly count: number;
  readonly signal?: AbortSignal;
}

/** The first `count` changes, fewer when the watch ends. */
async function take(store: MetaStore, options: TakeOptions): Promise<SeenChange[]> {
  const { prefix, afterRevision, count, signal = NEVER } = options;
  const seen: SeenChange[] = [];
  if (count === 0) return seen;
  for await (const change of store.watch(prefix, { afterRevision, signal })) {
    const { key, revision } = change.type === 'put' ? change.entry : change;
    const value = change.type === 'put' ? text(change.entry.value) : undefined;
    seen.push({ type: change.type, key, value, revision });
    if (seen.length === count) break;
  }
  return seen;
}

function byKey(a: SeenChange, b: SeenChange): number {
  return a.key < b.key ? -1 : 1;
}

async function put(store: MetaStore, key: string, value: string): Promise<number> {
  return await commit(store, { key, value: Buffer.from(value) });
}

async function putLeased(store: MetaStore, key: string, leaseId: string): Promise<number> {
  return await commit(store, { key, value: Buffer.from('leased'), leaseId });
}

async function commit(
  store: MetaStore,
  change: { key: string; value: Uint8Array; leaseId?: string }
): Promise<number> {
  const result = await store.transact({ compares: [], puts: [change] });
  if (!result.committed) throw new Error('a transaction without compares commits');
  return result.revision;
}

function entry(key: string, value: string): { key: string; value: Uint8Array } {
  return { key, value: Buffer.from(value) };
}

function entries(count: number): { key: string; value: Uint8Array }[] {
  return Array.from({ length: count }, (_, index) => entry(`key-${index}`, ''));
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}

/** Polls, because a remote store tells others with a delay; the runner's time limit ends a wait in vain. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      if (!isStoreError(error, 'DeadlineExceeded')) throw error;
    }
    await turnOfEvents();
  }
}
