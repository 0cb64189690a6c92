import { memoryStore } from '@stampede/client/testing';
import { crc32c, FRAME_KIND, isStoreError, type ObjectCalls, StoreError } from '@stampede/server/api';
import { manualClock } from '@stampede/server/testing';
import t from 'tap';
import { FrameClient } from '../support/frame-client.js';
import { type TestFrontEnd, testFrontEnd } from '../support/front-end.js';

const BUCKET = 'photos';
const MIB = 1024 * 1024;

t.test('carries calls and bytes both ways', async (t) => {
  await using store = await withBucket();
  using client = await connected(store);
  const body = pattern(3_000_000);
  await client.call('mutation', 'objects.put', { bucket: BUCKET, key: 'a', body });
  const answer = await client.call('query', 'objects.read', { bucket: BUCKET, key: 'a' });
  t.ok(Buffer.from((answer as { body: Uint8Array }).body).equals(body));
  const missing = client.call('query', 'objects.head', { bucket: BUCKET, key: 'b' });
  t.equal(await codeOf(missing), 'NoSuchKey');
});

t.test('keeps the bytes of many calls apart', async (t) => {
  await using store = await withBucket();
  using client = await connected(store);
  const sizes = [0, 1, 1023, 1024, 4096, 100_000, 1_000_000, 5, 2_000_000, 70_000];
  const bodies = Array.from({ length: 60 }, (_, index) => pattern(sizes[index % sizes.length]!, index));
  const crcs = await Promise.all(
    bodies.map(async (body, index) => {
      const head = await client.call('mutation', 'objects.put', { bucket: BUCKET, key: `k${index}`, body });
      return (head as { crc32c: number }).crc32c;
    })
  );
  t.same(
    crcs,
    bodies.map((body) => crc32c(body))
  );
  for (const [index, body] of bodies.entries()) {
    const answer = await client.call('query', 'objects.read', { bucket: BUCKET, key: `k${index}` });
    t.ok(Buffer.from((answer as { body: Uint8Array }).body).equals(body), `object ${index}`);
  }
});

t.test('answers the calls of one connection as they end', async (t) => {
  const slow = gate();
  await using store = await withBucket({
    head: async () => {
      await slow.passed;
      throw new StoreError('NoSuchKey', 'there is none');
    }
  });
  using client = await connected(store);
  const waiting = client.start('query', 'objects.head', { bucket: BUCKET, key: 'slow' });
  t.same(await client.call('query', 'objects.stat', { bucket: BUCKET, path: 'x' }), { type: 'none' });
  slow.open();
  t.equal(await codeOf(client.answer(waiting)), 'NoSuchKey');
});

t.test('refuses what is no call of the store', async (t) => {
  await using store = await withBucket();
  using client = await connected(store);
  const wrong = [
    client.call('query', 'objects.nothing', {}),
    client.call('query', '__proto__', {}),
    client.call('mutation', 'objects.head', { bucket: BUCKET, key: 'a' }),
    client.call('query', 'objects.put', { bucket: BUCKET, key: 'a', body: pattern(2000) }),
    client.call('query', 'objects.head', 'no object'),
    client.call('query', 'objects.head'),
    client.answer(client.start('subscribe', 'objects.head', { bucket: BUCKET, key: 'a' }))
  ];
  for (const call of wrong) t.equal(await codeOf(call), 'InvalidArgument');
  t.same(await client.call('query', 'objects.stat', { bucket: BUCKET, path: '' }), { type: 'directory' });
});

t.test('lets nobody in without a token that the store trusts', async (t) => {
  const clock = manualClock();
  await using store = await testFrontEnd({ clock });
  const key = await store.frontEnd.calls.keys.create({ access: 'read' });
  const good = await store.token();
  const rows = [
    { name: 'none', token: undefined },
    { name: 'empty', token: '' },
    { name: 'no token', token: 'letters' },
    { name: 'unsigned', token: `${good.slice(0, good.lastIndexOf('.'))}.` },
    { name: 'of another key', token: await store.token({ accessKey: 'ROOT', secretKey: key.secretKey }) },
    { name: 'of an unknown key', token: await store.token({ accessKey: 'NOBODY', secretKey: 'x' }) }
  ];
  for (const { name, token } of rows) {
    await t.rejects(FrameClient.open({ port: store.port, token }), /401.*"code":"Unauthenticated"/, name);
  }
  using client = await FrameClient.open({ port: store.port, token: good });
  t.ok(await client.call('query', 'buckets.list', {}));
  await clock.advance(60 * 60 * 1000);
  await t.rejects(FrameClient.open({ port: store.port, token: good }), /401.*expired/, 'expired');
});

t.test('lets a key do what it may and no more', async (t) => {
  await using store = await withBucket();
  const { keys, buckets } = store.frontEnd.calls;
  await buckets.create({ bucket: 'other' });
  const key = await keys.create({ access: 'write', buckets: [BUCKET] });
  using client = await FrameClient.open({ port: store.port, token: await store.token(key) });
  await client.call('mutation', 'objects.put', { bucket: BUCKET, key: 'a', body: pattern(10) });
  const denied = [
    client.call('query', 'objects.head', { bucket: 'other', key: 'a' }),
    client.call('mutation', 'objects.copy', { bucket: BUCKET, key: 'a', to: { bucket: 'other', key: 'a' } }),
    client.call('mutation', 'buckets.delete', { bucket: BUCKET }),
    client.call('query', 'keys.list'),
    client.answer(client.start('subscribe', 'objects.watch', { bucket: 'other' }))
  ];
  for (const call of denied) t.equal(await codeOf(call), 'AccessDenied');
});

t.test('a deleted key stops working on open connections, its subscriptions too', async (t) => {
  await using store = await withBucket();
  const { keys, objects } = store.frontEnd.calls;
  const key = await keys.create({ access: 'read' });
  using client = await FrameClient.open({ port: store.port, token: await store.token(key) });
  const watch = client.start('subscribe', 'objects.watch', { bucket: BUCKET });
  await client.next((frame) => frame.kind === FRAME_KIND.started);
  await keys.delete({ accessKey: key.accessKey });
  t.equal(await codeOf(client.call('query', 'buckets.list', {})), 'Unauthenticated');
  await objects.put({ bucket: BUCKET, key: 'secret', body: pattern(1) });
  t.equal(await codeOf(client.answer(watch)), 'Unauthenticated');
  await t.rejects(FrameClient.open({ port: store.port, token: await store.token(key) }), /401/);
});

t.test('a cancelled call is aborted and answered', async (t) => {
  const seen = gate<AbortSignal>();
  await using store = await withBucket({
    head: (_, options) => {
      seen.open(options!.signal!);
      return aborted(options!.signal!);
    }
  });
  using client = await connected(store);
  const id = client.start('query', 'objects.head', { bucket: BUCKET, key: 'a' });
  const signal = await seen.passed;
  client.send({ kind: FRAME_KIND.cancel, id });
  t.equal(await codeOf(client.answer(id)), 'Cancelled');
  t.ok(signal.aborted);
  client.send({ kind: FRAME_KIND.cancel, id: 999 });
  t.ok(await client.call('query', 'buckets.list', {}), 'to cancel what is not there changes nothing');
});

t.test('a call ends at the deadline that its frame carries, even when the layer does not', async (t) => {
  const clock = manualClock();
  const seen = gate<number>();
  const never = gate<never>();
  await using store = await withBucket(
    {
      head: async (_, options) => {
        seen.open(options!.deadlineMs!);
        return never.passed;
      }
    },
    clock
  );
  using client = await connected(store);
  const id = client.start('query', 'objects.head', { bucket: BUCKET, key: 'a' }, 5000);
  t.equal(await seen.passed, 5000);
  await clock.advance(5000);
  t.equal(await codeOf(client.answer(id)), 'DeadlineExceeded');
  never.open(undefined as never);
});

t.test('bytes of a call that goes on after its deadline are not written over', async (t) => {
  const clock = manualClock();
  const seen = gate<Uint8Array>();
  const hold = gate();
  const inner = memoryStore();
  let isFirst = true;
  await using store = await withBucket(
    {
      put: async (input, options) => {
        if (!isFirst) return inner.objects.put(input, options);
        isFirst = false;
        seen.open(input.body);
        await hold.passed;
        throw new StoreError('SlowDown', 'too late');
      }
    },
    clock
  );
  await inner.buckets.create({ bucket: BUCKET });
  using client = await connected(store);
  const first = { bucket: BUCKET, key: 'a', body: pattern(200_000) };
  const id = client.start('mutation', 'objects.put', first, 1000);
  const held = await seen.passed;
  await clock.advance(1000);
  t.equal(await codeOf(client.answer(id)), 'DeadlineExceeded');
  for (let index = 0; index < 5; index++) {
    await client.call('mutation', 'objects.put', {
      ...first,
      key: `k${index}`,
      body: Buffer.alloc(200_000, 7)
    });
  }
  t.ok(pattern(200_000).equals(held));
  hold.open();
});

t.test('calls of a lost connection are aborted', async (t) => {
  const seen = gate<AbortSignal>();
  await using store = await withBucket({
    head: (_, options) => {
      seen.open(options!.signal!);
      return aborted(options!.signal!);
    }
  });
  const client = await connected(store);
  client.start('query', 'objects.head', { bucket: BUCKET, key: 'a' });
  const signal = await seen.passed;
  client.socket.destroy();
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  t.ok(isStoreError(signal.reason, 'Cancelled'));
});

t.test('a subscription sends as many events as the client granted', async (t) => {
  await using store = await withBucket();
  const { objects } = store.frontEnd.calls;
  using client = await connected(store);
  const id = client.start('subscribe', 'objects.watch', { bucket: BUCKET });
  await client.next((frame) => frame.kind === FRAME_KIND.started);
  for (let index = 0; index < 50; index++)
    await objects.put({ bucket: BUCKET, key: `k${index}`, body: pattern(1) });
  const keys: string[] = [];
  const take = async () => {
    const { payload } = await client.next((frame) => frame.id === id && frame.kind === FRAME_KIND.data);
    const { id: eventId, data } = payload as {
      id: string;
      data: { resumeToken: string; head: { key: string } };
    };
    t.equal(eventId, data.resumeToken);
    keys.push(data.head.key);
  };
  for (let index = 0; index < 32; index++) await take();
  // What a later call answers comes after all events that were allowed.
  await client.call('query', 'buckets.list', {});
  t.equal(client.frames.length, 0, 'no more than granted');
  client.send({ kind: FRAME_KIND.credit, id, payload: 18 });
  for (let index = 0; index < 18; index++) await take();
  t.same(
    keys,
    Array.from({ length: 50 }, (_, index) => `k${index}`)
  );
  client.send({ kind: FRAME_KIND.cancel, id });
  await client.next((frame) => frame.id === id && frame.kind === FRAME_KIND.stopped);
});

t.test('pings are answered, and a silent client is cut', async (t) => {
  const clock = manualClock();
  await using store = await testFrontEnd({ clock });
  using client = await connected(store);
  client.send({ kind: FRAME_KIND.ping, id: 0 });
  await client.next((frame) => frame.kind === FRAME_KIND.pong);
  await clock.advance(10_000);
  await client.next((frame) => frame.kind === FRAME_KIND.ping);
  client.send({ kind: FRAME_KIND.pong, id: 0 });
  await client.call('query', 'buckets.list', {});
  await clock.advance(20_000);
  t.notOk(client.isClosed);
  await clock.advance(20_000);
  await client.closed;
});

t.test('a client that does not read makes the store hold little, harms nobody and is cut', async (t) => {
  const clock = manualClock();
  let readCount = 0;
  const body = pattern(4 * MIB);
  await using store = await withBucket(
    {
      read: async ({ bucket, key }) => {
        readCount += 1;
        return { head: headOf(bucket, key), body, offset: 0, crc32c: crc32c(body) };
      }
    },
    clock
  );
  using deaf = await connected(store);
  using other = await connected(store);
  deaf.socket.pause();
  for (let index = 0; index < 200; index++) {
    deaf.start('query', 'objects.read', { bucket: BUCKET, key: `k${index}`, length: body.length });
  }
  await settled(() => readCount);
  // What waits for the socket, and what the kernel took.
  t.ok(readCount >= 7 && readCount <= 12, `${readCount} of 200 reads were made`);
  t.ok(await other.call('query', 'objects.read', { bucket: BUCKET, key: 'x', length: 10 }));
  for (let minutes = 0; minutes < 6; minutes++) {
    await clock.advance(10_000);
    await other.call('query', 'buckets.list', {});
  }
  deaf.socket.resume();
  await deaf.closed;
  t.ok(readCount < 40, `${readCount} reads were made`);
  t.ok(await other.call('query', 'buckets.list', {}));
});

t.test('too many calls at once wait unread, and are served when others end', async (t) => {
  let runningCount = 0;
  let mostCount = 0;
  const hold = gate();
  await using store = await withBucket({
    stat: async () => {
      runningCount += 1;
      mostCount = Math.max(mostCount, runningCount);
      await hold.passed;
      runningCount -= 1;
      return { type: 'none' };
    }
  });
  using client = await connected(store);
  const ids = Array.from({ length: 1000 }, () =>
    client.start('query', 'objects.stat', { bucket: BUCKET, path: 'x' })
  );
  await settled(() => runningCount);
  t.equal(runningCount, 256);
  hold.open();
  for (const id of ids) await client.answer(id);
  t.equal(mostCount, 256);
});

t.test('closing answers what ends in time, aborts the rest, and refuses new calls', async (t) => {
  const started = gate();
  const finish = gate();
  const clock = manualClock();
  const store = await withBucket(
    {
      head: async (_, options) => {
        started.open();
        return aborted(options!.signal!);
      },
      stat: async () => {
        await finish.passed;
        return { type: 'none' };
      }
    },
    clock
  );
  using client = await connected(store);
  const slow = client.start('query', 'objects.head', { bucket: BUCKET, key: 'a' });
  const quick = client.start('query', 'objects.stat', { bucket: BUCKET, path: 'a' });
  await started.passed;
  const closing = store.frontEnd.close({ graceMs: 3000 });
  t.equal(await codeOf(client.call('query', 'buckets.list', {})), 'SlowDown');
  t.equal(await codeOf(store.frontEnd.calls.buckets.list()), 'SlowDown');
  finish.open();
  t.same(await client.answer(quick), { type: 'none' });
  await clock.advance(3000);
  t.equal(await codeOf(client.answer(slow)), 'ServiceUnavailable');
  await closing;
  await client.closed;
  await store[Symbol.asyncDispose]();
});

async function withBucket(
  objects: Partial<ObjectCalls> = {},
  clock?: ReturnType<typeof manualClock>
): Promise<TestFrontEnd> {
  const inner = memoryStore();
  const store = await testFrontEnd({
    store: { ...inner, objects: { ...inner.objects, ...objects } },
    ...(clock && { clock })
  });
  await store.frontEnd.calls.buckets.create({ bucket: BUCKET });
  return store;
}

async function connected(store: TestFrontEnd): Promise<FrameClient> {
  return FrameClient.open({ port: store.port, token: await store.token() });
}

function pattern(length: number, start = 0): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (start + index) % 251));
}

function headOf(bucket: string, key: string) {
  const plain = { contentType: '', userMetadata: {}, tags: {}, attributes: {} };
  return { bucket, key, versionId: '1', generation: 1, etag: 'e', size: 0, modifiedAtMs: 0, ...plain };
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'success';
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
}

/** Something to wait for. */
function gate<Value = void>(): { readonly passed: Promise<Value>; open(value: Value): void } {
  let open = (_: Value): void => undefined;
  const passed = new Promise<Value>((resolve) => {
    open = resolve;
  });
  return { passed, open: (value) => open(value) };
}

/** Rejects when the signal aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

/** Resolves when a count has stood still for a while of turns. */
async function settled(count: () => number): Promise<void> {
  for (let still = 0, last = -1; still < 2000; ) {
    await new Promise((resolve) => setImmediate(resolve));
    if (count() > 0 && count() === last) still += 1;
    else still = 0;
    last = count();
  }
}
