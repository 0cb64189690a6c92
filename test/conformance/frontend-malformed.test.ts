import { seededRandom } from '@stampede/client/testing';
import { encodeFrame, encodePreface, FRAME_KIND, type Frame, LIMITS } from '@stampede/server/api';
import t from 'tap';
import { FrameClient } from '../support/frame-client.js';
import { type TestFrontEnd, testFrontEnd } from '../support/front-end.js';

/* Bytes that are no frames end the connection they came on, and nothing else. */

const SEED = Number(process.env.STAMPEDE_SEED ?? 7);
const HEAD = { id: 1, path: 'objects.head', payload: { bucket: 'photos', key: 'a' } };

interface Row {
  readonly name: string;
  readonly preface?: Uint8Array;
  readonly bytes: Uint8Array;
}

const ROWS: readonly Row[] = [
  {
    name: 'a preface of another version',
    preface: Uint8Array.of(0x53, 0x54, 0x4d, 0x50, 9, 0, 0, 0),
    bytes: frame()
  },
  { name: 'no preface', preface: new Uint8Array(0), bytes: frame() },
  { name: 'an HTTP request', preface: new Uint8Array(0), bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n') },
  { name: 'a frame longer than any', bytes: lengths(LIMITS.frameBytesMax + 1, 10) },
  { name: 'the longest length there is', bytes: lengths(0xffffffff, 0xffffffff) },
  { name: 'a head longer than any', bytes: lengths(LIMITS.frameBytesMax, LIMITS.frameHeadBytesMax + 1) },
  { name: 'a head longer than its frame', bytes: lengths(10, 11) },
  { name: 'an empty head', bytes: lengths(0, 0) },
  { name: 'a kind that does not exist', bytes: frame({ kind: 99 as never }) },
  { name: 'a kind that only stores send', bytes: frame({ kind: FRAME_KIND.data }) },
  {
    name: 'bytes behind a ping',
    bytes: frame({ kind: FRAME_KIND.ping, id: 0, payload: new Uint8Array(5000) })
  },
  { name: 'negative credit', bytes: frame({ kind: FRAME_KIND.credit, payload: -1 }, watch()) },
  { name: 'the id of a call that runs', bytes: frame({ kind: FRAME_KIND.subscribe }, watch()) }
];

for (const { name, preface = encodePreface(), bytes } of ROWS) {
  t.test(`${name} ends the connection and no other`, async (t) => {
    await using store = await testFrontEnd();
    using bystander = await connected(store);
    using client = await connected(store, preface);
    client.socket.write(bytes);
    await client.closed;
    await bystander.call('mutation', 'buckets.create', { bucket: 'photos' });
    t.ok(
      store.lines.some((line) => JSON.parse(line).level === 40 && /no frame|malformed/.test(line)),
      'the log says why'
    );
  });
}

t.test(`no bytes bring the store down (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED);
  const whole = (max: number) => Math.floor(random.fraction() * max);
  await using store = await testFrontEnd();
  using bystander = await connected(store);
  await bystander.call('mutation', 'buckets.create', { bucket: 'photos' });
  const body = new Uint8Array(20_000).fill(1);
  const good = Buffer.concat([
    frame({
      kind: FRAME_KIND.mutation,
      id: 1,
      path: 'objects.put',
      payload: { bucket: 'photos', key: 'a', body }
    }),
    frame({ id: 2 }),
    watch(3),
    frame({ kind: FRAME_KIND.ping, id: 0, path: undefined, payload: undefined })
  ]);
  const attacks = [
    () => randomBytes(whole(5000)),
    () => good.subarray(0, whole(good.length)),
    () => Buffer.concat([lengths(whole(LIMITS.frameBytesMax), whole(2000)), randomBytes(3000)]),
    () => {
      const damaged = Buffer.from(good);
      for (let count = 1 + whole(4); count > 0; count--) damaged[whole(200)] = whole(256);
      return damaged;
    },
    () => {
      const damaged = Buffer.from(good);
      damaged[whole(damaged.length)] = whole(256);
      return damaged;
    }
  ];
  for (let round = 0; round < 150; round++) {
    using client = await connected(store);
    client.socket.write(attacks[round % attacks.length]!());
    client.socket.end();
    await client.closed;
  }
  t.ok(await bystander.call('query', 'buckets.list', {}), 'the store is up and others go on');
  const metrics = await (await fetch(`${store.endpoint}/metrics`)).text();
  t.match(metrics, /^stampede_connections\{transport="framed"\} 1$/m, 'no connection is left');
  t.match(metrics, /^stampede_calls_in_flight 0$/m, 'no call is left');
  // All the room there is for one connection is free.
  const reads = Array.from({ length: 40 }, () =>
    bystander.call('query', 'objects.usage', { bucket: 'photos' })
  );
  t.equal((await Promise.all(reads)).length, 40);

  function randomBytes(length: number): Buffer {
    return Buffer.from(Uint8Array.from({ length }, () => whole(256)));
  }
});

function frame(fields: Partial<Frame> = {}, ...before: Uint8Array[]): Buffer {
  return Buffer.concat([...before, ...encodeFrame({ kind: FRAME_KIND.query, ...HEAD, ...fields })]);
}

/** A subscription that goes on. */
function watch(id = 1): Buffer {
  return frame({ kind: FRAME_KIND.subscribe, id, path: 'objects.watch', payload: { bucket: 'photos' } });
}

function lengths(bodyLength: number, headLength: number): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(bodyLength, 0);
  prefix.writeUInt32LE(headLength, 4);
  return prefix;
}

async function connected(store: TestFrontEnd, preface?: Uint8Array): Promise<FrameClient> {
  return FrameClient.open({ port: store.port, token: await store.token(), ...(preface && { preface }) });
}
