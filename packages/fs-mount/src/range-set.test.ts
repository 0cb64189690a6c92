import t from 'tap';
import { RangeSet } from './range-set.js';

t.test('neighbours and overlapping ranges become one', (t) => {
  const set = new RangeSet();
  for (const [start, end] of [
    [10, 20],
    [30, 40],
    [20, 25],
    [5, 5],
    [24, 31]
  ])
    set.add(start!, end!);
  t.same(set.all(), [{ start: 10, end: 40 }]);
  set.add(0, 3);
  t.same([set.count, set.end], [2, 40]);
  t.end();
});

t.test('says what of a range is in it, as a set of bytes does', (t) => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  let state = seed;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state % limit;
  };
  for (let round = 0; round < 200; round++) {
    const set = new RangeSet();
    const bytes = new Set<number>();
    for (let count = below(8); count >= 0; count--) {
      const start = below(60);
      const end = start + below(12);
      set.add(start, end);
      for (let byte = start; byte < end; byte++) bytes.add(byte);
    }
    const start = below(70);
    const end = start + below(20);
    const found = [...set.parts(start, end)].flatMap((part) =>
      Array.from({ length: part.end - part.start }, () => part.isIn)
    );
    const wanted = Array.from({ length: end - start }, (_, index) => bytes.has(start + index));
    if (JSON.stringify(found) !== JSON.stringify(wanted)) t.same(found, wanted, `seed ${seed}`);
    if (set.covers(start, end) !== wanted.every(Boolean)) t.fail(`covers: seed ${seed}`);
    if (set.overlaps(start, end) !== wanted.some(Boolean)) t.fail(`overlaps: seed ${seed}`);
  }
  t.pass();
  t.end();
});
