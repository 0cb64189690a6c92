import t from 'tap';
import { flipByte, seededRandom } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { ExtentTotals } from './membership-api.js';
import type { OwnedStream } from './stream-layer.js';
import { type AppendedBlock, appendBlocks, checkReadable, sequences } from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

type Test = Pick<typeof t, 'same' | 'fail'>;

t.setTimeout(300_000);

const EXTENT_BYTES = 9000;
const BLOCK_COUNT = 30;
const MINUTE_MS = 60_000;

/** Four nodes, and a stream of several sealed extents with three replicas each. */
async function startFour(options: { readonly seed?: number; readonly isSlow?: boolean } = {}): Promise<{
  readonly fixture: StreamFixture;
  readonly blocks: readonly AppendedBlock[];
}> {
  const fixture = await StreamFixture.start({ folderCount: 4, extentBytesMax: EXTENT_BYTES, ...options });
  const stream = await openLog(fixture, 1);
  const blocks: AppendedBlock[] = [];
  for (const sequence of sequences(1, BLOCK_COUNT))
    blocks.push(...(await fixture.until(appendBlocks(stream, [sequence], () => 700))));
  return { fixture, blocks };
}

function openLog(fixture: StreamFixture, epoch: number): Promise<OwnedStream> {
  return fixture.until(fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' }));
}

/** Its disk hangs up on everything: it falls silent and answers nothing. */
function loseNode(fixture: StreamFixture, index: number): Disposable {
  return fixture.disk.rules.add({ on: 'any', path: `/n${index}/**`, fail: 'EIO' });
}

async function totals(fixture: StreamFixture): Promise<ExtentTotals> {
  const answer = await fixture.until(fixture.layer.membership.extents({ filter: 'all', limit: 1000 }));
  return answer.totals;
}

/** Lets time pass until it holds. */
async function passUntil(fixture: StreamFixture, holds: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 400; round++) {
    if (await holds()) return;
    await fixture.clock.advance(MINUTE_MS / 10);
  }
  throw new Error('it does not come to hold in 40 minutes');
}

const isWhole = async (fixture: StreamFixture): Promise<boolean> => {
  const { underReplicatedCount, damagedCount, movingCount, bytesToCopy } = await totals(fixture);
  return underReplicatedCount + damagedCount + movingCount + bytesToCopy === 0;
};

/** Every replica that the tables name is there with all its blocks, and no file is left that they do not name. */
async function checkReplicas(t: Test, fixture: StreamFixture): Promise<void> {
  const { extents } = await fixture.until(fixture.layer.membership.extents({ filter: 'all', limit: 1000 }));
  const named = new Map<string, Set<number>>();
  for (const { extentId, replicas } of extents)
    for (const replica of replicas)
      named.set(replica.memberId, (named.get(replica.memberId) ?? new Set()).add(extentId));
  const contents = new Map<number, Buffer>();
  for (let index = 0; index < 4; index++) {
    const files = await fixture.extentPaths(index);
    const ids = files.map((path) => Number(/(\d+)\.extent/.exec(path)![1]));
    t.same(new Set(ids), named.get(`node-${index}`) ?? new Set(), `files of node ${index}`);
    for (const [at, path] of files.entries()) {
      const bytes = Buffer.from((await fixture.memoryDisk.findBytes(path))!).subarray(EXTENT_HEADER_BYTES);
      const other = contents.get(ids[at]!);
      if (other && !other.equals(bytes)) t.fail(`replicas of extent ${ids[at]} differ`);
      contents.set(ids[at]!, bytes);
    }
  }
}

t.test('a new leader goes on with what the one before had begun', async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const { fixture, blocks } = await startFour({ seed, isSlow: true });
    const random = seededRandom(seed);
    await fixture.until(fixture.layer.sweep());
    const lost = Math.floor(random.fraction() * 4);
    for (const path of await fixture.extentPaths((lost + 1) % 4))
      if (random.fraction() < 0.3) await flipByte(fixture.memoryDisk, path, EXTENT_HEADER_BYTES + 100);
    const loss = loseNode(fixture, lost);
    await fixture.clock.advance(MINUTE_MS);
    for (let epoch = 2; epoch < 6; epoch++) {
      await fixture.clock.advance(random.fraction() * MINUTE_MS);
      if (random.fraction() < 0.5) await fixture.crash();
      else await fixture.restart();
      await openLog(fixture, epoch);
    }
    if (random.fraction() < 0.5) loss[Symbol.dispose]();
    await fixture.until(fixture.layer.membership.scrub({}));
    await passUntil(fixture, () => isWhole(fixture));
    await fixture.until(checkReadable(fixture.layer, blocks));
    loss[Symbol.dispose]();
    await fixture.clock.advance(25 * MINUTE_MS);
    await fixture.until(fixture.layer.sweep());
    await fixture.clock.advance(25 * MINUTE_MS);
    await fixture.until(fixture.layer.sweep());
    await passUntil(fixture, () => isWhole(fixture));
    await checkReplicas(t, fixture);
    await fixture[Symbol.asyncDispose]();
  }
});
