import t from 'tap';
import { simulate } from '../../packages/server/src/testing/simulation/simulate.js';

t.test('the same seed gives the same run, byte for byte of its trace', async (t) => {
  const options = { seed: 7, scenario: 'everything', durationMs: 15_000 } as const;
  const first = await simulate({ ...options, keepsTrace: true });
  const second = await simulate({ ...options, keepsTrace: true });
  t.ok(first.traceLength > 1000, `${first.traceLength} events`);
  t.equal(second.traceLength, first.traceLength);
  t.equal(second.traceTextHash, first.traceTextHash);
  t.equal(second.tail(1_000_000).join('\n'), first.tail(1_000_000).join('\n'));
  const other = await simulate({ ...options, seed: 8 });
  t.not(other.traceHash, first.traceHash);
});

t.test('keeping the trace changes nothing of the run', async (t) => {
  const options = { seed: 9, scenario: 'everything', durationMs: 15_000 } as const;
  const kept = await simulate({ ...options, keepsTrace: true });
  const quick = await simulate(options);
  t.equal(quick.traceHash, kept.traceHash);
  t.equal(quick.traceLength, kept.traceLength);
  t.same(quick.counts, kept.counts);
  t.same(quick.tail(10), []);
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
