import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { checkEtcd } from '../../src/doctor/check-etcd.js';
import { TestWorld } from '../../src/testing/test-world.js';
import { EtcdCluster, freePorts } from '../support/etcd-cluster.js';
import { openMeta, put } from '../support/etcd-meta.js';
import { missingOf } from '../support/needs.js';

const skip = await missingOf(['etcd']);

t.test('doctor looks at the members of etcd', { skip }, async (t) => {
  await using cluster = await EtcdCluster.start();
  const [port] = await freePorts(1);
  const nobody = `http://127.0.0.1:${port}`;
  const checks = await checkEtcd({ endpoints: [...cluster.endpoints, nobody], prefix: '' });
  t.match(checks[0], { verdict: /ok|warn/, message: /^3\.\d+\.\d+, leader, .* a read takes/ });
  t.match(checks[1], { name: `etcd 127.0.0.1:${port}`, verdict: 'fail', fix: /^start it/ });
  using world = new TestWorld();
  const { stdout } = await world.run('doctor', '--port', '0', '--etcd', cluster.endpoints.join(','));
  t.match(stdout, /(ok|warn) +etcd 127\.0\.0\.1:\d+ +3\./);
  t.match((await world.run('doctor', '--etcd', '127.0.0.1')).stderr, /--etcd must be URLs/);
});

t.test('doctor tells that etcd is full, and the meta store refuses writes', { skip }, async (t) => {
  await using cluster = await EtcdCluster.start(1, { quotaBytes: 1024 * 1024 });
  await using store = openMeta({ endpoints: cluster.endpoints });
  const value = new Uint8Array(256 * 1024);
  const fill = async (): Promise<void> => {
    for (;;) await store.transact({ compares: [], puts: [{ key: 'a', value }] });
  };
  await t.rejects(fill(), { code: 'NoSpace' });
  t.ok(await store.find('a'), 'what is there can be read');
  await t.rejects(store.transact({ compares: [], puts: [put('b', '')] }), { code: 'NoSpace' });
  let [check] = await checkEtcd({ endpoints: cluster.endpoints, prefix: '' });
  for (; check?.verdict !== 'fail'; [check] = await checkEtcd({ endpoints: cluster.endpoints, prefix: '' }))
    await sleep(100);
  t.match(check, { message: /it is full/, fix: /compact/ });
});
