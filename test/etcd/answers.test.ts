import type { MetaStore } from '@stampede/server';
import { systemClock } from '@stampede/server/platform';
import t from 'tap';
import { EtcdCluster } from '../support/etcd-cluster.js';
import { keyOf, openMeta, openProxied, put, revisionOf, until, WatchLog } from '../support/etcd-meta.js';
import { missingOf } from '../support/needs.js';

/* Answers that get lost, history that is given up, values that are large, and a wall clock that jumps. */

const skip = await missingOf(['etcd']);
const cluster = skip === false ? await EtcdCluster.start() : undefined;
t.teardown(() => cluster?.[Symbol.asyncDispose]());
const endpoint = cluster?.endpoints[0] ?? '';
let count = 0;

/** A store of its own, and one whose connection the test has in hand. */
async function openPair() {
  const prefix = `/answers-${count++}/`;
  const witness = openMeta({ endpoints: [endpoint], prefix });
  const proxied = await openProxied(endpoint, { prefix });
  return {
    witness,
    ...proxied,
    async [Symbol.asyncDispose]() {
      await proxied[Symbol.asyncDispose]();
      await witness.close();
    }
  };
}

async function textAt(store: MetaStore, key: string): Promise<string | undefined> {
  const entry = await store.find(key);
  return entry && Buffer.from(entry.value).toString();
}

t.test(
  'a write whose answer got lost is found out to be done, and is not done twice',
  { skip },
  async (t) => {
    await using pair = await openPair();
    const { store, witness, proxy } = pair;
    await store.transact({ compares: [], puts: [put('warm', '1')] });
    const { revision } = await witness.range('');
    const log = new WatchLog(witness, '', revision);
    for (const compares of [[{ key: 'a', revision: 0 }], []]) {
      const seen = log.changes.length;
      proxy.swallowAnswers();
      const writing = store.transact({ compares, puts: [put('a', 'one')] });
      await log.until(() => log.changes.length > seen);
      // Someone else goes on from there before the answer is known.
      const written = revisionOf(log.changes.at(-1)!);
      await witness.transact({ compares: [{ key: 'a', revision: written }], puts: [put('a', 'two')] });
      proxy.restore();
      t.same(await writing, { committed: true, revision: written });
      t.equal(await textAt(witness, 'a'), 'two');
      await log.until(() => log.changes.length === seen + 2);
    }
    await log.stop();
    t.same(log.changes.map(keyOf), ['a', 'a', 'a', 'a']);
  }
);

t.test('a refusal whose answer got lost stays one, whatever arrives later', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness, proxy } = pair;
  await store.transact({ compares: [], puts: [put('a', '1')] });
  proxy.swallowAnswers();
  const writing = store.transact({ compares: [{ key: 'a', revision: 0 }], puts: [put('a', '2')] });
  await systemClock().sleep(200);
  proxy.restore();
  t.same(await writing, { committed: false });
  t.equal(await textAt(witness, 'a'), '1');
  t.match(
    await store.transact({ compares: [], puts: [put('a', '3')] }),
    { committed: true },
    'and life goes on'
  );
});

t.test('a write whose answer did not come in time is not said to be undone', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness, proxy } = pair;
  // One that fills the transaction leaves no room for the proof.
  const full = Array.from({ length: 128 }, (_, index) => put(`full/${index}`, ''));
  t.match(await store.transact({ compares: [], puts: full }), { committed: true });
  proxy.swallowAnswers();
  const unproven = store.transact({ compares: [], puts: full });
  await until(async () => {
    const { revision, createRevision } = (await witness.find('full/0'))!;
    return revision > createRevision;
  });
  proxy.restore();
  await t.rejects(unproven, { code: 'ServiceUnavailable' });
  await store.transact({ compares: [], puts: [put('warm', '1')] });
  proxy.swallowAnswers();
  const late = store.transact({ compares: [], puts: [put('late', '1')] }, { deadlineMs: 300 });
  await t.rejects(late, { code: 'DeadlineExceeded' });
  t.equal(await textAt(witness, 'late'), '1');
  proxy.restore();
  t.match(await store.transact({ compares: [], puts: [put('late', '2')] }), { committed: true });
});

t.test('a campaign whose answer got lost leads, and stands in nobody’s way', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness, proxy } = pair;
  const { signal } = new AbortController();
  const lease = await store.grantLease(20_000);
  await store.transact({ compares: [], puts: [put('warm', '1')] });
  proxy.swallowAnswers();
  const campaign = store.campaign('e', 'one', { lease, signal });
  await until(async () => (await witness.findLeader('e')) !== undefined);
  proxy.restore();
  const leadership = await campaign;
  t.same(await witness.findLeader('e'), { candidate: 'one', epoch: leadership.epoch });
  t.equal((await witness.range('elections/')).entries.length, 1);
  t.match(await store.transact({ compares: [leadership.proof], puts: [put('a', '1')] }), { committed: true });
  await leadership.resign();
  t.equal(await witness.findLeader('e'), undefined);
});

t.test('proofs that have gone are made anew', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness } = pair;
  for (const round of [1, 2]) {
    await store.transact({ compares: [], puts: [put('a', String(round))] });
    await revokeAllLeases();
    t.match(
      await store.transact({ compares: [], puts: [put('b', String(round))] }),
      { committed: true },
      'the store grants itself a new lease'
    );
    t.equal(await textAt(witness, 'b'), String(round));
  }
  const lease = await store.grantLease(5000);
  await revokeAllLeases();
  const leased = { ...put('c', '1'), leaseId: lease.leaseId };
  await t.rejects(store.transact({ compares: [], puts: [leased] }), { code: 'StaleEpoch' });
  t.equal(await textAt(witness, 'c'), undefined);
});

t.test('a store that closes leaves nothing of its own behind', { skip }, async (t) => {
  const prefix = `/answers-${count++}/`;
  const store = openMeta({ endpoints: [endpoint], prefix });
  const lease = await store.grantLease(60_000);
  await store.transact({ compares: [], puts: [put('a', '1'), { ...put('b', '1'), leaseId: lease.leaseId }] });
  await store.close();
  t.equal(lease.lost.aborted, true);
  await using witness = openMeta({ endpoints: [endpoint], prefix: '/' });
  const left = (await witness.range(prefix.slice(1))).entries.map(({ key }) => `/${key}`);
  t.same(left, [`${prefix}a`]);
});

t.test('a watch goes on from where it was, or ends when that was given up', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness, proxy } = pair;
  const write = async (number: number): Promise<number> => {
    const result = await witness.transact({ compares: [], puts: [put(`p/${number}`, 'x')] });
    return result.committed ? result.revision : 0;
  };
  const first = await write(0);
  const log = new WatchLog(store, 'p/', first - 1);
  await log.until(() => log.changes.length === 1);
  await cluster!.compact(first);
  await write(1);
  await log.until(() => log.changes.length === 2);
  proxy.stall();
  for (const number of [2, 3]) await write(number);
  proxy.restore();
  await log.until(() => log.changes.length === 4);
  t.same(log.changes.map(keyOf), ['p/0', 'p/1', 'p/2', 'p/3']);
  proxy.stall();
  await write(4);
  await cluster!.compact(await write(5));
  proxy.restore();
  await t.rejects(log.end(), { code: 'MetaCompacted' });
  const { entries, revision } = await store.range('p/');
  t.equal(entries.length, 6);
  const again = new WatchLog(store, 'p/', revision);
  await write(6);
  await again.until(() => again.changes.length === 1);
  await again.stop();
});

t.test('ranges of many pages are of one revision, also while history is given up', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness } = pair;
  const round = async (value: string): Promise<void> => {
    for (let part = 0; part < 10; part++) {
      const puts = Array.from({ length: 100 }, (_, index) => put(`r/${part}/${index}`, value));
      await witness.transact({ compares: [], puts: [...puts, put('r/last', `${value}.${part}`)] });
    }
  };
  await round('0');
  const writing = (async () => {
    for (let number = 1; number <= 3; number++) await round(String(number));
  })();
  let isDone = false;
  void writing.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const { entries, revision } = await store.range('r/');
    t.equal(entries.length, 1001);
    // What was written last is in the part that it names.
    const newest = entries.reduce((one, other) => (other.revision > one.revision ? other : one));
    const last = entries.find(({ key }) => key === 'r/last')!;
    if (newest.revision !== last.revision || newest.revision > revision)
      t.fail('a page is of another revision');
    await cluster!.compact(revision).catch(() => undefined);
  }
  await writing;
});

t.test('large values pass in ranges and watches', { skip }, async (t) => {
  await using pair = await openPair();
  const { store, witness } = pair;
  const { revision } = await store.range('');
  const value = new Uint8Array(1024 * 1024).fill(7);
  // Together more than one answer may hold.
  const size = 72;
  for (let index = 0; index < size; index++)
    await witness.transact({ compares: [], puts: [{ key: `v/${index}`, value }] });
  const { entries } = await store.range('v/');
  t.equal(entries.length, size);
  t.ok(entries.every((entry) => Buffer.compare(entry.value, value) === 0));
  const log = new WatchLog(store, 'v/', revision);
  await log.until(() => log.changes.length === size);
  await log.stop();
  t.same(
    log.changes.map(keyOf),
    Array.from({ length: size }, (_, index) => `v/${index}`)
  );
  const tooLarge = { key: 'x', value: new Uint8Array(value.length + 1) };
  await t.rejects(store.transact({ compares: [], puts: [tooLarge] }), {
    code: 'InvalidArgument',
    message: /Split the value/
  });
});

t.test('a wall clock that jumps changes nothing', { skip }, async (t) => {
  const real = systemClock();
  let jumpMs = 0;
  const clock = { ...real, nowMs: () => real.nowMs() + jumpMs };
  await using store = openMeta({ endpoints: [endpoint], prefix: `/answers-${count++}/`, clock });
  const lease = await store.grantLease(2000);
  const { revision } = await store.range('');
  const log = new WatchLog(store, '', revision);
  for (const [index, hours] of [10_000, -10_000, 3, -3, 0].entries()) {
    jumpMs = hours * 3_600_000;
    await store.transact({ compares: [], puts: [put(String(index), '')] }, { deadlineMs: 5000 });
    await real.sleep(600);
  }
  t.equal(lease.lost.aborted, false);
  t.ok(lease.deadlineElapsedMs() > clock.elapsedMs());
  await log.until(() => log.changes.length === 5);
  await log.stop();
});

async function revokeAllLeases(): Promise<void> {
  const member = cluster!.members[0]!;
  const { leases = [] } = await member.call('lease/leases', {});
  for (const { ID } of leases) await member.call('lease/revoke', { ID });
}
