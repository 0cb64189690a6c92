import fc from 'fast-check';
import t from 'tap';
import { isStoreError } from './errors.js';
import { encodePreface, FRAME_KIND, type Frame } from './frame-format.js';
import { FrameReader } from './frame-reader.js';
import { encodeFrame } from './frame-writer.js';
import { LIMITS } from './limits.js';

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index % 251);

const FRAMES: readonly { readonly name: string; readonly frame: Frame }[] = [
  {
    name: 'a call without bytes',
    frame: {
      kind: FRAME_KIND.query,
      id: 1,
      path: 'objects.head',
      payload: { bucket: 'b', key: 'ké' },
      deadlineMs: 60_000
    }
  },
  {
    name: 'short bytes',
    frame: { kind: FRAME_KIND.mutation, id: 2, path: 'objects.put', payload: { body: bytes(5) } }
  },
  {
    name: 'long bytes',
    frame: {
      kind: FRAME_KIND.mutation,
      id: 3,
      path: 'objects.put',
      payload: { key: 'k', body: bytes(100_000) }
    }
  },
  {
    name: 'two long byte strings',
    frame: { kind: FRAME_KIND.data, id: 4, payload: { a: bytes(2000), b: bytes(5000), c: 1 } }
  },
  { name: 'bytes alone', frame: { kind: FRAME_KIND.data, id: 5, payload: bytes(3000) } },
  { name: 'empty bytes alone', frame: { kind: FRAME_KIND.data, id: 5, payload: bytes(0) } },
  { name: 'nested bytes', frame: { kind: FRAME_KIND.data, id: 6, payload: { xattrs: { x: bytes(3000) } } } },
  {
    name: 'a long list',
    frame: {
      kind: FRAME_KIND.data,
      id: 7,
      payload: Array.from({ length: 1000 }, (_, n) => `${n}`.repeat(400))
    }
  },
  { name: 'nothing', frame: { kind: FRAME_KIND.stopped, id: 0xffffffff } }
];

t.test('frames arrive as they were sent, however the bytes are cut', (t) => {
  const wire = Buffer.concat([encodePreface(), ...FRAMES.flatMap(({ frame }) => encodeFrame(frame))]);
  const expected = FRAMES.map(({ frame }) => normal(frame));
  for (const size of [1, 7, 8, 1000, 4096, 65_536, wire.length]) {
    t.same(pushed(wire, size), expected, `pushed ${size} bytes at a time`);
    t.same(received(wire, size), expected, `received ${size} bytes at a time`);
  }
  t.end();
});

t.test('a frame cut in two at any byte arrives', (t) => {
  const frame: Frame = {
    kind: FRAME_KIND.mutation,
    id: 9,
    path: 'objects.put',
    payload: { key: 'k', body: bytes(1500) }
  };
  const wire = Buffer.concat([encodePreface(), ...encodeFrame(frame)]);
  for (let cut = 0; cut <= wire.length; cut++) {
    const sink = collector();
    const reader = new FrameReader(sink);
    reader.push(wire.subarray(0, cut));
    reader.push(wire.subarray(cut));
    if (JSON.stringify(sink.frames) !== JSON.stringify([normal(frame)])) t.fail(`cut at ${cut}`);
  }
  t.end();
});

t.test('a reader that got no memory goes on where it stopped', (t) => {
  const wire = Buffer.concat([encodePreface(), ...FRAMES.flatMap(({ frame }) => encodeFrame(frame))]);
  for (const feed of [push, receive]) {
    const sink = collector();
    let refusals = 0;
    const reader = new FrameReader({
      frame: sink.frame,
      allocate: (_, length) => (++refusals % 3 === 0 ? new Uint8Array(length) : undefined)
    });
    for (let at = 0; at < wire.length; at += 3000) {
      feed(reader, wire.subarray(at, at + 3000));
      while (reader.isBlocked) reader.resume();
    }
    t.same(
      sink.frames,
      FRAMES.map(({ frame }) => normal(frame))
    );
  }
  t.end();
});

t.test('long bytes land in the memory that was given for them', (t) => {
  const memory = new Uint8Array(5000);
  const wire = Buffer.concat([
    encodePreface(),
    ...encodeFrame({ kind: FRAME_KIND.data, id: 1, payload: { body: bytes(4500) } })
  ]);
  let body: Uint8Array | undefined;
  const reader = new FrameReader({
    allocate: () => memory,
    frame: ({ payload }) => {
      body = (payload as { body: Uint8Array }).body;
    }
  });
  receive(reader, wire);
  t.equal(body!.buffer, memory.buffer);
  t.same(body, bytes(4500));
  t.end();
});

t.test('bytes that are no frames are refused, never worse', (t) => {
  const valid = Buffer.concat([
    encodePreface(),
    ...FRAMES.filter(({ name }) => !name.startsWith('a long') && name !== 'long bytes').flatMap(({ frame }) =>
      encodeFrame(frame)
    )
  ]);
  const mutated = fc
    .array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const copy = Uint8Array.from(valid);
      for (const [at, value] of changes) copy[at] = value;
      return copy;
    });
  const random = fc
    .uint8Array({ maxLength: 400 })
    .map((body) => Uint8Array.from(Buffer.concat([encodePreface(), body])));
  const framed = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((head) => frameOf(head));
  fc.assert(
    fc.property(fc.oneof(mutated, random, framed), fc.integer({ min: 1, max: 5000 }), (wire, size) => {
      try {
        pushed(wire, size);
      } catch (error) {
        if (!isStoreError(error, 'InvalidArgument')) throw error;
      }
    }),
    { numRuns: 2000, seed: 7 }
  );
  t.end();
});

t.test('each kind of malformed frame is refused', (t) => {
  const rows: readonly { readonly name: string; readonly wire: Uint8Array }[] = [
    { name: 'another protocol', wire: Buffer.from('GET / HTTP/1.1\r\n\r\n') },
    { name: 'another version', wire: Uint8Array.of(0x53, 0x54, 0x4d, 0x50, 2, 0, 0, 0) },
    { name: 'a body above the limit', wire: prefixed(LIMITS.frameBytesMax + 1, 10) },
    { name: 'a head above the limit', wire: prefixed(LIMITS.frameBytesMax, LIMITS.frameHeadBytesMax + 1) },
    { name: 'a head longer than its frame', wire: prefixed(10, 11) },
    { name: 'an empty head', wire: prefixed(0, 0) },
    { name: 'a head that is a number', wire: frameOf(Uint8Array.of(1)) },
    { name: 'an unknown kind', wire: frameOf(Uint8Array.of(0x92, 99, 1)) },
    {
      name: 'an array that claims four thousand million elements',
      wire: frameOf(Uint8Array.of(0xdd, 255, 255, 255, 255))
    },
    { name: 'an extension type', wire: frameOf(Uint8Array.of(0x93, 0, 1, 0xd4, 0x72, 0x40)) },
    { name: 'endless nesting', wire: frameOf(new Uint8Array(5000).fill(0x91)) },
    {
      name: 'a tail that nothing belongs to',
      wire: Buffer.concat([encodePreface(), u32(6), u32(3), Uint8Array.of(0x92, 4, 1, 9, 9, 9)])
    }
  ];
  for (const { name, wire } of rows) {
    t.throws(() => pushed(wire, wire.length), { code: 'InvalidArgument' }, name);
  }
  t.end();
});

t.test('a frame above the limit is not sent', (t) => {
  const payload = { body: new Uint8Array(LIMITS.frameBytesMax) };
  t.throws(() => encodeFrame({ kind: FRAME_KIND.data, id: 1, payload }), { code: 'EntityTooLarge' });
  t.end();
});

t.test('text that UTF-8 would change is not sent', (t) => {
  const payload = { bucket: 'b', keys: ['good', '\ud800'] };
  t.throws(() => encodeFrame({ kind: FRAME_KIND.query, id: 1, payload }), { code: 'InvalidArgument' });
  t.end();
});

function collector(): {
  readonly frames: Frame[];
  allocate(frame: Frame, length: number): Uint8Array;
  frame(frame: Frame): void;
} {
  const frames: Frame[] = [];
  return {
    frames,
    allocate: (_, length) => new Uint8Array(length),
    frame: (frame) => frames.push(normal(frame))
  };
}

function pushed(wire: Uint8Array, size: number): readonly Frame[] {
  const sink = collector();
  const reader = new FrameReader(sink);
  for (let at = 0; at < wire.length; at += size) push(reader, wire.subarray(at, at + size));
  return sink.frames;
}

function received(wire: Uint8Array, size: number): readonly Frame[] {
  const sink = collector();
  const reader = new FrameReader(sink);
  for (let at = 0; at < wire.length; at += size) receive(reader, wire.subarray(at, at + size));
  return sink.frames;
}

function push(reader: FrameReader, chunk: Uint8Array): void {
  reader.push(Uint8Array.from(chunk));
}

function receive(reader: FrameReader, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length; ) {
    const target = reader.buffer();
    const count = Math.min(target.length, chunk.length - at);
    target.set(chunk.subarray(at, at + count));
    reader.received(count);
    at += count;
  }
}

/** Absent fields are left out, so that frames compare. */
function normal(frame: Frame): Frame {
  return Object.fromEntries(
    Object.entries(frame).filter(([, value]) => value !== undefined)
  ) as unknown as Frame;
}

function u32(value: number): Uint8Array {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function prefixed(bodyLength: number, headLength: number): Uint8Array {
  return Buffer.concat([encodePreface(), u32(bodyLength), u32(headLength), new Uint8Array(16)]);
}

function frameOf(head: Uint8Array): Uint8Array {
  return Buffer.concat([encodePreface(), u32(head.length), u32(head.length), head]);
}
