import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@stampede/server/platform';
import t from 'tap';
import { EtcdCluster } from '../support/etcd-cluster.js';
import { openMeta, openProxied, type ProxiedMeta, put, until } from '../support/etcd-meta.js';
import { missingOf } from '../support/needs.js';

/* Who holds a lease or leads stops before anyone else can start, whatever happens to its process or its connection. */

const TIME_TO_LIVE_MS = 2000;
const HOLDER = fileURLToPath(new URL('lease-holder.ts', import.meta.url));
const clock = systemClock();
const skip = await missingOf(['etcd']);
const cluster = skip === false ? await EtcdCluster.start() : undefined;
t.teardown(() => cluster?.[Symbol.asyncDispose]());
const endpoint = cluster?.endpoints[0] ?? '';

t.test('a holder whose connection falls silent stops before its keys go', { skip }, async (t) => {
  await using member = await openProxied(endpoint);
  await using witness = openMeta({ endpoints: [endpoint] });
  const lease = await member.store.grantLease(TIME_TO_LIVE_MS);
  await member.store.transact({ compares: [], puts: [{ ...put('key', ''), leaseId: lease.leaseId }] });
  await sleep(TIME_TO_LIVE_MS * 1.5);
  t.equal(lease.lost.aborted, false, 'it is kept alive');
  member.proxy.stall();
  await until(async () => (await witness.find('key')) === undefined);
  t.equal(lease.lost.aborted, true);
  t.ok(lease.deadlineElapsedMs() <= clock.elapsedMs());
  member.proxy.restore();
  await sleep(500);
  t.ok(
    lease.deadlineElapsedMs() <= clock.elapsedMs(),
    'and does not start again when the connection is back'
  );
  const leased = { ...put('key', ''), leaseId: lease.leaseId };
  await t.rejects(member.store.transact({ compares: [], puts: [leased] }), { code: 'StaleEpoch' });
});

t.test('a short silence costs no lease', { skip }, async (t) => {
  await using member = await openProxied(endpoint);
  const lease = await member.store.grantLease(4000);
  for (const _ of [1, 2, 3]) {
    member.proxy.stall();
    await sleep(1500);
    member.proxy.restore();
    await sleep(800);
  }
  t.equal(lease.lost.aborted, false);
});

t.test(
  'a holder whose process is stopped and goes on does not believe to hold it still',
  { skip },
  async (t) => {
    await using witness = openMeta({ endpoints: [endpoint] });
    const program = [
      '--import=tsx',
      '--conditions=stampede-source',
      HOLDER,
      endpoint,
      String(TIME_TO_LIVE_MS)
    ];
    const holder = spawn(process.execPath, program, { stdio: ['ignore', 'pipe', 'inherit'] });
    t.teardown(() => holder.kill('SIGKILL'));
    const lines: string[] = [];
    createInterface(holder.stdout).on('line', (line) => lines.push(line));
    await until(() => lines.length > 0);
    // Beyond the life of the first keep-alive.
    await sleep(TIME_TO_LIVE_MS * 1.5);
    t.ok(await witness.find('held'));
    holder.kill('SIGSTOP');
    await until(async () => (await witness.find('held')) === undefined);
    const goneAt = process.hrtime.bigint();
    holder.kill('SIGCONT');
    await once(holder, 'exit');
    t.equal(lines.pop(), 'over');
    t.ok(lines.length > 100, 'it acted for a while');
    t.ok(
      lines.every((line) => BigInt(line) < goneAt),
      'and never after its keys were gone'
    );
  }
);

t.test('of two candidates at most one has a proof that holds, whoever is cut off', { skip }, async (t) => {
  await using witness = openMeta({ endpoints: [endpoint] });
  const { signal } = new AbortController();
  const members = new Map<string, ProxiedMeta>();
  for (const name of ['one', 'two']) members.set(name, await openProxied(endpoint));
  t.teardown(async () => {
    for (const member of members.values()) await member[Symbol.asyncDispose]();
  });
  const leaders: { readonly name: string; readonly epoch: number; readonly isLeading: () => boolean }[] = [];
  const proofs: { readonly key: string; readonly revision: number }[] = [];
  const lead = async (name: string): Promise<void> => {
    const { store } = members.get(name)!;
    const lease = await store.grantLease(TIME_TO_LIVE_MS);
    const { epoch, proof, lost } = await store.campaign('e', name, { lease, signal });
    const isLeading = (): boolean => !lost.aborted && clock.elapsedMs() < lease.deadlineElapsedMs();
    // Whoever led before knows that it is over.
    t.notOk(leaders.some((leader) => leader.isLeading()));
    leaders.push({ name, epoch, isLeading });
    proofs.push(proof);
  };
  await lead('one');
  for (let round = 0; round < 4; round++) {
    const { name } = leaders.at(-1)!;
    const next = lead(name === 'one' ? 'two' : 'one');
    await until(async () => (await witness.range('elections/e/')).entries.length === 2);
    if (round % 2 === 0) members.get(name)!.proxy.stall();
    else await members.get(name)!.proxy.swallowAnswers();
    await next;
    const holding = await Promise.all(
      proofs.map(
        async (proof) => (await witness.transact({ compares: [proof], puts: [put('probe', '')] })).committed
      )
    );
    t.same(holding, [...Array.from({ length: round + 1 }, () => false), true], 'the newest proof holds');
    members.get(name)!.proxy.restore();
  }
  const epochs = leaders.map(({ epoch }) => epoch);
  t.same(
    epochs,
    epochs.toSorted((a, b) => a - b)
  );
});
