import t from 'tap';
import {
  DELIBERATE_BUGS,
  FIRST_SEEDS
} from '../../packages/server/src/testing/simulation/deliberate-bugs.js';
import { simulate } from '../../packages/server/src/testing/simulation/simulate.js';

/* A simulation that finds nothing proves nothing: with each of these bugs put in, it must find something. */

const SEEDS_MAX = Number(process.env.SIMULATE_SEEDS ?? 200);
const DURATION_MS = 30_000;

for (const bug of DELIBERATE_BUGS) {
  t.test(`finds a stamp in which ${bug.name}`, async (t) => {
    const first = FIRST_SEEDS[bug.name] ?? 1;
    for (let seed = first; seed < first + SEEDS_MAX; seed++) {
      const { violation } = await simulate({ seed, scenario: bug.scenario, durationMs: DURATION_MS, bug });
      if (!violation) continue;
      t.pass(`seed ${seed}: ${violation.message.split('\n')[0]}`);
      return;
    }
    t.fail(`nothing found with ${SEEDS_MAX} seeds`);
  });
}
