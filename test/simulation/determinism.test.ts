import t from 'tap';
import { simulate } from '../../packages/server/src/testing/simulation/simulate.js';

t.test('the same seed gives the same run, event by event', async (t) => {
  const options = { seed: 7, scenario: 'everything', durationMs: 15_000 } as const;
  const first = await simulate(options);
  const second = await simulate(options);
  t.ok(first.traceLength > 1000, `${first.traceLength} events`);
  t.equal(second.traceLength, first.traceLength);
  t.equal(second.traceHash, first.traceHash);
  const other = await simulate({ ...options, seed: 8 });
  t.not(other.traceHash, first.traceHash);
});

t.test(
  'a run with some of its faults is otherwise the same until the first one that is left out',
  async (t) => {
    const options = { seed: 7, scenario: 'everything', durationMs: 15_000 } as const;
    const { faults } = await simulate({ ...options, planOnly: true });
    t.ok(faults.length > 1, `${faults.length} faults`);
    const calm = await simulate({ ...options, faults: [] });
    t.equal(calm.violation, undefined);
    t.same(calm.faults, []);
  }
);
