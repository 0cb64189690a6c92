import t from 'tap';
import { readMetrics } from '../support/metrics-text.js';
import { missingOf } from '../support/needs.js';
import { SmallDisk } from '../support/small-disk.js';
import { type ServerPlan, StampCluster } from '../support/stamp-cluster.js';
import { StampLoad } from '../support/stamp-load.js';
import { until } from '../support/until.js';

/*
 * A node is added to a stamp and another one taken away, while clients write and read. Each node has a small disk of its
 * own, since how full they are is what extents are moved for.
 */

const MIB = 1024 * 1024;
const OBJECT_COUNT = 28;
const OBJECT_BYTES = 2 * MIB;
const ODD = 251;
const DRAIN_MS_MAX = 240_000;

const node = (number: number): ServerPlan => ({
  name: `en-${number}`,
  rack: `rack-${number}`,
  roles: ['extent-node'],
  diskBytes: 128 * MIB,
  isLate: number === 4
});

const SERVERS: readonly ServerPlan[] = [
  ...[1, 2, 3, 4].map(node),
  { name: 'sm-1', rack: 'rack-1', roles: ['stream-manager'] },
  { name: 'sm-2', rack: 'rack-2', roles: ['stream-manager'] },
  { name: 'ps', rack: 'rack-3', roles: ['partition-server'] },
  { name: 'fe', rack: 'rack-3', roles: ['front-end'] }
];

/** Tells where a byte belongs, and to which object. */
function bodyOf(number: number): Buffer {
  return Buffer.alloc(OBJECT_BYTES, Buffer.from(Array.from({ length: ODD }, (_, at) => (at + number) % ODD)));
}

const skip = SmallDisk.missing() || (await missingOf(['etcd']));
t.setTimeout(600_000);

t.test('extents move to a new node, and off one that is drained, under load', { skip }, async (t) => {
  await using stamp = await StampCluster.start({ replicas: 3, extentBytes: 4 * MIB, servers: SERVERS });
  await using client = stamp.client();
  await client.buckets.create({ bucket: 'things' });
  for (let number = 0; number < OBJECT_COUNT; number++)
    await client.upload({ bucket: 'things', key: `large-${number}`, body: bodyOf(number) });
  await using load = new StampLoad({
    clients: [client],
    bucket: 'things',
    writerCount: 2,
    keysPerWriter: 50,
    bodyBytes: 1024
  });
  const memberOf = async (name: string) =>
    (await client.admin.members()).members.find(({ memberId }) => memberId === name);
  const managers = [stamp.find('sm-1'), stamp.find('sm-2')];
  const countOf = async (name: string, labels: Record<string, string>) => {
    const running = managers.filter(({ isRunning }) => isRunning);
    const found = await Promise.all(running.map(({ monitoring }) => readMetrics(monitoring)));
    return found.reduce((sum, metrics) => sum + (metrics.find(name, labels) ?? 0), 0);
  };

  await stamp.find('en-4').start();
  await until(async () => (await countOf('stampede_copied_bytes_total', { reason: 'rebalance' })) > 0);
  t.ok((await memberOf('en-4'))!.replicaCount > 0, 'what was there before moves to a new node');

  await client.admin.drain({ memberId: 'en-1' });
  const leads = async (server: (typeof managers)[number]) =>
    (await readMetrics(server.monitoring)).find('stampede_leader', { role: 'stream-manager' }) === 1;
  const leader = (await leads(managers[0]!)) ? managers[0]! : managers[1]!;
  await leader.kill();
  // What a leader left undone may wait for the next one's sweep, once a minute.
  await until(async () => (await memberOf('en-1'))!.duty === 'drained', { timeoutMs: DRAIN_MS_MAX });
  t.equal((await memberOf('en-1'))!.replicaCount, 0);
  const goneOn = await countOf('stampede_copied_bytes_total', { reason: 'drain' });
  t.comment(`${goneOn} bytes were drained by the leader after the one that was killed`);
  await leader.start();

  await stamp.find('en-1').kill('SIGTERM');
  await until(async () => {
    await client.admin.removeMember({ memberId: 'en-1' });
    return true;
  });
  t.equal(await memberOf('en-1'), undefined);
  const { putCount, errors, violations } = await load.stop();
  t.comment(`${putCount} puts`);
  t.same({ errors, violations }, { errors: [], violations: [] });
  t.ok(putCount > 50);
  await until(async () => {
    const { totals } = await client.admin.extents();
    return totals.underReplicatedCount + totals.damagedCount + totals.movingCount === 0;
  });
  // What was copied is all that there is now: any of the other nodes may be away.
  await stamp.find('en-2').kill();
  for (let number = 0; number < OBJECT_COUNT; number++) {
    const { body } = await client.objects.read({ bucket: 'things', key: `large-${number}` });
    if (!bodyOf(number).equals(body)) t.fail(`large-${number} has other bytes`);
  }
});
