import { FRAME_KIND, LIMITS, type StoreCalls, SUBSCRIPTION_CREDIT } from '@stampede/server/api';
import t from 'tap';
import { payload } from '../testing/conformance/fixture.js';
import { ManualClock } from '../testing/manual-clock.js';
import { type ScriptedSocket, scriptedNetwork, turns } from '../testing/scripted-network.js';
import { FramedTransport } from './framed-transport.js';

const MIB = 1024 * 1024;
const CONNECTION = { endpoint: 'http://store:7070', accessKey: 'key', secretKey: 'secret' };

function scripted(clock = new ManualClock()) {
  const network = scriptedNetwork();
  const transport = new FramedTransport({ ...CONNECTION, clock, connect: network.connect });
  /** The outcome of a call, as a word that can be compared. */
  const head = (key: string, options = {}) =>
    outcomeOf(transport.request('query', 'objects.head', { bucket: 'b', key }, options));
  return { clock, network, transport, head, [Symbol.asyncDispose]: () => transport.close() };
}

async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => (error as { code: string }).code);
}

const kindsOf = ({ frames }: ScriptedSocket) => frames.map(({ kind }) => kind);
const pathsOf = ({ frames }: ScriptedSocket) => frames.map(({ path }) => path);
const answer = (id: number, payload: unknown) => ({ kind: FRAME_KIND.data, id, payload });

t.test('nothing is connected before the first call', async (t) => {
  await using at = scripted();
  await turns();
  t.equal(at.network.sockets.length, 0);
  void at.head('k');
  await at.network.nextSocket(0);
  void at.head('k');
  await turns();
  t.equal(at.network.sockets.length, 1, 'and once for all');
});

t.test('calls are answered in any order', async (t) => {
  await using at = scripted();
  const calls = ['a', 'b', 'c'].map((key) => at.head(key));
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const [a, b, c] = socket.frames;
  for (const { id, payload } of [b!, c!, a!]) socket.giveFrame(answer(id, payload));
  t.match(await Promise.all(calls), [{ key: 'a' }, { key: 'b' }, { key: 'c' }]);
});

t.test('calls of one tick are one write', async (t) => {
  await using at = scripted();
  void at.head('first');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const before = socket.writes.length;
  for (let index = 0; index < 50; index++) void at.head(`${index}`);
  await turns();
  t.equal(socket.writes.length - before, 1);
  t.equal(socket.frames.length, 51);
});

t.test('an error has the code of the store, its message and its wish', async (t) => {
  await using at = scripted();
  const call = at.transport.request('query', 'objects.head', {}, {});
  const strange = at.head('k');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const error = { code: 'SlowDown', message: 'too fast', retryAfterMs: 70 };
  socket.giveFrame({ kind: FRAME_KIND.error, id: socket.frames[0]!.id, payload: error });
  socket.giveFrame({ kind: FRAME_KIND.error, id: socket.frames[1]!.id, payload: { code: 'Strange' } });
  await t.rejects(call, error);
  t.equal(await strange, 'InternalError', 'a code that this version does not know');
});

t.test('as many calls are on the connection as it takes, and the others wait', async (t) => {
  await using at = scripted();
  const max = LIMITS.connectionCallsInFlightMax;
  const calls = Array.from({ length: max + 10 }, (_, index) => at.head(`${index}`));
  const socket = await at.network.nextSocket(0);
  await socket.open();
  t.equal(socket.frames.length, max);
  socket.giveFrame(answer(socket.frames[5]!.id, 'done'));
  await turns();
  t.equal(socket.frames.length, max + 1, 'one ends, one begins');
  t.match(socket.frames.at(-1)?.payload, { key: `${max}` });
  t.equal(await calls[5], 'done');
});

t.test('small calls pass bulk ones while the network is busy', async (t) => {
  await using at = scripted();
  void at.head('opens');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  socket.isFast = false;
  const put = (key: string) =>
    outcomeOf(at.transport.request('mutation', 'objects.put', { key, body: payload(2 * MIB) }, {}));
  void put('a');
  void put('b');
  void put('c');
  await turns();
  void at.head('small');
  await turns();
  t.same(pathsOf(socket).slice(1), ['objects.put', 'objects.head'], 'one bulk call is on its way');
  socket.takeWrites();
  await turns();
  t.same(pathsOf(socket).slice(3), ['objects.put'], 'then the next one');
});

t.test('a body travels with its checksum', async (t) => {
  await using at = scripted();
  void outcomeOf(at.transport.request('mutation', 'objects.put', { key: 'k', body: payload(9) }, {}));
  const socket = await at.network.nextSocket(0);
  await socket.open();
  t.match(socket.frames[0]?.payload, { crc32c: Number });
});

t.test('a call that cannot be encoded fails alone', async (t) => {
  await using at = scripted();
  const wrong = Array.from({ length: 3 }, () => at.head('\ud800'));
  const right = at.head('k');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  t.same(await Promise.all(wrong), ['InvalidArgument', 'InvalidArgument', 'InvalidArgument']);
  t.equal(socket.frames.length, 1);
  socket.giveFrame(answer(socket.frames[0]!.id, 'found'));
  t.equal(await right, 'found');
});

t.test('an aborted call ends at once, and the store is told', async (t) => {
  await using at = scripted();
  const stop = new AbortController();
  const call = at.head('k', { signal: stop.signal });
  const socket = await at.network.nextSocket(0);
  await socket.open();
  stop.abort();
  t.equal(await call, 'Cancelled');
  await turns();
  t.same(kindsOf(socket), [FRAME_KIND.query, FRAME_KIND.cancel]);
  const other = at.head('other');
  await turns();
  socket.giveFrame(answer(socket.frames[0]!.id, { body: payload(MIB) }));
  socket.giveFrame(answer(socket.frames[2]!.id, 'found'));
  t.equal(await other, 'found', 'its late answer goes nowhere');
});

t.test('a call that was aborted before it was sent is never sent', async (t) => {
  await using at = scripted();
  const stop = new AbortController();
  const aborted = at.head('a', { signal: stop.signal });
  const before = at.head('b', { signal: AbortSignal.abort() });
  void at.head('c');
  stop.abort();
  t.same([await aborted, await before], ['Cancelled', 'Cancelled']);
  const socket = await at.network.nextSocket(0);
  await socket.open();
  t.match(
    socket.frames.map(({ payload }) => payload),
    [{ key: 'c' }]
  );
  t.equal(socket.frames.length, 1);
});

t.test('the store learns what is left of the time, and the call ends in time', async (t) => {
  await using at = scripted();
  const call = at.head('k', { deadlineMs: 1000 });
  const long = at.head('long');
  const socket = await at.network.nextSocket(0);
  await at.clock.advance(400);
  await socket.open();
  t.equal(socket.frames[0]?.deadlineMs, 600);
  t.equal(socket.frames[1]?.deadlineMs, LIMITS.callDeadlineMsDefault - 400);
  await at.clock.advance(599);
  t.equal(await Promise.race([call, 'pending']), 'pending');
  await at.clock.advance(1);
  t.equal(await call, 'DeadlineExceeded');
  await turns();
  t.equal(socket.frames.at(-1)?.kind, FRAME_KIND.cancel);
  socket.giveFrame(answer(socket.frames[1]!.id, 'found'));
  t.equal(await long, 'found');
});

t.test('a call that waits for its turn longer than it has time is never sent', async (t) => {
  await using at = scripted();
  for (let index = 0; index < LIMITS.connectionCallsInFlightMax; index++) void at.head(`${index}`);
  const late = at.head('late', { deadlineMs: 100 });
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const sentCount = socket.frames.length;
  await at.clock.advance(100);
  t.equal(await late, 'DeadlineExceeded');
  socket.giveFrame(answer(socket.frames[0]!.id, 'done'));
  await turns();
  t.equal(socket.frames.length, sentCount);
});

t.test('a call whose time is over is not sent, even when its timer is late', async (t) => {
  const clock = new ManualClock();
  clock.sleep = () => new Promise(() => {});
  await using at = scripted(clock);
  const late = at.head('late', { deadlineMs: 100 });
  const right = at.head('right');
  const socket = await at.network.nextSocket(0);
  await clock.advance(200);
  await socket.open();
  t.equal(await late, 'DeadlineExceeded');
  t.match(
    socket.frames.map(({ payload }) => payload),
    [{ key: 'right' }]
  );
  socket.giveFrame(answer(socket.frames[0]!.id, 'found'));
  t.equal(await right, 'found');
});

t.test('calls on a lost connection fail, those that waited go over the next one', async (t) => {
  await using at = scripted();
  const max = LIMITS.connectionCallsInFlightMax;
  const calls = Array.from({ length: max + 2 }, (_, index) => at.head(`${index}`));
  const first = await at.network.nextSocket(0);
  await first.open();
  first.events.closed(new Error('read ECONNRESET'));
  t.same(new Set(await Promise.all(calls.slice(0, max))), new Set(['ServiceUnavailable']));
  const second = await at.network.nextSocket(1);
  await second.open();
  t.match(
    second.frames.map(({ payload }) => payload),
    [{ key: `${max}` }, { key: `${max + 1}` }]
  );
  for (const { id } of second.frames) second.giveFrame(answer(id, 'found'));
  t.same(await Promise.all(calls.slice(max)), ['found', 'found']);
});

t.test(
  'a connection that does not come to be fails the calls that wait for it, not later ones',
  async (t) => {
    await using at = scripted();
    const refused = at.head('a');
    const first = await at.network.nextSocket(0);
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    first.events.closed(cause);
    t.equal(await refused, 'ServiceUnavailable');
    const slow = at.head('b');
    const second = await at.network.nextSocket(1);
    await at.clock.advance(10_000);
    t.equal(await slow, 'ServiceUnavailable', 'no answer to the request');
    t.ok(second.isDestroyed);
    const served = at.head('c');
    const third = await at.network.nextSocket(2);
    await third.open();
    third.giveFrame(answer(third.frames[0]!.id, 'found'));
    t.equal(await served, 'found');
  }
);

t.test('bytes that are no frames end the connection, not the client', async (t) => {
  await using at = scripted();
  const call = at.head('a');
  const first = await at.network.nextSocket(0);
  await first.open();
  first.give(new Uint8Array(64).fill(0xff));
  t.equal(await call, 'ServiceUnavailable');
  t.ok(first.isDestroyed);
  const next = at.head('b');
  const second = await at.network.nextSocket(1);
  await second.open();
  second.giveFrame(answer(second.frames[0]!.id, 'found'));
  t.equal(await next, 'found');
});

t.test('silence is answered by a ping, and by the end when it lasts', async (t) => {
  await using at = scripted();
  const call = at.head('k', { deadlineMs: 300_000 });
  const socket = await at.network.nextSocket(0);
  await socket.open();
  for (let ping = 1; ping <= 5; ping++) {
    await at.clock.advance(10_000);
    await turns();
    t.equal(kindsOf(socket).filter((kind) => kind === FRAME_KIND.ping).length, ping);
    socket.giveFrame({ kind: FRAME_KIND.pong, id: 0 });
  }
  await at.clock.advance(29_000);
  t.equal(await Promise.race([call, 'pending']), 'pending');
  await at.clock.advance(2000);
  t.equal(await call, 'ServiceUnavailable');
  t.ok(socket.isDestroyed);
});

t.test('a ping is answered', async (t) => {
  await using at = scripted();
  void at.head('k');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  socket.giveFrame({ kind: FRAME_KIND.ping, id: 0 });
  await turns();
  t.equal(socket.frames.at(-1)?.kind, FRAME_KIND.pong);
});

t.test('close ends what is under way and what comes later, and leaves no timer', async (t) => {
  const at = scripted();
  const sent = at.head('a');
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const stop = new AbortController();
  const events = at.transport.subscribe('objects.watch', {}, { signal: stop.signal });
  const event = outcomeOf(events.next());
  await turns();
  await at.transport.close();
  t.same(await Promise.all([sent, event, at.head('b')]), ['Cancelled', 'Cancelled', 'Cancelled']);
  t.ok(socket.isDestroyed);
  await turns();
  t.equal(at.clock.sleeperCount, 0);
  await at.transport.close();
  const unused = scripted();
  const early = unused.head('a');
  await unused.transport.close();
  t.equal(await early, 'Cancelled');
  await turns();
  t.equal(unused.network.sockets.length, 0, 'a connection that was to be is not made');
});

type Watch = StoreCalls['objects']['watch'];

t.test('a subscription is granted events as its consumer takes them', async (t) => {
  await using at = scripted();
  const stop = new AbortController();
  const events = at.transport.subscribe('objects.watch', {}, { signal: stop.signal });
  const first = events.next();
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const { id, deadlineMs } = socket.frames[0]!;
  t.equal(deadlineMs, undefined, 'it has no deadline');
  socket.giveFrame({ kind: FRAME_KIND.started, id });
  for (let index = 0; index < SUBSCRIPTION_CREDIT; index++)
    socket.giveFrame({ kind: FRAME_KIND.data, id, payload: { id: `${index}`, data: index } });
  t.equal((await first).value, 0);
  await turns();
  t.equal(socket.frames.length, 1, 'nothing is granted before much is taken');
  for (let index = 1; index < SUBSCRIPTION_CREDIT; index++) t.equal((await events.next()).value, index);
  await turns();
  const granted = socket.frames.slice(1);
  t.ok(granted.every((frame) => frame.kind === FRAME_KIND.credit && frame.id === id));
  t.equal(
    granted.reduce((sum, { payload }) => sum + (payload as number), 0),
    SUBSCRIPTION_CREDIT
  );
  const last = events.next();
  socket.giveFrame({ kind: FRAME_KIND.stopped, id });
  t.ok((await last).done);
});

t.test('a subscription ends with its consumer, its signal and its connection', async (t) => {
  await using at = scripted();
  const begin = (signal = new AbortController().signal): ReturnType<Watch> =>
    at.transport.subscribe('objects.watch', {}, { signal }) as ReturnType<Watch>;
  const stop = new AbortController();
  const left = begin()[Symbol.asyncIterator]();
  const aborted = begin(stop.signal)[Symbol.asyncIterator]();
  const lost = begin()[Symbol.asyncIterator]();
  const firsts = [left, aborted, lost].map((iterator) => iterator.next());
  const socket = await at.network.nextSocket(0);
  await socket.open();
  const ids = socket.frames.map(({ id }) => id);
  for (const id of ids) socket.giveFrame({ kind: FRAME_KIND.data, id, payload: { data: 'event' } });
  await Promise.all(firsts);
  await left.return?.();
  const afterAbort = outcomeOf(aborted.next());
  stop.abort();
  t.equal(await afterAbort, 'Cancelled');
  await turns();
  t.match(
    socket.frames.slice(3).map(({ kind, id }) => ({ kind, id })),
    [
      { kind: FRAME_KIND.cancel, id: ids[0]! },
      { kind: FRAME_KIND.cancel, id: ids[1]! }
    ]
  );
  const afterLoss = outcomeOf(lost.next());
  socket.events.closed(undefined);
  t.equal(await afterLoss, 'ServiceUnavailable');
});

t.test('watches cannot take every place on the connection', async (t) => {
  await using at = scripted();
  const { signal } = new AbortController();
  const watches = Array.from({ length: LIMITS.connectionCallsInFlightMax / 2 + 1 }, () =>
    outcomeOf(at.transport.subscribe('objects.watch', {}, { signal }).next())
  );
  t.equal(await watches.at(-1), 'SlowDown');
});
