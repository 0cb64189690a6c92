import { setTimeout as sleep } from 'node:timers/promises';
import type { MetaStore } from '@stampede/server';
import { openEtcdMetaStore } from '@stampede/server/etcd';
import { systemClock, systemRandom } from '@stampede/server/platform';
import t from 'tap';
import {
  type MetaStoreFixture,
  metaStoreConformance
} from '../../packages/server/src/coordination/testing/meta-store-conformance.js';
import { CutProxy } from '../support/cut-proxy.js';
import { EtcdCluster } from '../support/etcd-cluster.js';
import { missingOf } from '../support/needs.js';

const clock = systemClock();
const random = systemRandom();
/** How long a member that was cut off goes on trying. */
const CALL_TIMEOUT_MS = 3000;

function open(endpoints: readonly string[], prefix: string): MetaStore {
  return openEtcdMetaStore({ endpoints, prefix, clock, random, callTimeoutMs: CALL_TIMEOUT_MS });
}

const skip = await missingOf(['etcd']);
let count = 0;

t.test('conforms on a real etcd', { skip }, async (t) => {
  const cluster = await EtcdCluster.start();
  t.teardown(() => cluster[Symbol.asyncDispose]());
  metaStoreConformance(t, () => openFixture(cluster));
});

/** Each test has a prefix of its own, of which it sees nothing. */
async function openFixture(cluster: EtcdCluster): Promise<MetaStoreFixture> {
  const prefix = `test-${count++}/`;
  const [endpoint] = cluster.endpoints;
  const opened: AsyncDisposable[] = [];
  const openStore = (): MetaStore => {
    const store = open([endpoint!], prefix);
    opened.push(store);
    return store;
  };
  let store = openStore();
  return {
    get store() {
      return store;
    },
    async connect() {
      const proxy = await CutProxy.open(Number(new URL(endpoint!).port));
      const member = open([`http://127.0.0.1:${proxy.port}`], prefix);
      opened.push(member, proxy);
      return { store: member, cutOff: () => proxy.cut() };
    },
    async reopen() {
      await store.close();
      store = openStore();
      return store;
    },
    pass: (durationMs) => sleep(durationMs),
    elapsedMs: () => clock.elapsedMs(),
    async [Symbol.asyncDispose]() {
      for (const each of opened) await each[Symbol.asyncDispose]();
    }
  };
}
