import { systemClock } from '@stampede/server/platform';
import { openMeta, put } from '../support/etcd-meta.js';

/*
 * A process that holds a lease and says again and again that it may act, with the instant (of the clock that all processes
 * of the machine share) before it looked. Arguments: the endpoint, the time to live.
 */

const [endpoint = '', timeToLiveMs] = process.argv.slice(2);
const clock = systemClock();
const store = openMeta({ endpoints: [endpoint] });
const lease = await store.grantLease(Number(timeToLiveMs));
await store.transact({ compares: [], puts: [{ ...put('held', 'here'), leaseId: lease.leaseId }] });
for (;;) {
  const at = process.hrtime.bigint();
  if (clock.elapsedMs() >= lease.deadlineElapsedMs()) break;
  process.stdout.write(`${at}\n`);
  await clock.sleep(5);
}
process.stdout.write('over\n');
await store.close();
