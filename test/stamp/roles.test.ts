import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { missingOf } from '../support/needs.js';
import { StampCluster } from '../support/stamp-cluster.js';

/* A stamp of nine processes and etcd, whose processes are killed under load. */

const skip = await missingOf(['etcd']);

t.test(
  'every process but one of each role may be killed, and nothing acknowledged is lost',
  { skip },
  async (t) => {
    await using stamp = await StampCluster.start();
    const store = stamp.client();
    await store.buckets.create({ bucket: 'things' });
    const acknowledged = new Map<string, number>();
    let isDone = false;
    let errorCount = 0;
    let longestMs = 0;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let number = 1; !isDone; number++) {
        const key = `writer-${writer}/${number % 50}`;
        const startedMs = performance.now();
        try {
          await store.objects.put({ bucket: 'things', key, body: Buffer.alloc(4096, number % 256) });
          acknowledged.set(key, number);
        } catch (error) {
          errorCount += 1;
          t.comment(`${key}: ${error}`);
        }
        longestMs = Math.max(longestMs, performance.now() - startedMs);
      }
    });
    for (const name of ['en-1', 'ps-1', 'sm-1', 'ps-2', 'en-2', 'sm-2']) {
      await sleep(1000);
      longestMs = 0;
      const server = stamp.find(name);
      await server.kill();
      await sleep(3000);
      t.comment(`${name}: longest put ${Math.round(longestMs)} ms, ${acknowledged.size} keys`);
      await server.start();
      await sleep(1500);
    }
    isDone = true;
    await Promise.all(writers);
    t.equal(errorCount, 0, 'clients see pauses, no errors');
    for (const [key, number] of acknowledged) {
      const { body } = await store.objects.read({ bucket: 'things', key });
      if (body[0] !== number % 256) t.equal(body[0], number % 256, key);
    }
    const { objects } = await store.objects.list({ bucket: 'things', maxKeys: 1000 });
    t.equal(objects.length, acknowledged.size);
    await store.close();
  }
);
