import t from 'tap';
import { manualClock } from '../platform/index.js';
import { Deadlines } from './deadlines.js';

t.test('expires each deadline when it is due, and those that ended never', async (t) => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  deadlines.add(300, () => expired.push('late'));
  deadlines.add(100, () => expired.push('early'));
  deadlines.add(Number.POSITIVE_INFINITY, () => expired.push('never'));
  deadlines.add(200, () => expired.push('ended'))[Symbol.dispose]();
  await clock.advance(99);
  t.same(expired, []);
  await clock.advance(1);
  t.same(expired, ['early']);
  await clock.advance(200);
  t.same(expired, ['early', 'late']);
  deadlines.add(250, () => expired.push('past'));
  await clock.advance(0);
  t.same(expired, ['early', 'late', 'past']);
});

t.test('needs one timer for any number of calls, and none at the end', async (t) => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock);
  for (let atMs = 1000; atMs < 2000; atMs++) deadlines.add(atMs, () => undefined)[Symbol.dispose]();
  t.equal(clock.pendingCount(), 1);
  deadlines.add(5, () => undefined);
  t.equal(clock.pendingCount(), 1);
  deadlines[Symbol.dispose]();
  t.equal(clock.pendingCount(), 0);
});
