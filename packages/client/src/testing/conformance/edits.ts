import { crc32c, type EditInput, type EditStep, LIMITS } from '@stampede/server/api';
import { applySteps, MemoryContent } from '../memory-content.js';
import { seededRandom } from '../seeded-random.js';
import {
  bytes,
  fails,
  MIB,
  payload,
  type Section,
  sameBytes,
  type TestBucket,
  wrongCrc32c
} from './fixture.js';
import { asPlain } from './puts.js';

const BASE = '0123456789';

const TABLE: readonly {
  readonly name: string;
  readonly steps: readonly EditStep[];
  readonly body: string;
  readonly result: string;
}[] = [
  { name: 'overwrites in the middle', steps: [write(3, 2)], body: 'ab', result: '012ab56789' },
  { name: 'overwrites the start', steps: [write(0, 2)], body: 'ab', result: 'ab23456789' },
  { name: 'overwrites all', steps: [write(0, 10)], body: 'abcdefghij', result: 'abcdefghij' },
  { name: 'writes over the end', steps: [write(8, 4)], body: 'abcd', result: '01234567abcd' },
  { name: 'writes at the end', steps: [write(10, 2)], body: 'ab', result: '0123456789ab' },
  { name: 'writes beyond the end', steps: [write(12, 2)], body: 'ab', result: '0123456789\0\0ab' },
  { name: 'appends', steps: [{ type: 'write', length: 2 }], body: 'ab', result: '0123456789ab' },
  { name: 'cuts', steps: [{ type: 'truncate', size: 4 }], body: '', result: '0123' },
  { name: 'cuts to nothing', steps: [{ type: 'truncate', size: 0 }], body: '', result: '' },
  { name: 'extends with zeros', steps: [{ type: 'truncate', size: 12 }], body: '', result: '0123456789\0\0' },
  { name: 'punches', steps: [punch(2, 3)], body: '', result: '01\0\0\x0056789' },
  { name: 'punches up to the end, never beyond', steps: [punch(8, 100)], body: '', result: '01234567\0\0' },
  { name: 'punches beyond the end: nothing', steps: [punch(50, 100)], body: '', result: BASE },
  {
    name: 'what was cut does not come back',
    steps: [
      { type: 'truncate', size: 2 },
      { type: 'truncate', size: 5 }
    ],
    body: '',
    result: '01\0\0\0'
  },
  {
    name: 'steps one after the other, each on what the earlier ones left',
    steps: [
      { type: 'truncate', size: 4 },
      { type: 'write', length: 2 },
      write(1, 3),
      punch(0, 1),
      { type: 'write', length: 1 }
    ],
    body: 'abCDEf',
    result: '\0CDEabf'
  },
  {
    name: 'the later of two writes wins',
    steps: [write(2, 4), write(4, 2)],
    body: 'aaaabb',
    result: '01aabb6789'
  }
];

export const edits: Section = async (t, fixture) => {
  await t.test('each step does what it says', async (t) => {
    const bucket = await fixture.bucket();
    for (const { name, steps, body, result } of TABLE) {
      const before = await bucket.put('k', BASE);
      const head = await edit(bucket, { steps: [...steps], body: bytes(body) });
      t.equal(await bucket.text('k'), result, name);
      t.equal(head.size, bytes(result).length, `${name}: size`);
      t.equal(head.generation, before.generation + 1, `${name}: one version`);
      t.ok(head.etag !== before.etag && /-\d+$/.test(head.etag), `${name}: an etag that is no MD5`);
      if (head.crc32c !== undefined) t.equal(head.crc32c, crc32c(bytes(result)), `${name}: checksum`);
      t.same(asPlain(await bucket.head('k')), asPlain(head), `${name}: the answer is what is there`);
    }
  });

  await t.test('an edit sets what is given with it and leaves the rest', async (t) => {
    const bucket = await fixture.bucket();
    const first = await bucket.calls.objects.put({
      ...bucket.at('k'),
      body: bytes(BASE),
      contentType: 'text/plain',
      userMetadata: { a: '1' },
      tags: { b: '2' },
      attributes: { mode: 0o100644, uid: 5, xattrs: { 'user.x': bytes('y') } }
    });
    const mtime = { seconds: 100, nanoseconds: 5 };
    const second = await edit(bucket, { steps: [write(0, 1)], body: bytes('!'), attributes: { mtime } });
    t.same(asPlain(second.attributes), asPlain({ ...first.attributes, mtime }), 'other attributes stay');
    t.equal(second.contentType, 'text/plain');
    t.same(second.userMetadata, { a: '1' });
    t.same(second.tags, { b: '2' });
    const third = await edit(bucket, { steps: [], body: bytes(''), attributes: { mode: 0o100600 } });
    t.equal(third.etag, second.etag, 'no steps: the bytes and their etag stay');
    t.equal(third.attributes.mode, 0o100600);
    t.equal(await bucket.text('k'), '!123456789');
  });

  await t.test('an edit creates a key only when told to', async (t) => {
    const bucket = await fixture.bucket();
    const append = { steps: [{ type: 'write' as const, length: 1 }], body: bytes('x') };
    await fails(t, edit(bucket, append), 'NoSuchKey', 'not told');
    t.same(await bucket.keys(), []);
    const created = await edit(bucket, { ...append, create: true });
    t.equal(created.generation, 1);
    const again = await edit(bucket, { ...append, create: true });
    t.equal(again.generation, 2, 'it exists now');
    t.equal(await bucket.text('k'), 'xx');
    const empty = await bucket.calls.objects.edit({
      ...bucket.at('e'),
      steps: [],
      body: bytes(''),
      create: true
    });
    t.equal(empty.size, 0, 'no steps: an empty object');
    const hole = await bucket.calls.objects.edit({
      ...bucket.at('h'),
      steps: [write(3, 1)],
      body: bytes('x'),
      create: true
    });
    t.equal(hole.size, 4);
    t.equal(await bucket.text('h'), '\0\0\0x', 'from nothing: zeros before');
  });

  await t.test('a body that does not fit its steps changes nothing', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', BASE);
    const before = await bucket.snapshot();
    const body = bytes('ab');
    await fails(t, edit(bucket, { steps: [write(0, 3)], body }), 'InvalidArgument', 'too short');
    await fails(t, edit(bucket, { steps: [write(0, 1)], body }), 'InvalidArgument', 'too long');
    await fails(t, edit(bucket, { steps: [], body }), 'InvalidArgument', 'nothing takes it');
    const wrong = { steps: [write(0, 2)], body, crc32c: wrongCrc32c(body) };
    await fails(t, edit(bucket, wrong), 'BadDigest', 'another checksum');
    const far = { steps: [write(LIMITS.objectBytesMax, 2)], body };
    await fails(t, edit(bucket, far), ['EntityTooLarge', 'InvalidArgument'], 'beyond the largest object');
    t.same(await bucket.snapshot(), before);
  });

  await t.test('appends of many writers all land, whole', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('log', '');
    const line = (writer: number, number: number) => `writer ${writer} line ${number}\n`;
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let number = 0; number < 10; number++) {
          const body = bytes(line(writer, number));
          const steps: EditStep[] = [{ type: 'write', length: body.length }];
          await bucket.calls.objects.edit({ ...bucket.at('log'), steps, body });
        }
      })
    );
    const found = (await bucket.text('log')).split(/(?<=\n)/);
    for (let writer = 0; writer < 8; writer++) {
      const wanted = Array.from({ length: 10 }, (_, number) => line(writer, number));
      t.same(
        found.filter((each) => each.startsWith(`writer ${writer} `)),
        wanted,
        `writer ${writer}, in order`
      );
    }
    t.equal(found.length, 80, 'nothing else');
    t.equal((await bucket.head('log')).generation, 81);
  });

  await t.test('a hole reads as zeros, however large', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', 'start');
    const size = 100 * MIB + 7;
    await edit(bucket, { steps: [{ type: 'truncate', size }, write(size, 3)], body: bytes('end') });
    const read = (offset: number, length: number) =>
      bucket.calls.objects.read({ ...bucket.at('k'), offset, length });
    t.equal(Buffer.from((await read(size - 2, 100)).body).toString(), '\0\0end');
    t.equal(Buffer.from((await read(0, 7)).body).toString(), 'start\0\0');
    const middle = await read(50 * MIB, 4 * MIB);
    sameBytes(t, middle.body, new Uint8Array(4 * MIB), 'the middle');
    t.equal(middle.crc32c, crc32c(new Uint8Array(4 * MIB)), 'its checksum');
  });

  await t.test('any sequence of edits leaves what it leaves in memory', async (t) => {
    const seed = 20_240_601;
    const random = seededRandom(seed);
    const bucket = await fixture.bucket();
    const model = new MemoryContent();
    await bucket.put('k', '');
    for (let round = 0; round < 60; round++) {
      const steps = Array.from({ length: 1 + random.integer(6) }, () => randomStep(random.integer));
      const length = steps.reduce((sum, step) => sum + (step.type === 'write' ? step.length : 0), 0);
      const body = payload(length, round * 7);
      const head = await edit(bucket, { steps, body });
      applySteps(model, steps, body);
      const wanted = model.toBytes();
      const found = await bucket.bytes('k');
      if (head.size !== wanted.length || Buffer.compare(found, wanted) !== 0) {
        sameBytes(t, found, wanted, `seed ${seed}, round ${round}: ${JSON.stringify(steps)}`);
        return;
      }
      const offset = random.integer(wanted.length + 10);
      const range = await bucket.calls.objects.read({ ...bucket.at('k'), offset, length: 5000 });
      if (Buffer.compare(range.body, wanted.subarray(offset, offset + 5000)) !== 0) {
        sameBytes(
          t,
          range.body,
          wanted.subarray(offset, offset + 5000),
          `seed ${seed}, round ${round}: range`
        );
        return;
      }
      if (head.crc32c !== undefined && head.crc32c !== crc32c(wanted))
        t.equal(head.crc32c, crc32c(wanted), `seed ${seed}, round ${round}: checksum`);
    }
    t.ok(true, '60 rounds');
  });

  await t.test('many steps in one edit are one version', async (t) => {
    const bucket = await fixture.bucket();
    await bucket.put('k', '');
    const count = LIMITS.editCountMax;
    const steps = Array.from({ length: count }, (_, index) => write((count - 1 - index) * 2, 1));
    const head = await edit(bucket, { steps, body: payload(count) });
    t.equal(head.generation, 2);
    const wanted = new Uint8Array(count * 2 - 1);
    for (let index = 0; index < count; index++) wanted[(count - 1 - index) * 2] = index % 251;
    sameBytes(t, await bucket.bytes('k'), wanted, 'each in its place');
    await fails(
      t,
      edit(bucket, { steps: [...steps, write(0, 1)], body: payload(count + 1) }),
      'InvalidArgument',
      'one more'
    );
  });
};

function edit(bucket: TestBucket, input: Omit<EditInput, 'bucket' | 'key'>) {
  return bucket.calls.objects.edit({ ...bucket.at('k'), ...input });
}

function write(offset: number, length: number): EditStep {
  return { type: 'write', offset, length };
}

function punch(offset: number, length: number): EditStep {
  return { type: 'punch', offset, length };
}

function randomStep(integer: (below: number) => number): EditStep {
  const offset = integer(200_000);
  switch (integer(6)) {
    case 0:
      return { type: 'truncate', size: integer(250_000) };
    case 1:
      return punch(offset, 1 + integer(80_000));
    case 2:
      return { type: 'write', length: 1 + integer(1000) };
    default:
      return write(offset, 1 + integer(integer(2) === 0 ? 100 : 70_000));
  }
}
