import t from 'tap';
import { VirtualClock } from './testing/virtual-clock.js';
import { BLOCK_BYTES, WriteMemory } from './write-memory.js';

const LIMIT_BYTES = 4 * BLOCK_BYTES;

function memoryWith(clock = new VirtualClock()): WriteMemory {
  return new WriteMemory({ limitBytes: LIMIT_BYTES, deadlineMs: 1000, clock, onPressure: () => undefined });
}

t.test('buffers of every size are used again', async (t) => {
  const memory = memoryWith();
  for (const bytes of [1, 4096, 5000, BLOCK_BYTES]) {
    const buffer = memory.allocate(bytes);
    t.ok(buffer.byteLength >= bytes);
    memory.free(buffer);
    t.equal(memory.allocate(bytes), buffer, `${bytes} bytes`);
    memory.free(buffer);
  }
  t.equal(memory.usedBytes, 0);
});

t.test('small free buffers give way to blocks', async (t) => {
  const memory = memoryWith();
  const small = Array.from({ length: 300 }, () => memory.allocate(4096));
  for (const buffer of small) memory.free(buffer);
  const block = memory.allocate(BLOCK_BYTES);
  memory.free(block);
  t.equal(memory.allocate(BLOCK_BYTES), block, 'there was room to keep it');
  t.notOk(small.includes(memory.allocate(4096)), 'made anew');
});

t.test('who waits for room is served in order, and fails when none comes', async (t) => {
  const clock = new VirtualClock();
  const memory = memoryWith(clock);
  const order: string[] = [];
  await memory.reserve(LIMIT_BYTES);
  const large = memory.reserve(3 * BLOCK_BYTES).then(() => order.push('large'));
  const small = memory.reserve(BLOCK_BYTES).then(() => order.push('small'));
  memory.unreserve(BLOCK_BYTES);
  await clock.advance(10);
  t.same(order, [], 'nobody overtakes');
  memory.unreserve(3 * BLOCK_BYTES);
  await Promise.all([large, small]);
  t.same(order, ['large', 'small']);
  const late = memory.reserve(1);
  const failing = t.rejects(late, { code: 'EIO' });
  await clock.advance(1000);
  await failing;
  t.equal(memory.usedBytes, LIMIT_BYTES);
});
