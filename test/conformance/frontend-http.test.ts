import { connect } from 'node:net';
import { createStoreClient } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import { crc32c, LIMITS, StoreError } from '@stampede/server/api';
import { manualClock } from '@stampede/server/testing';
import t from 'tap';
import { WebSocket } from 'ws';
import { trpcHttpCalls, trpcWebSocketCalls } from '../../packages/client/src/testing/trpc-calls.js';
import { FrameClient } from '../support/frame-client.js';
import { ROOT, type TestFrontEnd, testFrontEnd } from '../support/front-end.js';

t.test('tells whether it lives, is ready, and what it counted', async (t) => {
  let isReady = false;
  await using store = await testFrontEnd({ isReady: () => isReady });
  t.same(await get(store, '/health/live'), { status: 200, text: 'live\n' });
  t.same(await get(store, '/health/ready'), { status: 503, text: 'not ready\n' });
  isReady = true;
  t.same(await get(store, '/health/ready'), { status: 200, text: 'ready\n' });
  await store.frontEnd.calls.buckets.list();
  const { status, text } = await get(store, '/metrics');
  t.equal(status, 200);
  t.match(text, /^stampede_calls_total\{procedure="buckets.list",code="ok"\} 1$/m);
});

t.test('says what to do where there is nothing', async (t) => {
  await using store = await testFrontEnd();
  for (const path of ['/', '/nothing', '/trpc', '/health', '/%zz', '//']) {
    const { status, text } = await get(store, path);
    t.equal(status, 404, path);
    t.match(text, /There is/, path);
  }
  const wrongMethod = await fetch(`${store.endpoint}/health/live`, { method: 'DELETE' });
  t.equal(wrongMethod.status, 405);
  t.equal(wrongMethod.headers.get('allow'), 'GET, HEAD');
  const wrongCall = await fetch(`${store.endpoint}/trpc/buckets.list`, { method: 'PUT' });
  t.equal(wrongCall.status, 405);
});

t.test('refuses what is too large, and what is no HTTP', async (t) => {
  await using store = await testFrontEnd();
  const authorization = `authorization: Bearer ${await store.token()}`;
  const post = `POST /trpc/objects.put HTTP/1.1\r\nhost: x\r\n${authorization}\r\ncontent-type: application/json`;
  const tooLong = LIMITS.httpBodyBytesMax + 1;
  const rows = [
    {
      name: 'headers',
      request: `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`,
      answer: /^HTTP\/1.1 431 .*at most 65536 bytes/s
    },
    { name: 'no HTTP', request: 'hello\r\n\r\n', answer: /^HTTP\/1.1 400 .*no HTTP request/s },
    {
      name: 'a body, by its length',
      request: `${post}\r\ncontent-length: ${tooLong}\r\n\r\n`,
      answer: /^HTTP\/1.1 413 .*at most 16777216 bytes/s
    },
    {
      name: 'a body in chunks',
      request: `${post}\r\ntransfer-encoding: chunked\r\n\r\n${tooLong.toString(16)}\r\n${'x'.repeat(tooLong)}\r\n0\r\n\r\n`,
      answer: /^HTTP\/1.1 413 .*EntityTooLarge/s
    },
    {
      name: 'another protocol',
      request: `GET /trpc HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n`,
      answer: /^HTTP\/1.1 426 .*upgrade: stampede\/1, websocket.*InvalidArgument.*stampede\/1/s
    },
    {
      name: 'an upgrade elsewhere',
      request: `GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: stampede/1\r\n\r\n`,
      answer: /^HTTP\/1.1 404 .*\/trpc/s
    }
  ];
  for (const { name, request, answer } of rows) t.match(await exchange(store, request), answer, name);
  t.equal((await get(store, '/health/live')).status, 200);
});

t.test('lets nobody in over HTTP without a token that it trusts', async (t) => {
  await using store = await testFrontEnd();
  const wrong = await store.token({ ...ROOT, secretKey: 'wrong' });
  for (const authorization of ['', 'Bearer', 'Bearer x', `Basic ${await store.token()}`, `Bearer ${wrong}`]) {
    const response = await fetch(`${store.endpoint}/trpc/buckets.list`, { headers: { authorization } });
    t.equal(response.status, 401, authorization.slice(0, 8));
    t.match(await response.text(), /"storeCode":"Unauthenticated"/);
  }
});

t.test('lets nobody in over WebSocket without a token that it trusts', async (t) => {
  const clock = manualClock();
  await using store = await testFrontEnd({ clock });
  const wrong = trpcWebSocketCalls({
    endpoint: store.endpoint,
    token: () => store.token({ ...ROOT, secretKey: 'wrong' }),
    WebSocket
  });
  t.equal(await codeOf(wrong.calls.buckets.list()), 'Unauthenticated');
  t.equal(await codeOf(wrong.calls.buckets.list()), 'Unauthenticated', 'again on the same connection');
  await wrong.close();
  const unknown = JSON.stringify({ method: 'connectionParams', data: { token: 'x' } });
  for (const said of [undefined, unknown]) {
    const socket = new WebSocket(`${store.endpoint.replace('http', 'ws')}/trpc?connectionParams=1`);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => socket.once('open', resolve));
    if (said !== undefined) await new Promise((resolve) => socket.send(said, resolve));
    await clock.advance(10_000);
    await closed;
    t.pass('who does not say in time who it is is cut');
  }
});

t.test('a deleted key stops working on open WebSockets', async (t) => {
  await using store = await testFrontEnd();
  const { keys } = store.frontEnd.calls;
  const key = await keys.create({ access: 'read' });
  const { calls, close } = trpcWebSocketCalls({ ...store, token: () => store.token(key), WebSocket });
  t.ok(await calls.buckets.list());
  await keys.delete({ accessKey: key.accessKey });
  t.equal(await codeOf(calls.buckets.list()), 'Unauthenticated');
  await close();
});

t.test('calls of a lost WebSocket or request are aborted', async (t) => {
  const inner = memoryStore();
  const signals: AbortSignal[] = [];
  let arrived = (): void => undefined;
  const head = (_: unknown, options: { readonly signal?: AbortSignal } = {}) =>
    new Promise<never>((_, reject) => {
      signals.push(options.signal!);
      options.signal!.addEventListener('abort', () => reject(options.signal!.reason));
      arrived();
    });
  await using store = await testFrontEnd({ store: { ...inner, objects: { ...inner.objects, head } } });
  const next = () =>
    new Promise<void>((resolve) => {
      arrived = resolve;
    });

  const sockets: WebSocket[] = [];
  class TrackedWebSocket extends WebSocket {
    constructor(url: string) {
      super(url);
      sockets.push(this);
    }
  }
  const socket = trpcWebSocketCalls({ ...store, WebSocket: TrackedWebSocket });
  let here = next();
  const lost = codeOf(socket.calls.objects.head({ bucket: 'photos', key: 'a' }));
  await here;
  sockets[0]!.terminate();
  await lost;
  await ended(signals[0]!);
  await socket.close();

  here = next();
  const controller = new AbortController();
  const http = trpcHttpCalls({ ...store, isBatched: false });
  const cancelled = codeOf(http.objects.head({ bucket: 'photos', key: 'a' }, { signal: controller.signal }));
  await here;
  controller.abort();
  await cancelled;
  await ended(signals[1]!);
  t.ok(signals.every(({ aborted }) => aborted));
});

t.test('a WebSocket that is not read makes the store hold little and harms nobody', async (t) => {
  const inner = memoryStore();
  const body = new Uint8Array(512 * 1024);
  let readCount = 0;
  const read = async ({ bucket, key }: { readonly bucket: string; readonly key: string }) => {
    readCount += 1;
    return { head: headOf(bucket, key), body, offset: 0, crc32c: crc32c(body) };
  };
  await using store = await testFrontEnd({ store: { ...inner, objects: { ...inner.objects, read } } });
  const headers = { authorization: `Bearer ${await store.token()}` };
  const deaf = new WebSocket(`${store.endpoint.replace('http', 'ws')}/trpc`, { headers });
  await new Promise((resolve) => deaf.once('open', resolve));
  deaf.pause();
  const input = { bucket: 'photos', key: 'a', length: body.length };
  const params = { path: 'objects.read', input };
  for (let id = 1; id <= 120; id++) deaf.send(JSON.stringify({ id, method: 'query', params }));
  await settled(() => readCount);
  const heldCount = readCount;
  t.ok(heldCount < 60, `${heldCount} of 120 reads were made`);
  const { calls, close } = trpcWebSocketCalls({ ...store, WebSocket });
  t.equal((await calls.objects.read({ bucket: 'photos', key: 'b' })).body.length, body.length);
  await close();
  const answers = new Promise<void>((resolve) => {
    let count = 0;
    deaf.on('message', () => {
      count += 1;
      if (count === 120) resolve();
    });
  });
  deaf.resume();
  await answers;
  t.equal(readCount, 121, 'once it is read, all are answered');
  deaf.terminate();
});

t.test('messages that are none end at most their WebSocket', async (t) => {
  await using store = await testFrontEnd();
  const url = `${store.endpoint.replace('http', 'ws')}/trpc`;
  const headers = { authorization: `Bearer ${await store.token()}` };
  const messages = [
    'not json',
    'null',
    '[]',
    '{}',
    '{"id":1}',
    '{"id":1,"method":"query","params":{"path":"__proto__"}}',
    '{"id":1,"method":"query","params":{"path":"objects.read","input":7}}',
    '{"id":{},"method":"query","params":{}}',
    `[${Array.from({ length: 1000 }, (_, id) => `{"id":${id},"method":"query","params":{"path":"buckets.list"}}`)}]`,
    `"${'['.repeat(100_000)}`,
    Buffer.from([1, 2, 3])
  ];
  for (const message of messages) {
    const socket = new WebSocket(url, { headers });
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(message);
    socket.send('PING');
    await new Promise<void>((resolve) => {
      socket.on('message', (answer) => {
        if (String(answer) === 'PONG') resolve();
      });
      socket.once('close', () => resolve());
    });
    socket.terminate();
  }
  const large = new WebSocket(url, { headers });
  await new Promise((resolve) => large.once('open', resolve));
  const closed = new Promise((resolve) => large.once('close', resolve));
  large.on('error', () => undefined);
  large.send(Buffer.alloc(LIMITS.httpBodyBytesMax + 1));
  await closed;
  const { calls, close } = trpcWebSocketCalls({ ...store, WebSocket });
  t.same((await calls.buckets.list()).buckets, []);
  await close();
});

t.test('a batch whose answers have no room fails where it must, and others do not', async (t) => {
  await using store = await testFrontEnd();
  const { buckets, objects } = store.frontEnd.calls;
  await buckets.create({ bucket: 'photos' });
  const body = new Uint8Array(LIMITS.bodyBytesMax).fill(65);
  await objects.put({ bucket: 'photos', key: 'large', body });
  await objects.put({ bucket: 'photos', key: 'small', body: new Uint8Array(1) });
  const calls = trpcHttpCalls({ ...store, isBatched: true });
  const small = await Promise.all(
    Array.from({ length: 30 }, () => calls.objects.read({ bucket: 'photos', key: 'small' }))
  );
  t.equal(small.length, 30);
  const codes = await Promise.all(
    Array.from({ length: 6 }, () => codeOf(calls.objects.read({ bucket: 'photos', key: 'large' })))
  );
  t.same([...new Set(codes)].sort(), ['EntityTooLarge', 'success']);
});

t.test('serves a watch as server-sent events, which resume after an id', async (t) => {
  await using store = await testFrontEnd();
  const { buckets, objects } = store.frontEnd.calls;
  await buckets.create({ bucket: 'photos' });
  const params = encodeURIComponent(JSON.stringify({ token: await store.token() }));
  const input = encodeURIComponent(JSON.stringify({ bucket: 'photos' }));
  const url = `${store.endpoint}/trpc/objects.watch?input=${input}&connectionParams=${params}`;
  const first = await events(url);
  await objects.put({ bucket: 'photos', key: 'a', body: new Uint8Array(1) });
  await objects.put({ bucket: 'photos', key: 'b', body: new Uint8Array(1) });
  const a = await first.next('"key":"a"');
  await first.end();
  const id = /^id: (.*)$/m.exec(a)?.[1];
  t.ok(id);
  const second = await events(url, { 'last-event-id': id! });
  t.match(await second.next('"key":"b"'), /"key":"b"/);
  await second.end();
});

t.test('no log line holds a secret, a token or a body', async (t) => {
  await using store = await testFrontEnd();
  const { buckets, keys } = store.frontEnd.calls;
  await buckets.create({ bucket: 'photos' });
  const key = await keys.create({ access: 'write', description: 'camera' });
  const body = Buffer.from('the-bytes-of-the-body-'.repeat(200));
  const words = [
    ROOT.secretKey,
    key.secretKey,
    'the-bytes-of-the-body',
    body.toString('base64').slice(0, 40)
  ];

  const framed = createStoreClient({ ...key, endpoint: store.endpoint });
  await framed.objects.put({ bucket: 'photos', key: 'a', body });
  await codeOf(framed.objects.put({ bucket: 'photos', key: 'a', body, crc32c: 1 }));
  await codeOf(framed.objects.put({ bucket: 'photos', key: 7, body } as never));
  await codeOf(framed.keys.list());
  await framed.close();
  const http = trpcHttpCalls({ ...store, isBatched: true });
  await http.objects.put({ bucket: 'photos', key: 'b', body });
  await codeOf(http.objects.put({ bucket: 'photos', key: '', body }));
  const socket = trpcWebSocketCalls({ ...store, WebSocket });
  await socket.calls.objects.read({ bucket: 'photos', key: 'b' });
  await socket.close();
  const token = await store.token({ ...ROOT, secretKey: 'a-wrong-secret' });
  words.push(token, token.split('.')[2]!, (await store.token()).split('.')[2]!);
  await t.rejects(FrameClient.open({ port: store.port, token }));
  await fetch(`${store.endpoint}/trpc/buckets.list?token=${token}`, {
    headers: { authorization: `Bearer ${token}` }
  });
  using malformed = await FrameClient.open({ port: store.port, token: await store.token(), preface: body });
  await malformed.closed;

  const log = store.lines.join('');
  for (const word of words) t.notOk(log.includes(word), `not ${word.slice(0, 12)}…`);
  const lines = store.lines.map((line) => JSON.parse(line));
  const calls = lines.filter(({ requestId }) => requestId !== undefined);
  t.ok(calls.length >= 8, 'calls are logged');
  t.ok(calls.every(({ procedure, accessKey, transport }) => procedure && accessKey && transport));
  t.equal(new Set(calls.map(({ requestId }) => requestId)).size, calls.length, 'each has its own id');
});

t.test('what fails inside tells the caller a request id, and the log the reason', async (t) => {
  const inner = memoryStore();
  const head = async () => {
    throw new Error('a bug deep inside');
  };
  await using store = await testFrontEnd({ store: { ...inner, objects: { ...inner.objects, head } } });
  const error = await store.frontEnd.calls.objects
    .head({ bucket: 'photos', key: 'a' })
    .catch((error: unknown) => error);
  t.ok(error instanceof StoreError);
  const { code, message } = error as StoreError;
  t.equal(code, 'InternalError');
  t.notMatch(message, /deep inside/);
  const requestId = /Request ([\w-]+)\./.exec(message)?.[1];
  const line = store.lines.map((text) => JSON.parse(text)).find((entry) => entry.requestId === requestId);
  t.equal(line.level, 50);
  t.match(line.err.message, /deep inside/);
});

t.test('a store that does not listen answers in the process alone', async (t) => {
  await using store = await testFrontEnd({ listens: false });
  t.equal(store.frontEnd.endpoint, undefined);
  t.same((await store.frontEnd.calls.buckets.list()).buckets, []);
});

async function get(
  store: TestFrontEnd,
  path: string
): Promise<{ readonly status: number; readonly text: string }> {
  // As it stands: fetch would tidy the path up.
  const answer = await exchange(store, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  const [head = '', ...rest] = answer.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  const isChunked = /transfer-encoding: chunked/i.test(head);
  return { status: Number(head.split(' ')[1]), text: isChunked ? unchunked(body) : body };
}

function unchunked(body: string): string {
  return body.replace(/^[0-9a-f]+\r\n/gm, '').trimEnd();
}

/** Sends bytes and gives the answer that comes back. */
async function exchange(store: TestFrontEnd, request: string): Promise<string> {
  const socket = connect(store.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(request);
  let answer = '';
  for await (const bytes of socket) {
    answer += String(bytes);
    if (isWhole(answer)) break;
  }
  socket.destroy();
  return answer;
}

/** Answers without a length end with an empty chunk. */
function isWhole(answer: string): boolean {
  const [head = '', body] = answer.split('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) return answer.endsWith('0\r\n\r\n');
  return body !== undefined && Buffer.byteLength(body) >= Number(length);
}

function headOf(bucket: string, key: string) {
  const plain = { contentType: '', userMetadata: {}, tags: {}, attributes: {} };
  return { bucket, key, versionId: '1', generation: 1, etag: 'e', size: 0, modifiedAtMs: 0, ...plain };
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

interface Events {
  /** Reads on until there is a text, and gives what came. */
  next(text: string): Promise<string>;
  end(): Promise<void>;
}

async function events(url: string, headers: Record<string, string> = {}): Promise<Events> {
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers } });
  const reader = response.body!.getReader();
  let text = '';
  const next = async (wanted: string) => {
    while (!text.includes(wanted)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`the store ended the events: ${text}`);
      text += Buffer.from(value).toString();
    }
    return text;
  };
  // The first event says that the others will follow.
  await next('connected');
  return { next, end: () => reader.cancel() };
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

async function ended(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}
