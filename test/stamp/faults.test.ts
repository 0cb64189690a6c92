import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '@stampede/server/platform';
import t from 'tap';
import { missingOf } from '../support/needs.js';
import { NetLab } from '../support/net-lab.js';
import { FULL_STAMP, type ServerProcess, StampCluster } from '../support/stamp-cluster.js';
import { percentile, StampLoad } from '../support/stamp-load.js';

/* Random faults of real processes under load. FAULT_SECONDS says for how long, SEED which. */

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const SECONDS = Number(process.env['FAULT_SECONDS'] ?? 45);
const WRITERS = 16;

t.setTimeout((SECONDS + 240) * 1000);

type Fault = 'kill' | 'terminate' | 'stop' | 'kill-rack' | 'cut' | 'cut-rack';

const noCables = NetLab.missing();
const FAULTS: readonly Fault[] = [
  ...(['kill', 'kill', 'terminate', 'stop', 'kill-rack'] as const),
  ...(noCables ? [] : (['cut', 'cut-rack'] as const))
];

const skip = await missingOf(['etcd']);

t.test(
  'random faults of one process or one rack at a time lose nothing and show no errors',
  { skip },
  async (t) => {
    t.comment(`SEED=${SEED}${noCables ? `, no cut networks: ${noCables}` : ''}`);
    const random = seededRandom(SEED);
    const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.fraction() * items.length)]!;
    await using stamp = await StampCluster.start({ ...FULL_STAMP, hasCables: !noCables });
    const clients = stamp.endpoints.map((_, index) => stamp.client(index));
    await clients[0]!.buckets.create({ bucket: 'things' });
    const load = new StampLoad({
      clients,
      bucket: 'things',
      writerCount: WRITERS,
      keysPerWriter: 50,
      bodyBytes: 4096
    });
    // The front ends stay: their clients would have to choose another one, which the load does only after an error.
    const victims = stamp.servers.filter(({ plan }) => !plan.roles.includes('front-end'));
    const endMs = performance.now() + SECONDS * 1000;
    const counts = new Map<Fault, number>();
    while (performance.now() < endMs) {
      await sleep(1000 + random.fraction() * 2000);
      const fault = pick(FAULTS);
      counts.set(fault, (counts.get(fault) ?? 0) + 1);
      const one = pick(victims);
      const hit: readonly ServerProcess[] = fault.endsWith('-rack')
        ? victims.filter(({ plan }) => plan.rack === one.plan.rack)
        : [one];
      t.comment(`${fault} ${hit.map(({ name }) => name).join(' ')}`);
      if (fault === 'stop') {
        one.signal('SIGSTOP');
        await sleep(500 + random.fraction() * 7000);
        one.signal('SIGCONT');
      } else if (fault.startsWith('cut')) {
        for (const server of hit) stamp.setConnected(server, false);
        await sleep(500 + random.fraction() * 9000);
        for (const server of hit) stamp.setConnected(server, true);
      } else {
        await Promise.all(hit.map((server) => server.kill(fault === 'terminate' ? 'SIGTERM' : 'SIGKILL')));
        await sleep(random.fraction() * 4000);
        await Promise.all(hit.map((server) => server.start()));
      }
    }
    const report = await load.stop();
    const { putCount, readCount, errors, violations, latenciesMs } = report;
    t.comment(`${putCount} puts, ${readCount} reads; faults ${JSON.stringify([...counts])}`);
    const [p50, p99, worst] = [0.5, 0.99, 1].map((part) => Math.round(percentile(latenciesMs, part)));
    t.comment(`put p50 ${p50} ms, p99 ${p99} ms, longest ${worst} ms`);
    t.same(violations, []);
    t.same(errors, []);
    t.ok(putCount > 100);
    await Promise.all(clients.map((client) => client.close()));
  }
);
