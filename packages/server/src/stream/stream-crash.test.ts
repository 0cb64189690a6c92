import t from 'tap';
import { seededRandom } from '../platform/index.js';
import { runCrashLives } from './testing/crash-lives.js';
import { appendBlocks, checkReadable, scanSequences, sequences } from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

const SEED_COUNT = 100;

t.setTimeout(300_000);

const rows = [
  { name: 'one node', folderCount: 1, faultChance: 0 },
  { name: 'three nodes', folderCount: 3, faultChance: 0 },
  { name: 'one node that fails now and then', folderCount: 1, faultChance: 0.02 },
  { name: 'three nodes, one of which fails now and then', folderCount: 3, faultChance: 0.05 }
];

for (const { name, ...options } of rows) {
  t.test(`power cuts lose nothing acknowledged: ${name}`, async (t) => {
    let acknowledgedCount = 0;
    for (let seed = 0; seed < SEED_COUNT; seed++) {
      try {
        acknowledgedCount += await runCrashLives({ seed, ...options });
      } catch (error) {
        t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
    t.ok(acknowledgedCount > 50 * SEED_COUNT, `${acknowledgedCount} blocks were acknowledged`);
  });
}

t.test('without a sync a process that is killed loses nothing', async (t) => {
  for (let seed = 0; seed < 50; seed++) {
    await using fixture = await StreamFixture.start({ seed, isSlow: true, extentBytesMax: 30_000 });
    const stream = await fixture.layer.openStream({ streamId: LOG, epoch: 1, durability: 'os' });
    const random = seededRandom(seed);
    const count = 1 + Math.floor(random.fraction() * 60);
    const blocks = await fixture.until(
      appendBlocks(stream, sequences(1, count), () => 1 + Math.floor(random.fraction() * 3000))
    );
    // The files stay as they are; only what the process knew is gone.
    const left = fixture.layer;
    await fixture.open();
    const again = await fixture.layer.openStream({ streamId: LOG, epoch: 2, durability: 'os' });
    t.equal((await scanSequences(again)).length, count, `seed ${seed}`);
    await checkReadable(fixture.layer, blocks);
    await fixture.until(left.close());
  }
});
