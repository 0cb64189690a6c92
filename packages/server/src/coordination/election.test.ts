import t from 'tap';
import { StoreError } from '../api/index.js';
import { type ManualClock, manualClock, memoryOrderedStore, seededRandom } from '../platform/index.js';
import { campaign, depose } from './election.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from './embedded-meta-store.js';
import type { Leadership, MetaChange } from './meta-store.js';
import type { ElectionStore } from './steady-store.js';

type Watch = ElectionStore['watch'];

/** Longer than a watch is believed that says nothing. */
const LOOK_MS = 6000;

const unavailable = new StoreError('ServiceUnavailable', 'The watch was cut. Watch again.');
const compacted = new StoreError('MetaCompacted', 'The changes are gone. Read the range anew.');

/** A watch that tells of nothing and ends as `end` does. */
function endingAs(end: (signal: AbortSignal) => Promise<void>): Watch {
  return async function* watch(_prefix, { signal }): AsyncIterable<MetaChange> {
    await end(signal);
    yield* [];
  };
}

/** Ways in which a watch breaks, each for good. */
const BROKEN: Readonly<Record<string, Watch>> = {
  'fails at once': endingAs(() => Promise.reject(unavailable)),
  'fails after a while': endingAs(async (signal) => {
    await new Promise((resolve) => setImmediate(resolve));
    if (!signal.aborted) throw unavailable;
  }),
  'has lost its history': endingAs(() => Promise.reject(compacted)),
  'ends without a word': endingAs(() => Promise.resolve()),
  'falls silent': endingAs(
    (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      })
  )
};

async function start(watch: (meta: EmbeddedMetaStore) => Watch) {
  const clock: ManualClock = manualClock();
  const meta = await openEmbeddedMetaStore({
    store: await memoryOrderedStore(),
    clock,
    random: seededRandom(1)
  });
  let refusal: StoreError | undefined;
  const store: ElectionStore = {
    find: (key, options) => meta.find(key, options),
    range: async (prefix, options) => {
      if (refusal) throw refusal;
      return await meta.range(prefix, options);
    },
    transact: (transaction, options) => meta.transact(transaction, options),
    watch: watch(meta)
  };
  const refuseReads = (error: StoreError | undefined): void => {
    refusal = error;
  };
  const stop = new AbortController();
  let campaignCount = 0;
  const run = async (candidate: string): Promise<Leadership> => {
    const lease = await meta.grantLease(5000);
    campaignCount += 1;
    const campaignId = String(campaignCount);
    return await campaign(store, {
      lease,
      signal: stop.signal,
      election: 'e',
      candidate,
      campaignId,
      clock
    });
  };
  const close = async (): Promise<void> => {
    stop.abort();
    await meta.close();
  };
  return { clock, meta, run, refuseReads, [Symbol.asyncDispose]: close };
}

for (const [how, watch] of Object.entries(BROKEN)) {
  t.test(`a leader that is deposed while its watch ${how} learns of it`, async (t) => {
    await using election = await start(() => watch);
    const { clock, meta, run } = election;
    const first = await run('one');
    await clock.advance(10_000);
    t.equal(first.lost.aborted, false, 'a broken watch alone ends nothing');
    await depose(meta, 'e', 'one');
    await clock.advance(LOOK_MS);
    t.equal(first.lost.aborted, true);
    const again = await run('one');
    t.ok(again.epoch > first.epoch, 'and leads again');
  });

  t.test(`a candidate whose watch ${how} keeps its place and leads when it is its turn`, async (t) => {
    await using election = await start(() => watch);
    const { clock, meta, run } = election;
    const first = await run('one');
    const waiting = run('two');
    await clock.advance(10_000);
    const third = run('three');
    await clock.advance(10_000);
    await depose(meta, 'e', 'one');
    await clock.advance(LOOK_MS);
    const second = await waiting;
    t.ok(second.epoch > first.epoch);
    await depose(meta, 'e', 'two');
    await clock.advance(LOOK_MS);
    t.ok((await third).epoch > second.epoch);
  });
}

t.test('a watch that comes back tells of what was missed', async (t) => {
  let isBroken = true;
  await using election = await start((meta) => (prefix, options) => {
    if (isBroken) return BROKEN['fails at once']!(prefix, options);
    return meta.watch(prefix, options);
  });
  const { clock, meta, run } = election;
  const leadership = await run('one');
  await clock.advance(LOOK_MS);
  await depose(meta, 'e', 'one');
  isBroken = false;
  await clock.advance(LOOK_MS);
  t.equal(leadership.lost.aborted, true);
});

t.test('a leader that may not read any more gives its leadership up', async (t) => {
  const refused = new StoreError('AccessDenied', 'etcd refuses its user. Grant it the prefix.');
  await using election = await start(() => BROKEN['fails at once']!);
  const leadership = await election.run('one');
  election.refuseReads(refused);
  await election.clock.advance(LOOK_MS);
  t.equal(leadership.lost.aborted, true);
  t.match(leadership.lost.reason, { code: 'StaleEpoch', cause: refused });
});

t.test('a leader whose store cannot be read for a while stays one', async (t) => {
  await using election = await start(() => BROKEN['fails at once']!);
  const leadership = await election.run('one');
  election.refuseReads(unavailable);
  await election.clock.advance(3 * LOOK_MS);
  election.refuseReads(undefined);
  await election.clock.advance(LOOK_MS);
  t.equal(leadership.lost.aborted, false);
});

t.test('who leads or waits leaves no timer and no watch behind', async (t) => {
  let watchCount = 0;
  await using election = await start(
    (meta) =>
      async function* (prefix, options) {
        watchCount += 1;
        try {
          yield* meta.watch(prefix, options);
        } finally {
          watchCount -= 1;
        }
      }
  );
  const { clock, meta, run } = election;
  const first = await run('one');
  const second = run('two');
  await clock.advance(20 * LOOK_MS);
  t.ok(watchCount <= 2, `${watchCount} watches`);
  await first.resign();
  await (await second).resign();
  await clock.advance(1);
  t.equal(watchCount, 0);
  t.equal(clock.pendingCount(), 0);
  t.same((await meta.range('elections/')).entries, []);
});
