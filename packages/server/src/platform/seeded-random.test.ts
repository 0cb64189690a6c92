import t from 'tap';
import { seededRandom } from './seeded-random.js';

t.test('gives the same sequence for the same seed, and others for others', async (t) => {
  const sequence = (seed: number): unknown[] => {
    const random = seededRandom(seed);
    return [random.fraction(), Buffer.from(random.bytes(20)).toString('hex'), random.uuid()];
  };
  t.same(sequence(42), sequence(42));
  const firsts = new Set(Array.from({ length: 1000 }, (_, seed) => sequence(seed)[0]));
  t.equal(firsts.size, 1000);
  t.notSame(sequence(1), sequence(1 + 2 ** 32), 'seeds have more than 32 bits');
});

t.test('spreads fractions and bytes evenly', async (t) => {
  const random = seededRandom(7);
  const tenths = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 10_000; draw++) tenths[Math.floor(random.fraction() * 10)]! += 1;
  for (const count of tenths) t.ok(count > 850 && count < 1150, `${count} of 10000`);
  const counts = new Array<number>(256).fill(0);
  for (const byte of random.bytes(256_000)) counts[byte]! += 1;
  t.ok(Math.min(...counts) > 800 && Math.max(...counts) < 1200);
});

t.test('makes UUIDs of version 4', async (t) => {
  const random = seededRandom(3);
  for (let draw = 0; draw < 100; draw++) {
    t.match(random.uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
});
