import type { ReadResult, StoreCalls } from '@stampede/server/api';
import t from 'tap';
import { callsOver, invokerOver } from './call-table.js';
import { download } from './download.js';
import { withRetries } from './retry.js';
import { payload } from './testing/conformance/fixture.js';
import { type FaultRule, faultyCalls } from './testing/faulty-calls.js';
import { memoryStore } from './testing/memory-store.js';
import { seededRandom } from './testing/seeded-random.js';
import { TestClock } from './testing/test-clock.js';
import { upload } from './upload.js';

const AT = { bucket: 'abc', key: 'k' };
const TUNING = { rangeBytes: 1000, rangesInFlightMax: 4 };

async function storeWith(size: number, rules: readonly FaultRule[] = []) {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  await upload(store, { ...AT, body: payload(size) });
  const faulty = invokerOver(faultyCalls(store, rules));
  const calls = callsOver(withRetries(faulty, { clock: new TestClock(), random: seededRandom(1) }));
  return { store, calls };
}

const replacing = (calls: StoreCalls, read: StoreCalls['objects']['read']): StoreCalls => ({
  ...calls,
  objects: { ...calls.objects, read }
});

t.test('a download has the bytes of its range, in order', async (t) => {
  const body = payload(10_500);
  const { calls } = await storeWith(body.length);
  const table: readonly [number | undefined, number | undefined][] = [
    [undefined, undefined],
    [0, 0],
    [0, 1],
    [0, 1000],
    [0, 1001],
    [999, 3002],
    [10_499, undefined],
    [10_500, undefined],
    [20_000, 5],
    [5000, 1_000_000]
  ];
  for (const [offset, length] of table) {
    const { head, body: found } = await download(calls, { ...AT, offset, length }, TUNING);
    const wanted = body.subarray(offset ?? 0, length === undefined ? undefined : (offset ?? 0) + length);
    t.equal(head.size, body.length);
    t.equal(found.length, wanted.length, `${length} from ${offset}: length`);
    t.ok((await found.toBuffer()).equals(wanted), `${length} from ${offset}`);
  }
  const empty = await storeWith(0);
  t.equal((await (await download(empty.calls, AT)).body.toBuffer()).length, 0, 'of an empty object');
});

t.test('a body is a Node stream too', async (t) => {
  const { calls } = await storeWith(10_500);
  const { body } = await download(calls, AT, TUNING);
  const pieces: Buffer[] = [];
  for await (const piece of body.toReadable()) pieces.push(piece);
  t.ok(Buffer.concat(pieces).equals(payload(10_500)));
  t.throws(() => body[Symbol.asyncIterator](), { code: 'InvalidArgument' }, 'consumed once');
});

t.test('an object that is replaced meanwhile is never mixed with the new one', async (t) => {
  const { store, calls } = await storeWith(10_500);
  const { body } = await download(calls, AT, TUNING);
  const seen: Uint8Array[] = [];
  const reading = async () => {
    for await (const piece of body) {
      seen.push(piece);
      if (seen.length === 2) await store.objects.put({ ...AT, body: new Uint8Array(10_500) });
    }
  };
  await t.rejects(reading(), { code: 'PreconditionFailed', message: /replaced/ });
  const found = Buffer.concat(seen);
  t.ok(found.equals(payload(10_500).subarray(0, found.length)), 'what came before is of the first version');
  await t.rejects(download(calls, { ...AT, ifMatch: 'generation:1' }), { code: 'PreconditionFailed' });
  t.equal((await download(calls, { ...AT, ifMatch: 'generation:2' })).head.generation, 2);
});

t.test('a change of attributes does not end a download', async (t) => {
  const { store, calls } = await storeWith(10_500);
  const { body } = await download(calls, AT, TUNING);
  await store.objects.setAttributes({ ...AT, attributes: { uid: 1 } });
  t.ok((await body.toBuffer()).equals(payload(10_500)));
});

t.test('a range that arrives damaged is read again, and never given to the caller', async (t) => {
  for (const skip of [0, 1, 5]) {
    const rules = [{ on: 'objects.read', fault: { type: 'corruptAnswer' }, skip, times: 2 }] as const;
    const { calls } = await storeWith(10_500, rules);
    const { body } = await download(calls, AT, TUNING);
    t.ok((await body.toBuffer()).equals(payload(10_500)), `after ${skip} good ones`);
  }
  const { calls } = await storeWith(10_500, [
    { on: 'objects.read', fault: { type: 'corruptAnswer' }, skip: 3 }
  ]);
  const { body } = await download(calls, AT, TUNING);
  await t.rejects(body.toBuffer(), { code: 'ChecksumMismatch' }, 'always damaged');
  const first = await storeWith(10, [{ on: 'objects.read', fault: { type: 'corruptAnswer' } }]);
  await t.rejects(download(first.calls, AT), { code: 'ChecksumMismatch' }, 'the first range too');
});

t.test(
  'ranges that are right but not those of the object are found by the checksum of the whole',
  async (t) => {
    const { store } = await storeWith(10_500);
    const elsewhere = replacing(store, async (input, options) =>
      store.objects.read({ ...input, offset: input.offset === 4000 ? 3000 : input.offset }, options)
    );
    const { body } = await download(elsewhere, AT, TUNING);
    await t.rejects(body.toBuffer(), { code: 'ChecksumMismatch', message: /not those that were stored/ });
    const short = replacing(store, async (input, options) => {
      const result = await store.objects.read({ ...input, length: Math.min(input.length!, 999) }, options);
      return result;
    });
    await t.rejects(download(short, AT, TUNING), { code: 'ChecksumMismatch', message: /999 bytes/ });
  }
);

t.test('single ranges are tried again', async (t) => {
  const rules = [
    { on: 'objects.read', fault: { type: 'failBefore' }, skip: 2, times: 3 },
    { on: 'objects.read', fault: { type: 'dropAnswer' }, skip: 3, times: 3 }
  ] as const;
  const { calls } = await storeWith(10_500, rules);
  const { body } = await download(calls, AT, TUNING);
  t.ok((await body.toBuffer()).equals(payload(10_500)));
});

t.test('a slow consumer holds a window of ranges and no more', async (t) => {
  const { store } = await storeWith(100_000);
  let started = 0;
  const counted = replacing(store, (input, options) => {
    started += 1;
    return store.objects.read(input, options);
  });
  const { body } = await download(counted, AT, TUNING);
  t.equal(started, 1, 'nothing is read ahead before somebody consumes');
  let consumed = 0;
  for await (const piece of body) {
    consumed += 1;
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (started - consumed > TUNING.rangesInFlightMax) t.fail(`${started} started, ${consumed} consumed`);
    t.equal(piece.length, 1000);
  }
  t.equal(consumed, 100);
});

t.test('who stops early ends the reads', async (t) => {
  const { store } = await storeWith(100_000);
  const signals: AbortSignal[] = [];
  let release = () => {};
  const stuck = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = replacing(store, async (input, options): Promise<ReadResult> => {
    if (options?.signal) signals.push(options.signal);
    if ((input.offset ?? 0) > 0) await stuck;
    return store.objects.read(input, options);
  });
  const { body } = await download(slow, AT, TUNING);
  for await (const _ of body) break;
  t.ok(signals.length > 0 && signals.every((signal) => signal.aborted), 'all are told');
  release();
  const stop = new AbortController();
  const second = await download(store, { ...AT, signal: stop.signal }, TUNING);
  const reading = async () => {
    for await (const _ of second.body) stop.abort();
  };
  await t.rejects(reading(), { code: 'Cancelled' });
});

t.test('what is not there is said at once', async (t) => {
  const { calls } = await storeWith(10);
  await t.rejects(download(calls, { bucket: 'abc', key: 'none' }), { code: 'NoSuchKey' });
});
