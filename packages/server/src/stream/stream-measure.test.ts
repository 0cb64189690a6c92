import t from 'tap';
import { flipByte } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { StreamMeasure } from './stream-measure.js';
import { appendBlocks, sequences } from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

/* What metrics show of a stamp in each state. */

t.setTimeout(120_000);

async function startFilled(folderCount: number): Promise<StreamFixture> {
  const fixture = await StreamFixture.start({ extentBytesMax: 20_000, folderCount });
  const open = fixture.layer.openStream({ streamId: LOG, epoch: 1, durability: 'sync' });
  const stream = await fixture.until(open);
  for (let first = 1; first <= 100; first += 10)
    await fixture.until(appendBlocks(stream, sequences(first, 10), () => 1000));
  await fixture.until(fixture.layer.sweep());
  return fixture;
}

async function measured(fixture: StreamFixture): Promise<StreamMeasure> {
  return (await fixture.until(fixture.layer.measure()))!;
}

t.test('all is well', async (t) => {
  await using fixture = await startFilled(3);
  const measure = await measured(fixture);
  const { extentCounts, replicaCounts, missingCounts, sealedBytes, replicaBytes } = measure;
  t.ok(extentCounts.sealed > 3);
  t.equal(extentCounts.open, 1);
  t.same(missingCounts, [extentCounts.sealed + extentCounts.open, 0, 0, 0]);
  t.same(replicaCounts, {
    good: 3 * (extentCounts.sealed + extentCounts.open),
    unconfirmed: 0,
    damaged: 0,
    missing: 0,
    dead: 0,
    draining: 0
  });
  t.ok(sealedBytes > 50_000);
  t.equal(replicaBytes, 3 * sealedBytes);
  t.match(measure, { unavailableCount: 0, unknownLengthCount: 0, possibleLossCount: 0 });
  t.match(measure, {
    repairBytes: 0,
    drainBytes: 0,
    repair: { queuedCount: 0, activeCount: 0, failedCount: 0 }
  });
  t.match(measure.orphans, { unknownCount: 0, waitingCount: 0 });
});

t.test('a dead node: copies are missing, with the bytes that it takes to make them', async (t) => {
  await using fixture = await startFilled(3);
  const before = await measured(fixture);
  fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'EIO' });
  await fixture.clock.advance(70_000);
  // Its open extent is sealed on the others and needs a third replica too.
  await fixture.until(fixture.layer.sweep());
  const { extentCounts, missingCounts, replicaCounts, repairBytes, members } = await measured(fixture);
  t.equal(missingCounts[1], extentCounts.sealed);
  t.equal(replicaCounts.dead, extentCounts.sealed);
  t.ok(repairBytes >= before.sealedBytes);
  t.equal(members.filter(({ liveness }) => liveness === 'dead').length, 1);
});

t.test('a draining node: bytes are to move, none are to repair', async (t) => {
  await using fixture = await startFilled(4);
  const { membership } = fixture.layer;
  const { members } = await membership.members();
  const { memberId } = members.find(({ replicaCount }) => replicaCount > 0)!;
  // Nobody copies while no disk takes it.
  using _ = fixture.disk.rules.add({ on: 'create', path: '/**/*.rebuild', fail: 'EIO' });
  await fixture.until(membership.drain({ memberId, isCancelled: false }));
  const { replicaCounts, drainBytes, repairBytes, missingCounts } = await measured(fixture);
  t.ok(replicaCounts.draining > 0);
  t.ok(drainBytes > 0);
  t.equal(repairBytes, 0);
  t.same(missingCounts.slice(1), [0, 0, 0]);
});

t.test('replicas that rot and replicas that are gone are told apart', async (t) => {
  await using fixture = await startFilled(3);
  using _ = fixture.disk.rules.add({ on: 'create', path: '/**/*.rebuild', fail: 'EIO' });
  const [rotten, gone] = await fixture.extentPaths(1);
  await flipByte(fixture.memoryDisk, rotten!, EXTENT_HEADER_BYTES + 200);
  await fixture.memoryDisk.remove(gone!);
  // A node that runs has the file open, and notices nothing.
  await fixture.restart();
  await fixture.until(fixture.layer.membership.scrub({}));
  for (let round = 0; round < 5; round++) await fixture.until(fixture.layer.sweep());
  const { replicaCounts, repairBytes, repair } = await measured(fixture);
  t.match(replicaCounts, { damaged: 1, missing: 1 });
  t.ok(repairBytes > 0);
  t.equal(repair.failedCount, 2);
  t.ok(fixture.eventsOf('replica-verified').some(({ isIntact }) => !isIntact));
});
