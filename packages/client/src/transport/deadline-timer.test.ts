import t from 'tap';
import { ManualClock } from '../testing/manual-clock.js';
import { DeadlineTimer } from './deadline-timer.js';

function timed() {
  const clock = new ManualClock(0);
  const deadlines: number[] = [];
  const ended: string[] = [];
  const timer = new DeadlineTimer(clock, (nowMs) => {
    const due = deadlines.filter((atMs) => atMs <= nowMs);
    for (const atMs of due) ended.push(`${atMs} at ${clock.monotonicMs()}`);
    deadlines.splice(0, deadlines.length, ...deadlines.filter((atMs) => atMs > nowMs));
    return Math.min(...deadlines);
  });
  const add = (atMs: number) => {
    deadlines.push(atMs);
    timer.wakeBy(atMs);
  };
  return { clock, timer, ended, add };
}

t.test('each deadline is met at its time, in whatever order they are set', async (t) => {
  const { clock, ended, add } = timed();
  for (const atMs of [500, 100, 300, 100, 700]) add(atMs);
  await clock.advance(400);
  add(450);
  await clock.advance(400);
  t.same(ended, ['100 at 100', '100 at 100', '300 at 300', '450 at 450', '500 at 500', '700 at 700']);
});

t.test('one sleep is enough for all, and none is left at the end', async (t) => {
  const { clock, timer, add, ended } = timed();
  for (let atMs = 1000; atMs > 0; atMs -= 10) add(atMs);
  await clock.advance(5);
  t.equal(clock.sleeperCount, 1);
  timer.stop();
  t.equal(clock.sleeperCount, 0);
  await clock.advance(2000);
  t.same(ended, [], 'nothing is due any more');
});
