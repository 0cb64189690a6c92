import t from 'tap';
import { elapsedTime } from './elapsed-time.js';

function startMachine() {
  let awakeMs = 5000.25;
  let sleptMs = 0;
  let wallMs = 1_700_000_000_000;
  let uptimeCount = 0;
  const elapsedMs = elapsedTime({
    monotonicMs: () => awakeMs,
    wallMs: () => wallMs,
    uptimeMs: () => {
      uptimeCount += 1;
      return 90_000 + Math.floor((awakeMs + sleptMs) / 10) * 10;
    }
  });
  return {
    elapsedMs,
    uptimeCount: () => uptimeCount,
    pass(durationMs: number) {
      awakeMs += durationMs;
      wallMs += durationMs;
    },
    sleep(durationMs: number, { isWallSet = true } = {}) {
      sleptMs += durationMs;
      if (isWallSet) wallMs += durationMs;
    },
    setWall(durationMs: number) {
      wallMs += durationMs;
    }
  };
}

t.test('counts the time in which the machine slept at once, to 20 ms', async (t) => {
  const machine = startMachine();
  const start = machine.elapsedMs();
  machine.pass(10);
  machine.sleep(3_600_000);
  machine.pass(0.5);
  const elapsed = machine.elapsedMs() - start;
  t.ok(Math.abs(elapsed - 3_600_010.5) <= 20, `${elapsed} ms`);
  machine.sleep(7000);
  t.ok(machine.elapsedMs() - start - elapsed >= 6980, 'and again');
});

t.test('finds a sleep that the wall clock does not show within a second', async (t) => {
  const machine = startMachine();
  const start = machine.elapsedMs();
  machine.sleep(60_000, { isWallSet: false });
  machine.pass(1001);
  t.ok(machine.elapsedMs() - start >= 60_980);
});

t.test('follows no wall clock that somebody sets, and never goes back', async (t) => {
  const machine = startMachine();
  const start = machine.elapsedMs();
  let last = start;
  let passed = 0;
  for (const jumpMs of [3_600_000, -7_200_000, 500, -1, 0, 30]) {
    machine.setWall(jumpMs);
    machine.pass(3.7);
    passed += 3.7;
    const now = machine.elapsedMs();
    t.ok(now >= last, 'not back');
    t.ok(now - start - passed <= 20, 'nor ahead');
    last = now;
  }
});

t.test('asks for the uptime seldom', async (t) => {
  const machine = startMachine();
  for (let call = 0; call < 10_000; call++) {
    machine.pass(0.2);
    machine.elapsedMs();
  }
  t.ok(machine.uptimeCount() <= 4, `${machine.uptimeCount()} times in 2 s`);
});
