import { setTimeout as sleep } from 'node:timers/promises';
import type { MetaStore } from '@stampede/server';
import t from 'tap';
import { EtcdCluster } from '../support/etcd-cluster.js';
import { keyOf, openMeta, put, revisionOf, until, WatchLog } from '../support/etcd-meta.js';
import { missingOf } from '../support/needs.js';

const WRITERS = 4;
const skip = await missingOf(['etcd']);

/** Writes without a pause, and remembers what was acknowledged. */
class Load {
  readonly acknowledged = new Map<string, number>();
  readonly errors: unknown[] = [];
  longestMs = 0;
  #isDone = false;
  readonly #writers: readonly Promise<void>[];

  constructor(store: MetaStore) {
    this.#writers = Array.from({ length: WRITERS }, (_, index) => this.#write(store, index));
  }

  async stop(): Promise<void> {
    this.#isDone = true;
    await Promise.all(this.#writers);
  }

  /** Half of them with a compare that fails the second time, half without. */
  async #write(store: MetaStore, writer: number): Promise<void> {
    for (let number = 0; !this.#isDone; number++) {
      const key = `load/${writer}/${number}`;
      const startedMs = performance.now();
      try {
        const result = await store.transact({
          compares: writer % 2 === 0 ? [{ key: `${key}/a`, revision: 0 }] : [],
          puts: [put(`${key}/a`, key), put(`${key}/b`, key)]
        });
        if (result.committed) this.acknowledged.set(key, result.revision);
        else this.errors.push(new Error(`${key} was refused, though nobody else writes it`));
      } catch (error) {
        this.errors.push(error);
      }
      this.longestMs = Math.max(this.longestMs, performance.now() - startedMs);
    }
  }
}

t.test(
  'members that are killed, stopped and all started anew cost pauses, and no write is lost or done twice',
  {
    skip
  },
  async (t) => {
    await using cluster = await EtcdCluster.start(3);
    await using store = openMeta({ endpoints: cluster.endpoints });
    const { revision: start } = await store.range('load/');
    const log = new WatchLog(store, 'load/', start);
    const lasting = await store.grantLease(30_000);
    const brief = await store.grantLease(5000);
    await store.transact({ compares: [], puts: [{ ...put('brief', ''), leaseId: brief.leaseId }] });
    const load = new Load(store);
    const after = async (what: string, durationMs: number): Promise<void> => {
      const before = load.acknowledged.size;
      load.longestMs = 0;
      await sleep(durationMs);
      t.comment(
        `${what}: ${load.acknowledged.size - before} writes, longest ${Math.round(load.longestMs)} ms`
      );
    };
    await after('all well', 1000);
    for (const round of [1, 2]) {
      const leader = await cluster.leader();
      await leader.kill();
      await after(`leader killed, ${round}`, 3000);
      await leader.start();
      await leader.ready();
    }
    const stopped = await cluster.leader();
    stopped.signal('SIGSTOP');
    // Longer than it takes the watch to find out that a member says nothing.
    await after('leader stopped', 8000);
    stopped.signal('SIGCONT');
    await after('leader goes on', 1000);
    t.equal(lasting.lost.aborted, false, 'a lease that outlives the stop stays');
    // Before 3.4.31 and 3.5.13 a leader that wakes up ends the leases that ran out by its own clock meanwhile.
    await until(async () => (await store.find('brief')) !== undefined || brief.lost.aborted);
    t.comment(`the lease that is shorter than the stop ${brief.lost.aborted ? 'was lost' : 'stayed'}`);

    await Promise.all(cluster.members.map((member) => member.kill()));
    await after('all killed', 1000);
    await Promise.all(cluster.members.map((member) => member.start()));
    await cluster.ready();
    await after('all started anew', 2000);
    await load.stop();

    t.same(load.errors, [], 'callers see pauses, no errors');
    const expected = 2 * load.acknowledged.size;
    await log.until(() => log.changes.length >= expected);
    await log.stop();
    t.equal(log.changes.length, expected, 'the watch gives each change once');
    const revisions = log.changes.map(revisionOf);
    t.ok(
      revisions.every((revision, index) => index === 0 || revisions[index - 1]! <= revision),
      'in order'
    );
    for (let index = 0; index < expected; index += 2) {
      const [a, b] = [log.changes[index]!, log.changes[index + 1]!];
      const key = keyOf(a).slice(0, -2);
      const isWhole = keyOf(b).slice(0, -2) === key && revisionOf(a) === revisionOf(b);
      if (!isWhole || load.acknowledged.get(key) !== revisionOf(a))
        t.fail(`${key} was not given as it was written`);
    }
    const { entries } = await store.range('load/');
    t.equal(entries.length, expected, 'a range has all of them');
  }
);

t.test('a watch leaves a member that has stopped, though its connection stays', { skip }, async (t) => {
  await using cluster = await EtcdCluster.start(3);
  const [first] = cluster.members;
  // The first member is asked first.
  const random = {
    fraction: () => 0,
    uuid: () => 'watcher',
    bytes: (length: number) => new Uint8Array(length)
  };
  await using watcher = openMeta({ endpoints: cluster.endpoints, random });
  await using writer = openMeta({ endpoints: cluster.endpoints.slice(1) });
  const { revision } = await watcher.range('');
  const log = new WatchLog(watcher, '', revision);
  await writer.transact({ compares: [], puts: [put('before', '1')] });
  await log.until(() => log.changes.length === 1);
  first!.signal('SIGSTOP');
  await writer.transact({ compares: [], puts: [put('after', '2')] });
  await log.until(() => log.changes.length === 2);
  t.same(log.changes.map(keyOf), ['before', 'after']);
  await log.stop();
  first!.signal('SIGCONT');
});

t.test('without most of its members etcd says nothing, and callers learn it in time', { skip }, async (t) => {
  await using cluster = await EtcdCluster.start(3);
  await using store = openMeta({ endpoints: cluster.endpoints });
  await store.transact({ compares: [], puts: [put('a', '1')] });
  const [one, two] = cluster.members;
  await Promise.all([one!.kill(), two!.kill()]);
  const write = () => store.transact({ compares: [], puts: [put('a', '2')] }, { deadlineMs: 1500 });
  await t.rejects(write(), { code: 'DeadlineExceeded' });
  await t.rejects(store.range('', { deadlineMs: 500 }), { code: 'DeadlineExceeded' });
  const controller = new AbortController();
  const given = store.find('a', { signal: controller.signal });
  controller.abort();
  await t.rejects(given, { code: 'Cancelled' });
  await Promise.all([one!.start(), two!.start()]);
  await cluster.ready();
  await until(async () => (await write()).committed);
  t.equal(Buffer.from((await store.find('a'))!.value).toString(), '2');
});
