import { Writable } from 'node:stream';
import t from 'tap';
import { encodePreface, FRAME_KIND, type Frame, FrameReader, isStoreError } from '../api/index.js';
import { FrameOutbox } from './frame-outbox.js';

/** Takes writes as a connection does: what is corked as one. Stuck until released. */
class Wire extends Writable {
  readonly writes: Uint8Array[] = [];
  #stuck: (() => void)[] | undefined;

  constructor(isStuck: boolean) {
    super({ decodeStrings: false });
    if (isStuck) this.#stuck = [];
  }

  release(): void {
    const stuck = this.#stuck ?? [];
    this.#stuck = undefined;
    for (const go of stuck) go();
  }

  override _writev(parts: { chunk: Uint8Array }[], done: () => void): void {
    this.writes.push(...parts.map(({ chunk }) => chunk));
    this.#done(done);
  }

  override _write(bytes: Uint8Array, _encoding: unknown, done: () => void): void {
    this.writes.push(bytes);
    this.#done(done);
  }

  #done(done: () => void): void {
    if (this.#stuck) this.#stuck.push(done);
    else setImmediate(done);
  }
}

t.test('sends the small frames of one turn in one write, in order', async (t) => {
  const { outbox, socket } = build();
  outbox.sendPreface();
  for (let id = 1; id <= 20; id++) outbox.send({ kind: FRAME_KIND.data, id, payload: `answer ${id}` });
  // Answers that other promises of the turn bring are part of it.
  await Promise.resolve().then(() => outbox.send({ kind: FRAME_KIND.pong, id: 0 }));
  await outbox.drained();
  t.equal(socket.writes.length, 1);
  const frames = framesIn(socket.writes);
  t.same(
    frames.map(({ id }) => id),
    [...Array.from({ length: 20 }, (_, index) => index + 1), 0]
  );
});

t.test('sends large bodies without copying them, and tells when they are free', async (t) => {
  const { outbox, socket } = build();
  const body = new Uint8Array(3_000_000).map((_, index) => index % 251);
  const events: string[] = [];
  outbox.sendPreface();
  const length = outbox.send({ kind: FRAME_KIND.data, id: 1, payload: { body } }, () => events.push('large'));
  outbox.send({ kind: FRAME_KIND.data, id: 2, payload: 1 }, () => events.push('small'));
  t.ok(length > body.length);
  await outbox.drained();
  t.same(events, ['large', 'small']);
  const [large, small] = framesIn(socket.writes);
  t.ok(Buffer.from((large!.payload as { body: Uint8Array }).body).equals(body));
  t.equal(small!.payload, 1);
  t.ok(
    socket.writes.some((bytes) => bytes.buffer === body.buffer),
    'it was not copied'
  );
});

t.test('holds what the connection does not take, and counts what it takes', async (t) => {
  const { outbox, socket } = build({ isStuck: true });
  const body = new Uint8Array(2_500_000);
  outbox.send({ kind: FRAME_KIND.data, id: 1, payload: body });
  await turn();
  const waiting = outbox.waitingBytes;
  t.ok(waiting > 1_000_000 && waiting < body.length, `${waiting} bytes wait`);
  t.equal(outbox.writeCount, 0);
  t.notOk(outbox.isEmpty);
  socket.release();
  await outbox.drained();
  t.equal(outbox.waitingBytes, 0);
  t.ok(outbox.writeCount >= 3, 'a slow reader is seen to read');
});

t.test('at its end frees what waits, and takes nothing more', async (t) => {
  const { outbox, socket } = build({ isStuck: true });
  const freed: number[] = [];
  for (let id = 1; id <= 3; id++) {
    outbox.send({ kind: FRAME_KIND.data, id, payload: new Uint8Array(1_000_000) }, () => freed.push(id));
  }
  await turn();
  const drained = outbox.drained();
  outbox.end();
  await drained;
  outbox.send({ kind: FRAME_KIND.data, id: 4 }, () => freed.push(4));
  socket.release();
  await turn();
  t.same([...freed].sort(), [1, 2, 3, 4], 'each once');
});

t.test('does not send what cannot be encoded', async (t) => {
  const { outbox } = build();
  let isFreed = false;
  const error = await Promise.resolve()
    .then(() => outbox.send({ kind: FRAME_KIND.data, id: 1, payload: '\ud800' }, () => (isFreed = true)))
    .catch((error: unknown) => error);
  t.ok(isStoreError(error, 'InvalidArgument'));
  t.notOk(isFreed);
  t.ok(outbox.isEmpty);
});

function build({ isStuck = false } = {}) {
  const socket = new Wire(isStuck);
  return { socket, outbox: new FrameOutbox(socket) };
}

function framesIn(writes: readonly Uint8Array[]): readonly Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader({
    allocate: (_, length) => new Uint8Array(length),
    frame: (frame) => frames.push(frame)
  });
  t.ok(Buffer.concat(writes).subarray(0, 8).equals(encodePreface()));
  for (const bytes of writes) reader.push(bytes);
  return frames;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
