import type { AppRouter } from '@stampede/server';
import { crc32c } from '@stampede/server/api';
import { createTRPCClient, TRPCClientError } from '@trpc/client';
import t from 'tap';
import { storeErrorFrom } from './errors.js';
import { framedLink } from './framed-link.js';
import { payload } from './testing/conformance/fixture.js';
import { FrameServer } from './testing/frame-server.js';
import { memoryStore } from './testing/memory-store.js';

async function linked() {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  const server = await FrameServer.listen(store);
  const link = framedLink(server.connection);
  const client = createTRPCClient<AppRouter>({ links: [link] });
  return {
    store,
    server,
    client,
    async [Symbol.asyncDispose]() {
      await link.close();
      await server[Symbol.asyncDispose]();
    }
  };
}

t.test('a tRPC client calls the store, and bytes stay bytes', async (t) => {
  await using at = await linked();
  const body = payload(3_000_000);
  const head = await at.client.objects.put.mutate({ bucket: 'abc', key: 'k', body });
  t.equal(head.size, body.length);
  const read = await at.client.objects.read.query({ bucket: 'abc', key: 'k', offset: 1_000_000 });
  t.ok(Buffer.from(read.body).equals(body.subarray(1_000_000)));
  t.equal(read.crc32c, crc32c(body.subarray(1_000_000)));
  t.equal((await at.client.admin.status.query()).state, 'ready');
  t.equal((await at.client.buckets.list.query()).buckets.length, 1);
});

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'success',
    (error: unknown) => error
  );
}

t.test('an error is a TRPCClientError with the code of the store', async (t) => {
  await using at = await linked();
  const error = await errorOf(at.client.objects.head.query({ bucket: 'abc', key: 'none' }));
  t.ok(error instanceof TRPCClientError);
  t.match(error, {
    data: { code: 'NOT_FOUND', httpStatus: 404, storeCode: 'NoSuchKey', path: 'objects.head' }
  });
  t.equal(storeErrorFrom(error).code, 'NoSuchKey');
});

t.test('a subscription gives tracked events until it is ended', async (t) => {
  await using at = await linked();
  const keys = Array.from({ length: 100 }, (_, index) => `k${index}`);
  for (const key of keys) await at.store.objects.put({ bucket: 'abc', key, body: new Uint8Array(0) });
  const found: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const subscription = at.client.objects.watch.subscribe(
      { bucket: 'abc', resumeToken: '0' },
      {
        onData: ({ id, data }) => {
          if (id === data.resumeToken && data.type === 'put') found.push(data.head.key);
          if (found.length < keys.length) return;
          subscription.unsubscribe();
          resolve();
        },
        onError: reject
      }
    );
  });
  t.same(found, keys);
  while (at.server.callsInFlight > 0) await new Promise((resolve) => setImmediate(resolve));
  t.pass('the store is told of the end');
});

t.test('an abort and a deadline end a call', async (t) => {
  await using at = await linked();
  const call = at.client.objects.head.query({ bucket: 'abc', key: 'k' }, { signal: AbortSignal.abort() });
  await t.rejects(call, TRPCClientError);
  const late = at.client.objects.head.query({ bucket: 'abc', key: 'k' }, { context: { deadlineMs: 0 } });
  t.match(await errorOf(late), { data: { storeCode: 'DeadlineExceeded', code: 'TIMEOUT' } });
});

t.test('calls on a lost connection fail, and the next one makes a new connection', async (t) => {
  await using at = await linked();
  at.server.cuts.push({ afterReceivedBytes: 600_000 });
  const lost = at.client.objects.put.mutate({ bucket: 'abc', key: 'k', body: payload(3_000_000) });
  t.match(await errorOf(lost), { data: { storeCode: 'ServiceUnavailable' } });
  const next = errorOf(at.client.objects.head.query({ bucket: 'abc', key: 'k' }));
  t.match(await next, { data: { storeCode: 'NoSuchKey' } });
  t.equal(at.server.connectionCount, 2);
});
