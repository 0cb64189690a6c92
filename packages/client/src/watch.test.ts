import type { StoreCalls, WatchEvent } from '@stampede/server/api';
import t from 'tap';
import { type FaultRule, faultyCalls } from './testing/faulty-calls.js';
import { memoryStore } from './testing/memory-store.js';
import { seededRandom } from './testing/seeded-random.js';
import { TestClock } from './testing/test-clock.js';
import { watchObjects } from './watch.js';

async function watched(rules: readonly FaultRule[], changeHistoryCount = 1000) {
  const store = memoryStore({ changeHistoryCount });
  await store.buckets.create({ bucket: 'abc' });
  const stop = new AbortController();
  const clock = new TestClock();
  const calls = faultyCalls(store, rules);
  const watch = (resumeToken?: string) =>
    watchObjects(
      calls,
      { bucket: 'abc', resumeToken, signal: stop.signal },
      { clock, random: seededRandom(1) }
    );
  const put = (key: string) => store.objects.put({ bucket: 'abc', key, body: new Uint8Array(0) });
  return { store, watch, stop, put, clock };
}

const nameOf = (event: WatchEvent) => (event.type === 'put' ? event.head.key : event.type);

async function names(events: AsyncIterable<WatchEvent>, count: number): Promise<string[]> {
  const found: string[] = [];
  for await (const event of events) {
    found.push(nameOf(event));
    if (found.length === count) break;
  }
  return found;
}

t.test('a watch goes on over broken connections without a gap or a repeat', async (t) => {
  const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
  for (const afterEventCount of [1, 2, 7]) {
    const { watch, put, stop, clock } = await watched([
      { on: 'objects.watch', fault: { type: 'breakWatch', afterEventCount }, times: 20 },
      { on: 'objects.watch', fault: { type: 'failBefore' }, times: 3 }
    ]);
    const found = names(watch('0'), keys.length);
    for (const key of keys) await put(key);
    t.same(await found, keys, `broken after ${afterEventCount}`);
    t.ok(clock.sleptMs.length > 0, 'it waits before it comes back');
    stop.abort();
  }
});

t.test('changes missed before the first event are not lost', async (t) => {
  const { watch, put, stop } = await watched([
    { on: 'objects.watch', fault: { type: 'failBefore' }, times: 2 }
  ]);
  const found = names(watch(), 2);
  await put('while it was away');
  await put('later');
  t.same(await found, ['while it was away', 'later']);
  stop.abort();
});

t.test('a reset is passed on, and the watch continues after it', async (t) => {
  const { watch, put, stop } = await watched([], 2);
  for (let index = 0; index < 10; index++) await put(`k${index}`);
  const found = names(watch('1'), 2);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  await put('next');
  t.same(await found, ['reset', 'next']);
  stop.abort();
});

t.test('what cannot succeed ends the watch', async (t) => {
  const { store, stop } = await watched([]);
  const clock = new TestClock();
  const watch = (calls: StoreCalls) =>
    names(
      watchObjects(calls, { bucket: 'none', signal: stop.signal }, { clock, random: seededRandom(1) }),
      1
    );
  await t.rejects(watch(store), { code: 'NoSuchBucket' });
  const denied = faultyCalls(store, [{ on: '*', fault: { type: 'failBefore', code: 'AccessDenied' } }]);
  await t.rejects(watch(denied), { code: 'AccessDenied' });
  stop.abort();
});

t.test('an abort ends it without an error, also between two connections', async (t) => {
  const { watch, stop, clock } = await watched([{ on: '*', fault: { type: 'failBefore' } }]);
  let count = 0;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = async (durationMs, signal) => {
    count += 1;
    if (count === 5) stop.abort();
    return sleep(durationMs, signal);
  };
  t.same(await names(watch(), 1), []);
  t.equal(count, 5);
});
