import { crc32c, type StoreCalls, type StoreError } from '@stampede/server/api';
import t from 'tap';
import { callsOver, invokerOver } from './call-table.js';
import { createStoreClient } from './create-store-client.js';
import type { StoreClient } from './object-client.js';
import type { StoreClientOptions } from './store-client.js';
import { payload } from './testing/conformance/fixture.js';
import { FrameServer, type FrameServerOptions } from './testing/frame-server.js';
import { ManualClock } from './testing/manual-clock.js';
import { memoryStore } from './testing/memory-store.js';
import { scriptedNetwork, turns } from './testing/scripted-network.js';
import { seededRandom } from './testing/seeded-random.js';
import { storeCallsConformance } from './testing/store-calls-conformance.js';
import { TEST_CERTIFICATE } from './testing/test-certificate.js';

const MIB = 1024 * 1024;
const AT = { bucket: 'abc', key: 'k' };

interface Served extends AsyncDisposable {
  readonly store: StoreCalls;
  readonly server: FrameServer;
  readonly client: StoreClient;
}

/** A store in memory, served, and a client of it that tries again without long pauses. */
async function served(
  options: FrameServerOptions & {
    readonly wrap?: (store: StoreCalls) => StoreCalls;
    readonly client?: StoreClientOptions;
  } = {}
): Promise<Served> {
  const store = memoryStore();
  await store.buckets.create({ bucket: 'abc' });
  const server = await FrameServer.listen(options.wrap?.(store) ?? store, options);
  const client = createStoreClient({
    ...server.connection,
    random: seededRandom(1),
    retry: { backoffMsMin: 1, backoffMsMax: 1 },
    ...(options.tls && { tls: { ca: options.tls.cert } }),
    ...options.client
  });
  return {
    store,
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
    }
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

t.test('calls over the network mean what they mean in process', (t) =>
  storeCallsConformance(t, async () => {
    const at = await served();
    return { calls: at.client, [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() };
  })
);

t.test('many calls at once share one connection', async (t) => {
  await using at = await served();
  t.equal(at.server.connectionCount, 0, 'made for the first call');
  const keys = Array.from({ length: 1000 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => at.client.objects.put({ bucket: 'abc', key, body: payload(10) })));
  const heads = await Promise.all(keys.map((key) => at.client.objects.head({ bucket: 'abc', key })));
  t.same(
    heads.map(({ key }) => key),
    keys
  );
  t.equal(at.server.connectionCount, 1);
  t.ok(at.server.callsInFlightMax <= 256, `${at.server.callsInFlightMax} in flight`);
});

t.test('a call whose answer was lost happens once', async (t) => {
  await using at = await served();
  for (let afterSentBytes = 150; afterSentBytes < 1000; afterSentBytes += 10) {
    at.server.cutAll();
    at.server.cuts.push({ afterSentBytes });
    const key = `cut after ${afterSentBytes}`;
    const head = await at.client.objects.put({ bucket: 'abc', key, body: payload(10) });
    t.equal(head.generation, 1, key);
    t.equal((await at.store.objects.head({ bucket: 'abc', key })).generation, 1);
  }
});

t.test('appends over connections that break at any byte happen once each, in order', async (t) => {
  for (const seed of [1, 2, 3]) {
    await using at = await served();
    const random = seededRandom(seed);
    await at.client.objects.put({ ...AT, body: new Uint8Array(0) });
    at.server.cutAll();
    for (let cut = 0; cut < 60; cut++) {
      const bytes = 200 + random.integer(2000);
      at.server.cuts.push(
        random.integer(2) === 0 ? { afterSentBytes: bytes } : { afterReceivedBytes: bytes }
      );
    }
    const appended: Uint8Array[] = [];
    for (let step = 0; step < 200; step++) {
      const body = payload(1 + random.integer(2000), step);
      appended.push(body);
      const steps = [{ type: 'write' as const, length: body.length }];
      const head = await at.client.objects.edit({ ...AT, steps, body });
      if (head.generation !== step + 2) t.equal(head.generation, step + 2, `seed ${seed}, append ${step}`);
    }
    const { body } = await at.store.objects.read(AT);
    t.ok(Buffer.from(body).equals(Buffer.concat(appended)), `seed ${seed}`);
    t.ok(at.server.connectionCount > 20, `seed ${seed}: ${at.server.connectionCount} connections`);
  }
});

t.test('a name with several addresses is tried until one answers', async (t) => {
  await using at = await served();
  const endpoint = at.server.endpoint.replace('127.0.0.1', 'localhost');
  await using client = createStoreClient({ ...at.server.connection, endpoint });
  const body = payload(3 * MIB);
  await client.objects.put({ ...AT, body });
  t.ok(Buffer.from((await client.objects.read(AT)).body).equals(body));
});

t.test('a large upload goes on after its connection was cut, again and again', async (t) => {
  const body = payload(40 * MIB);
  for (const form of ['bytes', 'stream'] as const) {
    await using at = await served();
    const random = seededRandom(7);
    for (let cut = 0; cut < 12; cut++)
      at.server.cuts.push({ afterReceivedBytes: 1000 + random.integer(12 * MIB) });
    async function* stream() {
      for (let offset = 0; offset < body.length; offset += 70_001)
        yield body.subarray(offset, offset + 70_001);
    }
    const head = await at.client.upload({ ...AT, body: form === 'bytes' ? body : stream() });
    t.equal(head.size, body.length);
    t.equal(head.generation, 1, 'one version');
    t.equal(head.crc32c, crc32c(body), 'every byte in its place');
    t.ok(at.server.connectionCount > 5, `over ${at.server.connectionCount} connections`);
    t.same((await at.store.uploads.list({ bucket: 'abc' })).uploads, [], 'nothing stays behind');
  }
});

t.test('a large download goes on after its connection was cut, again and again', async (t) => {
  await using at = await served();
  const body = payload(40 * MIB);
  await at.client.upload({ ...AT, body });
  at.server.cutAll();
  const random = seededRandom(8);
  for (let cut = 0; cut < 12; cut++) at.server.cuts.push({ afterSentBytes: 1000 + random.integer(12 * MIB) });
  const { body: found } = await at.client.download(AT);
  t.ok((await found.toBuffer()).equals(body));
  t.ok(at.server.connectionCount > 5, `over ${at.server.connectionCount} connections`);
});

t.test('a watch goes on after its connection was cut, without a gap or a repeat', async (t) => {
  await using at = await served();
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`);
  for (let cut = 0; cut < 10; cut++) at.server.cuts.push({ afterSentBytes: 1000 + cut * 500 });
  const stop = new AbortController();
  const found: string[] = [];
  const watching = (async () => {
    for await (const event of at.client.watch({ bucket: 'abc', resumeToken: '0', signal: stop.signal })) {
      if (event.type === 'put') found.push(event.head.key);
      if (found.length === keys.length) break;
    }
  })();
  for (const key of keys) await at.store.objects.put({ bucket: 'abc', key, body: payload(1) });
  await watching;
  t.same(found, keys);
  t.ok(at.server.connectionCount > 5, `over ${at.server.connectionCount} connections`);
  stop.abort();
});

t.test('a slow store is given as many blocks as the tuning says, and no more', async (t) => {
  let inFlight = 0;
  let inFlightMax = 0;
  const wrap = (store: StoreCalls): StoreCalls => {
    const inner = invokerOver(store);
    return callsOver({
      ...inner,
      async call(name, input, options) {
        if (name !== 'uploads.write') return inner.call(name, input, options);
        inFlight += 1;
        inFlightMax = Math.max(inFlightMax, inFlight);
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
        inFlight -= 1;
        return inner.call(name, input, options);
      }
    });
  };
  await using at = await served({ wrap, client: { upload: { blockBytes: MIB, blocksInFlightMax: 3 } } });
  await at.client.upload({ ...AT, body: payload(40 * MIB) });
  t.equal(inFlightMax, 3);
});

t.test('a slow consumer of a watch holds the store back', async (t) => {
  let givenCount = 0;
  const wrap = (store: StoreCalls): StoreCalls => ({
    ...store,
    objects: {
      ...store.objects,
      async *watch(_input, { signal }) {
        for (; !signal.aborted; givenCount++) {
          yield { type: 'delete', key: 'k', resumeToken: `${givenCount}` };
          // Others get their turn, so that nothing but the consumer holds it back.
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    }
  });
  await using at = await served({ wrap });
  const stop = new AbortController();
  const events = at.client.objects.watch({ bucket: 'abc' }, { signal: stop.signal });
  const iterator = events[Symbol.asyncIterator]();
  await iterator.next();
  for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.ok(givenCount < 50, `${givenCount} events for one taken`);
  for (let taken = 1; taken < 300; taken++) t.equal((await iterator.next()).value.resumeToken, `${taken}`);
  stop.abort();
  await t.rejects(iterator.next(), { code: 'Cancelled' });
  await until(() => at.server.callsInFlight === 0);
});

t.test('an abort reaches the store', async (t) => {
  let isAborted = false;
  const wrap = (store: StoreCalls): StoreCalls => ({
    ...store,
    objects: {
      ...store.objects,
      head: (_input, options) =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => {
            isAborted = true;
            reject(new Error('stopped'));
          });
        })
    }
  });
  await using at = await served({ wrap });
  const stop = new AbortController();
  const call = at.client.objects.head(AT, { signal: stop.signal });
  await until(() => at.server.callsInFlight === 1);
  stop.abort();
  await t.rejects(call, { code: 'Cancelled' });
  await until(() => isAborted);
  t.pass('told');
});

t.test('a close ends what is under way, for client and store', async (t) => {
  const wrap = (store: StoreCalls): StoreCalls => ({
    ...store,
    objects: { ...store.objects, head: () => new Promise(() => {}) }
  });
  await using at = await served({ wrap });
  const call = at.client.objects.head(AT);
  await until(() => at.server.callsInFlight === 1);
  await at.client.close();
  await t.rejects(call, { code: 'Cancelled', message: /closed/ });
  await t.rejects(at.client.objects.head(AT), { code: 'Cancelled' });
  await until(() => at.server.openConnectionCount === 0);
  await at[Symbol.asyncDispose]();
  const isHeld = (resource: string) => process.getActiveResourcesInfo().includes(resource);
  await until(() => !isHeld('TCPSocketWrap') && !isHeld('Timeout'));
  t.pass('nothing keeps the process running');
});

t.test('who is not let in is told why, and not tried again', async (t) => {
  await using at = await served();
  const client = createStoreClient({ ...at.server.connection, secretKey: 'wrong' });
  await t.rejects(client.objects.head(AT), { code: 'Unauthenticated', message: /secret/ });
  t.equal(at.server.connectionCount, 1);
  await client.close();
});

t.test('an endpoint that is something else is refused at once', async (t) => {
  for (const refusal of [
    'HTTP/1.1 404 Not Found\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\n<html>',
    '220 mail\r\n\r\n'
  ]) {
    await using at = await served({ refusal });
    await t.rejects(at.client.objects.head(AT), { code: 'InvalidArgument', message: /check the endpoint/ });
    t.equal(at.server.connectionCount, 1);
  }
  t.throws(() => createStoreClient({ endpoint: 'nonsense', accessKey: 'a', secretKey: 's' }), {
    code: 'InvalidArgument'
  });
  t.throws(() => createStoreClient({ endpoint: 'http://h', accessKey: 'a', secretKey: '' }), {
    code: 'InvalidArgument'
  });
});

t.test('a store that cannot now is tried again, and one that is not there is reported', async (t) => {
  await using busy = await served({
    refusal: 'HTTP/1.1 503 Service Unavailable\r\n\r\n',
    client: { retry: { backoffMsMin: 1, backoffMsMax: 1, triesMax: 5 } }
  });
  await t.rejects(busy.client.objects.head(AT), { code: 'ServiceUnavailable' });
  t.equal(busy.server.connectionCount, 5);
  const gone = await served({ client: { retry: { backoffMsMin: 1, backoffMsMax: 1, triesMax: 3 } } });
  await gone.server[Symbol.asyncDispose]();
  await t.rejects(gone.client.objects.head(AT), {
    code: 'ServiceUnavailable',
    message: /cannot be reached/
  });
  await gone.client.close();
});

t.test(
  'a store that was never reached fails calls soon, one that is gone for a while does not',
  async (t) => {
    for (const wasReached of [false, true]) {
      const clock = new ManualClock();
      const network = scriptedNetwork();
      const client = createStoreClient({
        endpoint: 'http://store',
        accessKey: 'a',
        secretKey: 's',
        clock,
        random: seededRandom(1),
        connect: network.connect
      });
      let outcome: string | undefined;
      const startMs = clock.monotonicMs();
      client.objects.head(AT).then(
        () => {},
        (error: StoreError) => {
          outcome = error.code;
        }
      );
      const first = await network.nextSocket(0);
      if (wasReached) await first.open();
      const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      for (let index = 0; outcome === undefined; ) {
        for (; index < network.sockets.length; index++) network.sockets[index]!.events.closed(refused);
        await turns();
        await clock.advance(50);
      }
      t.equal(outcome, 'ServiceUnavailable');
      const elapsedMs = clock.monotonicMs() - startMs;
      if (wasReached) t.ok(elapsedMs > 50_000, `${elapsedMs} ms: until its deadline is near`);
      else t.ok(elapsedMs > 500 && elapsedMs <= 3000, `${elapsedMs} ms`);
      t.ok(network.sockets.length > 3, 'after several tries');
      await client.close();
    }
  }
);

t.test('https is spoken with a store that is trusted, and with no other', async (t) => {
  await using at = await served({ tls: TEST_CERTIFICATE });
  const body = payload(20 * MIB);
  await at.client.upload({ ...AT, body });
  t.ok((await (await at.client.download(AT)).body.toBuffer()).equals(body));
  const stranger = createStoreClient(at.server.connection);
  await t.rejects(stranger.objects.head(AT), { code: 'InvalidArgument', message: /tls\.ca/ });
  await stranger.close();
  await using plain = await served();
  const mistaken = createStoreClient({
    ...plain.server.connection,
    endpoint: plain.server.endpoint.replace('http:', 'https:')
  });
  await t.rejects(mistaken.objects.head(AT), { code: 'InvalidArgument', message: /https/ });
  await mistaken.close();
});
