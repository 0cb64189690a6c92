import { inspect } from 'node:util';
import t from 'tap';
import { runPartitionLives } from './testing/partition-lives.js';

const { SEED } = process.env;
const SEED_COUNT = 24;
const seeds = SEED === undefined ? Array.from({ length: SEED_COUNT }, (_, index) => index) : [Number(SEED)];

t.setTimeout(300_000);

t.test('power cuts lose nothing acknowledged and leave nothing behind', async (t) => {
  let acknowledgedCount = 0;
  let checkpointCount = 0;
  for (const seed of seeds) {
    try {
      const outcome = await runPartitionLives({ seed });
      acknowledgedCount += outcome.acknowledgedCount;
      checkpointCount += outcome.checkpointCount;
    } catch (error) {
      t.fail(`SEED=${seed}: ${inspect(error)}`);
    }
  }
  t.ok(acknowledgedCount > 50 * seeds.length, `${acknowledgedCount} mutations were acknowledged`);
  t.ok(checkpointCount > seeds.length, `${checkpointCount} checkpoints were written`);
});
