import t from 'tap';
import { SCENARIOS, type ScenarioName } from '../../packages/server/src/testing/simulation/fault.js';
import { simulate } from '../../packages/server/src/testing/simulation/simulate.js';

/*
 * A whole stamp under every mix of faults: one fixed seed each, then seeds nobody has seen for as long as the time
 * allows. `SEED` and `SCENARIO` replay one; `npm run simulate` does too, and looks for a smaller run.
 */

const FIXED_SEED = 11;
const DURATION_MS = 15_000;
/** Of real time, for fresh seeds. */
const FRESH_MS = Number(process.env.SIMULATE_MS ?? 20_000);
const TAIL_LINES = 40;

const scenarios = Object.keys(SCENARIOS) as ScenarioName[];

async function keepsPromises(
  t: Pick<typeof import('tap').default, 'comment' | 'equal'>,
  seed: number,
  scenario: ScenarioName
): Promise<boolean> {
  const options = { seed, scenario, durationMs: DURATION_MS };
  const outcome = await simulate(options);
  const replay = `npm run simulate -- --seed ${seed} --scenario ${scenario} --minutes ${DURATION_MS / 60_000}`;
  if (outcome.violation) {
    // Once more, with the lines that cost time.
    const { tail } = await simulate({ ...options, keepsTrace: true });
    for (const line of tail(TAIL_LINES)) t.comment(line);
  }
  return t.equal(outcome.violation?.message, undefined, `seed ${seed}, ${scenario}: ${replay}`);
}

if (process.env.SEED) {
  t.test('the seed that was asked for', async (t) => {
    const chosen = scenarios.filter((name) => name === (process.env.SCENARIO ?? name));
    for (const scenario of chosen) await keepsPromises(t, Number(process.env.SEED), scenario);
  });
} else {
  t.test('every mix of faults with a fixed seed', async (t) => {
    for (const scenario of scenarios) await keepsPromises(t, FIXED_SEED, scenario);
  });

  t.test('every mix of faults with fresh seeds', async (t) => {
    const first = Math.floor(Math.random() * 1_000_000);
    const endMs = performance.now() + FRESH_MS;
    for (let count = 0; performance.now() < endMs; count++)
      if (!(await keepsPromises(t, first + count, scenarios[(first + count) % scenarios.length]!))) return;
  });
}
