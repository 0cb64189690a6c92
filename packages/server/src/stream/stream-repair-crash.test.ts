import t from 'tap';
import { memberId } from '../api/index.js';
import type { OwnedStream } from './stream-layer.js';
import {
  type AppendedBlock,
  appendBlocks,
  checkReadable,
  scanSequences,
  sequences
} from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

/* Repairs, drains and returning nodes with the stream manager killed at random steps: each seed is another history. */

t.setTimeout(300_000);

const FOLDER_COUNT = 5;
const SEEDS = 25;
const LIVES = 4;

async function openLog(fixture: StreamFixture, epoch: number): Promise<OwnedStream> {
  return await fixture.until(fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' }));
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Every extent has three good replicas in three racks, and nodes have these files and no others. */
async function findFault(fixture: StreamFixture): Promise<string | undefined> {
  const { membership } = fixture.layer;
  const { extents } = await membership.extents({ filter: 'all', limit: 1000 });
  const expected = new Set<string>();
  for (const { extentId, replicas, state } of extents) {
    const text = `${state} extent ${extentId} ${JSON.stringify(replicas)}`;
    if (state === 'sealed' && replicas.length !== 3) return text;
    if (new Set(replicas.map((replica) => replica.memberId)).size !== replicas.length) return text;
    for (const { memberId: id, condition } of replicas) {
      if (condition !== 'good') return text;
      expected.add(`${id} ${extentId}`);
    }
  }
  for (let index = 0; index < FOLDER_COUNT; index++) {
    for (const path of await fixture.extentPaths(index)) {
      const key = `node-${index} ${Number(/(\d+)\.extent/.exec(path)![1])}`;
      if (!expected.delete(key)) return `left over: ${key}`;
    }
  }
  return expected.size > 0 ? `missing: ${[...expected].join(', ')}` : undefined;
}

async function isDead(fixture: StreamFixture, index: number): Promise<boolean> {
  const { members } = await fixture.layer.membership.members();
  return members.some(
    (member) => member.memberId === memberId(`node-${index}`) && member.liveness === 'dead'
  );
}

/** Extents whose repair or move was not done. */
async function unfinishedCount(fixture: StreamFixture): Promise<number> {
  const { totals } = await fixture.layer.membership.extents({ filter: 'all', limit: 1 });
  return totals.underReplicatedCount + totals.movingCount;
}

/** How often a crash came before the work was done. */
let interruptedCount = 0;

async function runHistory(seed: number): Promise<string | undefined> {
  await using fixture = await StreamFixture.start({
    seed,
    folderCount: FOLDER_COUNT,
    extentBytesMax: 8000,
    isSlow: true,
    upkeep: { repairConcurrencyMax: 1 + (seed % 3) }
  });
  const { random } = fixture;
  const pick = (count: number): number => Math.floor(random.fraction() * count);
  const blocks: AppendedBlock[] = [];
  for (let life = 1; life <= LIVES; life++) {
    const stream = await openLog(fixture, life);
    const first = blocks.length + 1;
    blocks.push(...(await fixture.until(appendBlocks(stream, sequences(first, 15), () => 900))));
    const index = pick(FOLDER_COUNT);
    const path = `/n${index}/**`;
    const isDrained = random.fraction() < 0.3;
    if (isDrained) {
      const drain = { memberId: memberId(`node-${index}`), isCancelled: false };
      fixture.layer.membership.drain(drain).catch(() => undefined);
    } else {
      fixture.disk.rules.add({ on: 'any', path, fail: 'EIO' });
      await fixture.clock.advance(55_000);
      while (!(await isDead(fixture, index))) await fixture.clock.advance(500);
    }
    // Somewhere between the first step of the first repair and the last one of the last.
    await turns(pick(300));
    interruptedCount += await unfinishedCount(fixture);
    const returns = random.fraction() < 0.5;
    fixture.disk.rules.clear();
    await fixture.crash();
    if (!returns && !isDrained) fixture.disk.rules.add({ on: 'any', path, fail: 'EIO' });
    await fixture.clock.advance(70_000);
    for (let round = 0; round < 2; round++) await fixture.until(fixture.layer.sweep());
    await fixture.until(checkReadable(fixture.layer, blocks));
    fixture.disk.rules.clear();
    const cancel = { memberId: memberId(`node-${index}`), isCancelled: true };
    await fixture.until(fixture.layer.membership.drain(cancel));
    await fixture.clock.advance(10_000);
  }
  const again = await openLog(fixture, LIVES + 1);
  for (let round = 0; round < 3; round++) await fixture.until(fixture.layer.sweep());
  const found = await fixture.until(scanSequences(again));
  if (found.join() !== blocks.map((block) => block.sequence).join()) return `scan gives ${found.join()}`;
  await fixture.until(checkReadable(fixture.layer, blocks));
  return await findFault(fixture);
}

t.test('whenever the stream manager dies, repairs end with every replica where it should be', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const fault = await runHistory(seed).catch((error: unknown) => (error as Error).stack ?? String(error));
    if (fault) t.fail(`seed ${seed}: ${fault}`);
  }
  t.ok(interruptedCount > SEEDS, `${interruptedCount} repairs were cut off`);
});
