import { Readable } from 'node:stream';
import { crc32c, LIMITS, type StoreCalls, StoreError } from '@stampede/server/api';
import t from 'tap';
import { callsOver, type Invoker, invokerOver } from './call-table.js';
import { withRetries } from './retry.js';
import { payload } from './testing/conformance/fixture.js';
import { type FaultRule, faultyCalls } from './testing/faulty-calls.js';
import { memoryStore } from './testing/memory-store.js';
import { seededRandom } from './testing/seeded-random.js';
import { TestClock } from './testing/test-clock.js';
import { upload } from './upload.js';

const MIB = 1024 * 1024;
const AT = { bucket: 'abc', key: 'k' };

/** A store with a bucket, the calls made to it, and faults between it and the retries. */
async function storeWith(rules: readonly FaultRule[] = []) {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  const made: string[] = [];
  const counted: Invoker = {
    call: (call, input, options) => {
      made.push(call);
      return invokerOver(store).call(call, input, options);
    },
    watch: (input, options) => store.objects.watch(input, options)
  };
  const faulty = invokerOver(faultyCalls(callsOver(counted), rules));
  const calls = callsOver(withRetries(faulty, { clock: new TestClock(), random: seededRandom(1) }));
  return { store, calls, made };
}

async function bytesOf(store: StoreCalls): Promise<Buffer> {
  const { size } = await store.objects.head(AT);
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < size; offset += LIMITS.bodyBytesMax)
    pieces.push((await store.objects.read({ ...AT, offset, length: LIMITS.bodyBytesMax })).body);
  return Buffer.concat(pieces);
}

async function* inPieces(body: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < body.length; offset += pieceBytes)
    yield body.subarray(offset, offset + pieceBytes);
}

t.test('every form of body arrives whole, at every size around the limits', async (t) => {
  for (const size of [0, 1, 4 * MIB, 4 * MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 25 * MIB + 17]) {
    const body = payload(size);
    const forms = {
      bytes: body,
      'an iterable': inPieces(body, 70_001),
      'a function': () => inPieces(body, 5 * MIB),
      'a stream': Readable.from(inPieces(body, 64 * 1024))
    };
    for (const [name, form] of Object.entries(forms)) {
      const { store, calls, made } = await storeWith();
      const head = await upload(calls, { ...AT, body: form });
      t.equal(head.size, size, `${name} of ${size} bytes`);
      t.equal(head.crc32c, crc32c(body), `${name} of ${size} bytes: checksum`);
      t.ok((await bytesOf(store)).equals(body), `${name} of ${size} bytes: content`);
      const isOneCall = size <= LIMITS.bodyBytesMax;
      t.equal(made.includes('objects.put'), isOneCall, `${name} of ${size} bytes: one call or many`);
      t.same((await store.uploads.list({ bucket: 'abc' })).uploads, [], 'no upload stays behind');
    }
  }
});

t.test('what is said of the object is stored with it, however it travels', async (t) => {
  const described = {
    contentType: 'text/plain',
    userMetadata: { a: 'b' },
    tags: { c: 'd' },
    attributes: { mode: 0o100600 }
  };
  for (const size of [10, 9 * MIB]) {
    const { calls } = await storeWith();
    t.match(await upload(calls, { ...AT, body: payload(size), ...described }), described);
  }
});

t.test('conditions are judged, and a refused upload leaves nothing', async (t) => {
  for (const size of [10, 9 * MIB]) {
    const { store, calls } = await storeWith();
    const first = await store.objects.put({ ...AT, body: payload(3) });
    const refused = upload(calls, { ...AT, body: payload(size), ifNoneMatch: '*' });
    await t.rejects(refused, { code: 'PreconditionFailed' });
    t.equal((await store.objects.head(AT)).generation, 1);
    t.same((await store.uploads.list({ bucket: 'abc' })).uploads, []);
    const second = await upload(calls, { ...AT, body: payload(size), ifMatch: first.etag });
    t.equal(second.generation, 2);
  }
});

t.test('lost answers, refusals and broken connections change nothing of the result', async (t) => {
  const body = payload(30 * MIB);
  const faults = [
    { type: 'dropAnswer' },
    { type: 'failBefore', code: 'SlowDown' },
    { type: 'failBefore' }
  ] as const;
  for (const call of ['uploads.create', 'uploads.write', 'uploads.complete', '*'] as const) {
    for (const fault of faults) {
      const { store, calls } = await storeWith([{ on: call, fault, times: 3 }]);
      const head = await upload(calls, { ...AT, body });
      t.equal(head.generation, 1, `${fault.type} of ${call}: one version`);
      t.ok((await bytesOf(store)).equals(body), `${fault.type} of ${call}: content`);
      t.same(
        (await store.uploads.list({ bucket: 'abc' })).uploads,
        [],
        `${fault.type} of ${call}: one upload`
      );
    }
  }
  const { store, calls } = await storeWith([{ on: 'objects.put', fault: { type: 'dropAnswer' }, times: 2 }]);
  t.equal((await upload(calls, { ...AT, body: payload(5) })).generation, 1, 'a put');
  t.equal((await store.objects.head(AT)).generation, 1, 'happens once');
});

t.test('bytes that change on the way are refused', async (t) => {
  for (const size of [10, 12 * MIB]) {
    const { store, calls } = await storeWith([
      {
        on: size === 10 ? 'objects.put' : 'uploads.write',
        fault: { type: 'corruptInput' },
        skip: size === 10 ? 0 : 1,
        times: 1
      }
    ]);
    await t.rejects(upload(calls, { ...AT, body: payload(size) }), { code: 'BadDigest' });
    await t.rejects(store.objects.head(AT), { code: 'NoSuchKey' });
    t.same((await store.uploads.list({ bucket: 'abc' })).uploads, []);
  }
});

t.test('a block that the store lost is found by the checksum of the whole', async (t) => {
  const { store, calls } = await storeWith();
  const write = calls.uploads.write.bind(calls.uploads);
  let count = 0;
  const losing: StoreCalls = {
    ...calls,
    uploads: {
      ...calls.uploads,
      // The store says that it has the second block, and has not.
      write: async (input, options) => (++count === 2 ? undefined : write(input, options))
    }
  };
  await t.rejects(upload(losing, { ...AT, body: payload(20 * MIB) }), { code: 'BadDigest' });
  await t.rejects(store.objects.head(AT), { code: 'NoSuchKey' });
});

t.test('a body that fails, or has another size than announced, stores nothing', async (t) => {
  async function* failing() {
    yield payload(9 * MIB);
    throw new Error('the disk is gone');
  }
  const broken = await storeWith();
  await t.rejects(upload(broken.calls, { ...AT, body: failing() }), { message: 'the disk is gone' });
  for (const size of [10, 20 * MIB]) {
    const other = await storeWith();
    const body = inPieces(payload(size), MIB);
    await t.rejects(upload(other.calls, { ...AT, body, size: size + 1 }), { code: 'InvalidArgument' });
    await t.rejects(other.store.objects.head(AT), { code: 'NoSuchKey' });
    t.same((await other.store.uploads.list({ bucket: 'abc' })).uploads, []);
  }
  const text = await storeWith();
  const words = Readable.from(['words']) as AsyncIterable<unknown> as AsyncIterable<Uint8Array>;
  await t.rejects(upload(text.calls, { ...AT, body: words }), { code: 'InvalidArgument' });
});

t.test('an abort ends an upload that waits for its body, and the body', async (t) => {
  const { store, calls } = await storeWith();
  const stop = new AbortController();
  const body = new Readable({ read() {} });
  body.push(payload(13 * MIB));
  const uploading = upload(calls, {
    ...AT,
    body,
    signal: stop.signal,
    onProgress: ({ storedBytes }) => storedBytes >= 12 * MIB && stop.abort()
  });
  await t.rejects(uploading, { code: 'Cancelled' });
  t.ok(body.destroyed, 'the stream is closed');
  t.same((await store.uploads.list({ bucket: 'abc' })).uploads, []);
  t.same((await store.objects.list({ bucket: 'abc' })).objects, []);
  const before = await storeWith();
  const late = upload(before.calls, { ...AT, body: payload(9 * MIB), signal: AbortSignal.abort() });
  await t.rejects(late, { code: 'Cancelled' });
});

t.test('the first failure ends the other blocks and is the one that is told', async (t) => {
  const { calls, made } = await storeWith([
    { on: 'uploads.write', fault: { type: 'failBefore', code: 'QuotaExceeded' }, skip: 2, times: 1 }
  ]);
  await t.rejects(upload(calls, { ...AT, body: payload(100 * MIB) }), { code: 'QuotaExceeded' });
  t.ok(made.filter((call) => call === 'uploads.write').length < 12, 'the rest is not sent');
  t.equal(made.at(-1), 'uploads.abort');
});

t.test('memory stays bounded: as many blocks as are in flight, in buffers that are used again', async (t) => {
  const { calls } = await storeWith();
  const buffers = new Set<ArrayBufferLike>();
  let inFlight = 0;
  let inFlightMax = 0;
  const slow: StoreCalls = {
    ...calls,
    uploads: {
      ...calls.uploads,
      write: async (input) => {
        buffers.add(input.body.buffer);
        inFlight += 1;
        inFlightMax = Math.max(inFlightMax, inFlight);
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
        inFlight -= 1;
      },
      complete: async () => calls.objects.put({ ...AT, body: new Uint8Array(0) })
    }
  };
  const tuning = { blockBytes: MIB, blocksInFlightMax: 4 };
  await upload(slow, { ...AT, body: inPieces(payload(100 * MIB), 60_000) }, tuning);
  t.equal(inFlightMax, 4, 'in flight');
  // The first blocks are held until it is clear that one call is not enough.
  const held = LIMITS.bodyBytesMax / MIB + 1;
  t.ok(buffers.size <= held + 4, `${buffers.size} buffers for 100 blocks`);
});

t.test('progress tells each block', async (t) => {
  const { calls } = await storeWith();
  const seen: number[] = [];
  await upload(calls, {
    ...AT,
    body: payload(10 * MIB),
    onProgress: ({ storedBytes, size }) => {
      t.equal(size, 10 * MIB);
      seen.push(storedBytes);
    }
  });
  t.equal(seen.at(-1), 10 * MIB);
  t.equal(seen.length, 3);
  t.same(
    [...seen].sort((a, b) => a - b),
    seen
  );
});

t.test('an upload that fails for good says why, not that its end failed too', async (t) => {
  const { calls } = await storeWith([
    { on: 'uploads.complete', fault: { type: 'failBefore', code: 'AccessDenied' } },
    { on: 'uploads.abort', fault: { type: 'failBefore', code: 'AccessDenied' } }
  ]);
  const failed = upload(calls, { ...AT, body: payload(9 * MIB) });
  await t.rejects(failed, new StoreError('AccessDenied', 'injected into uploads.complete'));
});
