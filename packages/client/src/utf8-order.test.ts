import fc from 'fast-check';
import t from 'tap';
import { compareUtf8 } from './utf8-order.js';

t.test('the order is that of the bytes', async (t) => {
  const seed = 7;
  const units = fc.string({ unit: 'binary', maxLength: 6 });
  fc.assert(
    fc.property(units, units, (a, b) => {
      const wanted = Buffer.compare(Buffer.from(a), Buffer.from(b));
      return Math.sign(compareUtf8(a, b)) === wanted;
    }),
    { seed, numRuns: 2000 }
  );
  const names = ['', 'a', 'a/', 'a0', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'];
  t.same([...names].reverse().sort(compareUtf8), names);
});
