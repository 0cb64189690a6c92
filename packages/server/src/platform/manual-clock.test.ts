import t from 'tap';
import { manualClock } from './manual-clock.js';

t.test('stands still until told to advance', async (t) => {
  const clock = manualClock({ startAtMs: 1000 });
  t.same([clock.nowMs(), clock.monotonicMs()], [1000, 0]);
  await clock.advance(250);
  t.same([clock.nowMs(), clock.monotonicMs()], [1250, 250]);
  clock.setNowMs(50);
  await clock.advance(1);
  t.same([clock.nowMs(), clock.monotonicMs()], [51, 251]);
});

t.test('fires in order of due time, each at its time, and nothing early', async (t) => {
  const clock = manualClock();
  const fired: string[] = [];
  const note = (name: string) => () => void fired.push(`${name}@${clock.monotonicMs()}`);
  clock.setTimer(30, note('c'));
  clock.setTimer(10, note('a'));
  clock.setTimer(10, note('b'));
  clock.setTimer(20, note('never'))[Symbol.dispose]();
  void clock.sleep(15).then(note('slept'));
  await clock.advance(29);
  t.same(fired, ['a@10', 'b@10', 'slept@15']);
  await clock.advance(1);
  t.same(fired.slice(3), ['c@30']);
  t.equal(clock.pendingCount(), 0);
});

t.test('wakes a loop that sleeps again as often as its time passes', async (t) => {
  const clock = manualClock();
  const controller = new AbortController();
  let count = 0;
  const loop = (async () => {
    for (;;) {
      await clock.sleep(10, controller.signal);
      count += 1;
    }
  })();
  await clock.advance(100);
  t.equal(count, 10);
  controller.abort(new Error('enough'));
  await t.rejects(loop, { message: 'enough' });
  t.equal(clock.pendingCount(), 0);
  await t.rejects(clock.sleep(1, controller.signal), { message: 'enough' });
});

t.test('tells when the next one falls due', async (t) => {
  const clock = manualClock();
  t.equal(clock.findNextDueMs(), undefined);
  clock.setTimer(20, () => undefined);
  clock.setTimer(10, () => undefined);
  t.equal(clock.findNextDueMs(), 10);
});
