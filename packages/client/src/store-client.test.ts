import { type StoreCalls, StoreError } from '@stampede/server/api';
import t from 'tap';
import { storeClientOver } from './store-client.js';
import { faultyCalls } from './testing/faulty-calls.js';
import { ManualClock } from './testing/manual-clock.js';
import { memoryStore } from './testing/memory-store.js';
import { turns } from './testing/scripted-network.js';

const AT = { bucket: 'abc', key: 'k' };

/** A store whose `head` never answers and that says which signals it was given. */
function stuckStore() {
  const signals: AbortSignal[] = [];
  const store = memoryStore();
  const head: StoreCalls['objects']['head'] = (_input, options) => {
    signals.push(options!.signal!);
    return new Promise((_resolve, reject) => {
      options!.signal!.addEventListener('abort', () => reject(options!.signal!.reason));
    });
  };
  return { calls: { ...store, objects: { ...store.objects, head } }, signals };
}

t.test('close ends calls that run, that wait for their next try, and that come later', async (t) => {
  const { calls, signals } = stuckStore();
  const running = storeClientOver(calls);
  const call = running.objects.head(AT);
  await turns();
  await running.close();
  await t.rejects(call, { code: 'Cancelled', message: /closed/ });
  t.ok(signals[0]?.aborted, 'the store is told');
  await t.rejects(running.objects.head(AT), { code: 'Cancelled' });

  const clock = new ManualClock();
  const failing = faultyCalls(memoryStore(), [{ on: '*', fault: { type: 'failBefore' } }]);
  const waiting = storeClientOver(failing, { clock });
  const next = waiting.objects.head(AT);
  await turns();
  t.equal(clock.sleeperCount, 1, 'it waits');
  await waiting.close();
  await t.rejects(next, { code: 'Cancelled', message: /closed/ });
  t.equal(clock.sleeperCount, 0);
});

t.test('close ends a watch', async (t) => {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  const client = storeClientOver(store);
  const { signal } = new AbortController();
  const direct = client.objects.watch({ bucket: 'abc' }, { signal })[Symbol.asyncIterator]().next();
  const verb = client.watch({ bucket: 'abc', signal })[Symbol.asyncIterator]().next();
  await turns();
  await client.close();
  await t.rejects(direct, { code: 'Cancelled' });
  await t.rejects(verb, { code: 'Cancelled' });
});

t.test('the reason of the caller’s own signal is the error of the call', async (t) => {
  const { calls } = stuckStore();
  await using client = storeClientOver(calls);
  const stop = new AbortController();
  const call = client.objects.head(AT, { signal: stop.signal });
  await turns();
  stop.abort(new StoreError('SlowDown', 'the caller’s own'));
  await t.rejects(call, { message: 'the caller’s own' });
});
