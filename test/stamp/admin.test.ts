import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type CommandAnswer, runAdmin } from '../support/admin-command.js';
import { readMetrics } from '../support/metrics-text.js';
import { missingOf } from '../support/needs.js';
import { type ServerPlan, StampCluster } from '../support/stamp-cluster.js';
import { until } from '../support/until.js';

/*
 * What operators see and get of a stamp that is well and of one that is wounded, in tables and as JSON. Everything
 * answers in bounded time, and what cannot be answered is said with its cause.
 */

const skip = await missingOf(['etcd']);
t.setTimeout(300_000);

const SERVERS: readonly ServerPlan[] = [
  { name: 'en-1', rack: 'rack-1', roles: ['extent-node'] },
  { name: 'en-2', rack: 'rack-2', roles: ['extent-node'] },
  { name: 'en-3', rack: 'rack-3', roles: ['extent-node'] },
  { name: 'sm', rack: 'rack-1', roles: ['stream-manager'] },
  { name: 'ps', rack: 'rack-1', roles: ['partition-server'] },
  { name: 'fe', rack: 'rack-1', roles: ['front-end'] }
];

function checkFailed(t: Test, { code, stdout, stderr }: CommandAnswer, message: RegExp): void {
  t.equal(code, 1);
  t.match(stderr, message);
  t.equal(stderr.trimEnd().split('\n').length, 1, 'one line');
  t.notMatch(stderr, /unexpected|overloaded|whether it happened/);
  t.equal(stdout, '');
}

t.test('commands of operators', { skip }, async (t) => {
  await using stamp = await StampCluster.start({ replicas: 2, servers: SERVERS, etcdMembers: 3 });
  await using store = stamp.client();
  const admin = (...words: readonly string[]) => runAdmin(stamp, ...words);
  const server = (name: string) => stamp.find(name);
  const memberStates = async () => {
    const { members } = await store.admin.members();
    return new Map<string, string>(members.map(({ memberId, liveness }) => [memberId, liveness]));
  };
  const put = (number: number) =>
    store.objects.put({ bucket: 'things', key: `key-${number}`, body: Buffer.alloc(50_000, 1) });
  await store.buckets.create({ bucket: 'things' });
  for (let number = 0; number < 10; number++) await put(number);
  await until(
    async () => [...(await memberStates()).values()].filter((state) => state === 'up').length === 3
  );
  // The next owner seals what is open, which one node alone may have: it is made whole, and sealed ones are scrubbed.
  await server('ps').kill();
  await server('ps').start();
  await put(0);
  await until(async () => (await store.admin.extents()).totals.underReplicatedCount === 0);

  await t.test('all is well', async (t) => {
    const status = await admin('status');
    t.match(status, { code: 0, stderr: '' });
    t.match(status.stdout, /^state +ready$/m);
    t.notMatch(status.stdout, /problem/);
    t.match(JSON.parse((await admin('status', '--json')).stdout), { state: 'ready', problems: [] });
    const members = await admin('members');
    t.match(members.stdout, /^MEMBER .*\nen-1 +rack-1 +up .*\nen-2 +rack-2 +up .*\nen-3 .*\n$/);
    t.equal(JSON.parse((await admin('members', '--json')).stdout).members.length, 3);
    const extents = await admin('extents');
    t.match(extents.stdout, /open +2\/2 +en-\d en-\d\n/);
    t.match(extents.stdout, /^under-replicated +0$/m);
    t.match((await admin('extents', '--filter', 'damaged')).stdout, /^no such extents\n\nextents +\d/);
    const { totals } = JSON.parse((await admin('extents', '--json')).stdout);
    t.match(totals, { underReplicatedCount: 0, unavailableCount: 0 });
    const scrub = await admin('scrub');
    t.match(scrub, { code: 0, stdout: 'scrubbing has begun; "admin members" shows how far it is\n' });
    t.same(JSON.parse((await admin('scrub', 'en-2', '--json')).stdout), [
      { memberId: 'en-2', liveness: 'up' }
    ]);
  });

  await t.test('orders that cannot be followed say why', async (t) => {
    checkFailed(t, await admin('drain', 'nobody'), /There is no member nobody\. List the members\./);
    checkFailed(t, await admin('remove', 'nobody'), /There is no member nobody/);
    checkFailed(t, await admin('scrub', 'en-1', 'nobody'), /There is no member nobody/);
    checkFailed(t, await admin('remove', 'en-1', '--json'), /Member en-1 has replicas\. Drain it/);
    const usage = await admin('extents', '--filter', 'bad');
    t.match(usage, { code: 2, stderr: /"bad" is none of all, open/ });
  });

  await t.test('a node is drained, killed meanwhile, and removed', async (t) => {
    t.match(await admin('drain', 'en-3'), { code: 0, stdout: 'en-3 is being drained\n' });
    await server('en-3').kill();
    await put(0);
    await until(async () => /drained/.test((await admin('members')).stdout));
    checkFailed(
      t,
      await admin('drain', 'en-1'),
      /Without en-1 there are nodes that are up in 1 fault domains, and extents need 2\. Add a node, or bring/
    );
    t.match(await admin('drain', 'en-3', '--json'), { code: 0 }, 'again changes nothing');
    await until(async () => (await memberStates()).get('en-3') === 'suspect');
    t.match((await admin('members')).stdout, /en-3 +rack-3 +suspect for \d+ s, drained +0 /);
    t.match(
      (await admin('status')).stdout,
      /problem: Extent node en-3 is drained and does not run\. Remove it \("admin remove en-3"\)/
    );
    t.match((await admin('scrub')).stdout, /en-3 is suspect: its turn comes when it is back/);
    t.match(await admin('remove', 'en-3'), { code: 0, stdout: 'en-3 is forgotten\n' });
    checkFailed(t, await admin('remove', 'en-3'), /There is no member en-3\. List the members\./);
  });

  await t.test('a replica that is gone is found and made anew', async (t) => {
    const { extents } = await store.admin.extents({ limit: 1000 });
    const sealed = extents.find(
      ({ state, length = 0, replicas }) =>
        state === 'sealed' && length > 50_000 && replicas.some(({ memberId }) => memberId === 'en-2')
    )!;
    const folder = server('en-2').extentsDirectory;
    const names = (await readdir(folder)).filter((name) => Number.parseInt(name, 10) === sealed.extentId);
    await server('en-2').kill();
    await rm(join(folder, names[0]!));
    await server('en-2').start();
    await until(async () => (await memberStates()).get('en-2') === 'up');
    // What looks first, the scrub or the regular look at all files, repairs it.
    t.equal((await admin('scrub')).code, 0);
    await until(async () => (await readdir(folder)).includes(names[0]!));
    await until(async () => /^no such extents/.test((await admin('extents', '--filter', 'damaged')).stdout));
    const metrics = await readMetrics(server('sm').monitoring);
    t.ok(metrics.find('stampede_events_total', { event: 'replica-rebuilt' })! >= 1);
    t.ok(metrics.find('stampede_copied_bytes_total', { reason: 'repair' })! >= 50_000);
  });

  await t.test('no partition server: the rest answers, and the status says what is missing', async (t) => {
    await server('ps').kill();
    await until(async () => /Start one/.test((await admin('status')).stdout));
    const status = await admin('status');
    t.equal(status.code, 1);
    t.match(status.stdout, /^state +unavailable/m);
    t.match(
      status.stdout,
      /problem: Nobody serves partition-1, as no partition server is there\. Start one\./
    );
    t.match(status.stderr, /some keys are served by nobody; see the problems/);
    t.match((await admin('members')).stdout, /en-2 +rack-2 +up/);
    t.equal((await admin('extents')).code, 0);
    await server('ps').start();
    await until(async () => (await admin('status')).code === 0);
  });

  await t.test('a stream manager that hangs: each command says so, and keys are served', async (t) => {
    server('sm').signal('SIGSTOP');
    const message =
      /No stream manager leads now\. Start one if none runs|stream manager at \S+ does not answer/;
    const orders = [['members'], ['extents', '--json'], ['drain', 'en-1']];
    const [status, ...answers] = await Promise.all([['status'], ...orders].map((words) => admin(...words)));
    for (const answer of answers) checkFailed(t, answer, message);
    t.equal(status?.code, 0);
    t.match(status?.stdout, new RegExp(`problem: .*(${message.source})`));
    server('sm').signal('SIGCONT');
    await until(async () => (await admin('members')).code === 0);
  });

  await t.test('one of three etcd members is away: all goes on', async (t) => {
    await stamp.etcd.members[0]!.kill();
    await until(async () => (await admin('members')).code === 0);
    t.match(await admin('scrub', 'en-1'), { code: 0 });
    await put(1);
    await until(async () => (await admin('status')).code === 0);
  });

  await t.test('etcd has no quorum: each command names it', async (t) => {
    await stamp.etcd.members[1]!.kill();
    // Leases run for some seconds yet.
    await until(async () => (await readMetrics(server('sm').monitoring)).find('stampede_leader') === 0);
    const orders = [['members'], ['remove', 'en-1']];
    const [status, ...answers] = await Promise.all([['status'], ...orders].map((words) => admin(...words)));
    for (const answer of answers) checkFailed(t, answer, /etcd did not answer in time.*Check its members/);
    t.equal(status?.code, 1);
    t.match(status?.stdout, /^state +unavailable/m);
    t.match(status?.stdout, /problem: .*etcd did not answer in time/);
  });

  await t.test('a front end that hangs or is away is named', async (t) => {
    server('fe').signal('SIGSTOP');
    const hanging = await admin('members');
    t.match(hanging, { code: 1, stdout: '' });
    t.match(hanging.stderr, new RegExp(`^stampede: .*${stamp.endpoints[0]}.*\n$`));
    await server('fe').kill();
    const away = await admin('members');
    t.match(away, { code: 1, stdout: '' });
    t.match(away.stderr, new RegExp(`^stampede: .*${stamp.endpoints[0]}.*\n$`));
    t.comment(hanging.stderr + away.stderr);
  });
});
