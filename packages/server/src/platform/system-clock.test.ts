import t from 'tap';
import { systemClock } from './system-clock.js';

t.test('wakes, and is woken early by an abort with its reason', async (t) => {
  const clock = systemClock();
  const startMs = clock.monotonicMs();
  await clock.sleep(1);
  t.ok(clock.monotonicMs() > startMs);
  const controller = new AbortController();
  const sleep = clock.sleep(60_000, controller.signal);
  controller.abort(new Error('enough'));
  await t.rejects(sleep, { message: 'enough' });
  await t.rejects(clock.sleep(60_000, controller.signal), { message: 'enough' });
});

t.test('does not fire a timer that was disposed, nor one of a month at once', async (t) => {
  const clock = systemClock();
  const fired: string[] = [];
  using month = clock.setTimer(30 * 24 * 3600 * 1000, () => fired.push('month'));
  clock.setTimer(0, () => fired.push('disposed'))[Symbol.dispose]();
  clock.setTimer(0, () => fired.push('now'));
  await clock.sleep(5);
  t.same(fired, ['now']);
  t.ok(month);
});
