import t from 'tap';
import { memberId } from '../api/index.js';
import { flipByte } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { ExtentFilter } from './membership-api.js';
import type { OwnedStream } from './stream-layer.js';
import {
  type AppendedBlock,
  appendBlocks,
  checkReadable,
  scanSequences,
  sequences
} from './testing/stream-checks.js';
import { LOG, StreamFixture, type StreamFixtureOptions } from './testing/stream-fixture.js';

t.setTimeout(300_000);

const DEAD_MS = 70_000;

async function openLog(fixture: StreamFixture, epoch: number): Promise<OwnedStream> {
  return await fixture.until(fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' }));
}

/** A stream of some extents on some nodes, all confirmed. */
async function startFilled(options: StreamFixtureOptions) {
  const fixture = await StreamFixture.start({ extentBytesMax: 20_000, ...options });
  const stream = await openLog(fixture, 1);
  const blocks: AppendedBlock[] = [];
  for (let first = 1; first <= 100; first += 10) {
    blocks.push(...(await fixture.until(appendBlocks(stream, sequences(first, 10), () => 1000))));
  }
  await fixture.until(fixture.layer.sweep());
  return { fixture, stream, blocks };
}

async function idsOf(fixture: StreamFixture, filter: ExtentFilter): Promise<readonly number[]> {
  const { extents } = await fixture.layer.membership.extents({ filter, limit: 1000 });
  return extents.map((extent) => extent.extentId);
}

async function memberOf(fixture: StreamFixture, index: number) {
  const { members } = await fixture.layer.membership.members();
  return members.find((member) => member.memberId === memberId(`node-${index}`))!;
}

/** As `sweep` would after a minute, until nothing is left to do. */
async function settle(fixture: StreamFixture): Promise<void> {
  for (let round = 0; round < 3; round++) await fixture.until(fixture.layer.sweep());
}

t.test('replicas of a node that died are made anew on others, and nothing is lost', async (t) => {
  const { fixture, stream, blocks } = await startFilled({ folderCount: 5 });
  const lost = fixture.disk.rules.add({ on: 'any', path: '/n1/**', fail: 'EIO' });
  await fixture.clock.advance(12_000);
  t.equal((await memberOf(fixture, 1)).liveness, 'suspect');
  t.same(await idsOf(fixture, 'under-replicated'), [], 'a suspect is waited for');
  await fixture.clock.advance(DEAD_MS);
  t.equal((await memberOf(fixture, 1)).liveness, 'dead');
  await settle(fixture);
  t.equal((await memberOf(fixture, 1)).replicaCount, 0);
  t.same(await idsOf(fixture, 'damaged'), []);
  t.same(await idsOf(fixture, 'under-replicated'), []);
  t.ok(fixture.eventsOf('replica-copied').length > 0);
  // The writer goes on, and any two further nodes may be lost.
  blocks.push(...(await fixture.until(appendBlocks(stream, sequences(101, 20), () => 1000))));
  await fixture.until(checkReadable(fixture.layer, blocks));

  // What comes back is of no use any more.
  lost[Symbol.dispose]();
  await fixture.clock.advance(4000);
  t.equal((await memberOf(fixture, 1)).liveness, 'up');
  await settle(fixture);
  await settle(fixture);
  const { replicaCount } = await memberOf(fixture, 1);
  t.equal((await fixture.extentPaths(1)).length, replicaCount, 'left-over files are deleted');
  const again = await openLog(fixture, 2);
  t.same(await fixture.until(scanSequences(again)), sequences(1, 120));
  await fixture[Symbol.asyncDispose]();
});

t.test('a replica that comes back is adopted where nothing could be made anew', async (t) => {
  const { fixture, blocks } = await startFilled({ folderCount: 3 });
  const lost = fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'EIO' });
  await fixture.clock.advance(DEAD_MS);
  await settle(fixture);
  t.ok((await idsOf(fixture, 'under-replicated')).length > 0);
  lost[Symbol.dispose]();
  await fixture.clock.advance(4000);
  await settle(fixture);
  t.same(await idsOf(fixture, 'damaged'), []);
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture[Symbol.asyncDispose]();
});

t.test('an open extent that began with too few replicas is left when another node comes', async (t) => {
  const { fixture, stream, blocks } = await startFilled({ folderCount: 3 });
  const away = fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'EIO' });
  blocks.push(...(await fixture.until(appendBlocks(stream, sequences(101, 5), () => 1000))));
  const [thin] = await idsOf(fixture, 'open');
  const replicaCountOf = async (extentId: number) => {
    const { extents } = await fixture.layer.membership.extents({ filter: 'all', limit: 1000 });
    return extents.find((extent) => extent.extentId === extentId)?.replicas.length;
  };
  t.equal(await replicaCountOf(thin!), 2);
  away[Symbol.dispose]();
  await fixture.clock.advance(3000);
  t.same(await idsOf(fixture, 'open'), [thin], 'the node has to stay for a while');
  await fixture.clock.advance(60_000);
  t.same(await idsOf(fixture, 'open'), [], 'nobody has written since');
  await settle(fixture);
  t.equal(await replicaCountOf(thin!), 3);
  blocks.push(...(await fixture.until(appendBlocks(stream, sequences(106, 5), () => 1000))));
  const [next] = await idsOf(fixture, 'open');
  t.equal(await replicaCountOf(next!), 3);
  await fixture.clock.advance(600_000);
  t.same(await idsOf(fixture, 'open'), [next], 'this one may stay');
  t.same(await idsOf(fixture, 'under-replicated'), []);
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture[Symbol.asyncDispose]();
});

t.test('a scrub finds planted damage of every kind and repairs it', async (t) => {
  const { fixture, blocks } = await startFilled({ folderCount: 3 });
  const paths = [...(await fixture.extentPaths(0)), ...(await fixture.extentPaths(1))];
  const sealed = (await idsOf(fixture, 'all')).length - (await idsOf(fixture, 'open')).length;
  t.ok(sealed > 3);
  await flipByte(fixture.memoryDisk, paths[0]!, EXTENT_HEADER_BYTES + 500);
  await flipByte(fixture.memoryDisk, paths[1]!, 20);
  await fixture.until(fixture.layer.membership.scrub({}));
  await fixture.clock.advance(60_000);
  let finished = fixture.eventsOf('scrub-finished');
  for (let turn = 0; turn < 100 && finished.length < 3; turn++) {
    await fixture.clock.advance(1000);
    finished = fixture.eventsOf('scrub-finished');
  }
  t.equal(finished.length, 3);
  const found = finished.find((event) => event.memberId === memberId('node-0'))!;
  t.match(found, { corruptCount: 2, repairedCount: 2 });
  t.equal(
    finished.reduce((sum, event) => sum + event.corruptCount, 0),
    2
  );
  const { scrub } = await memberOf(fixture, 1);
  t.match(scrub, { corruptCount: 0, blockCount: sealed > 0 ? /\d+/ : 0 });
  t.ok(scrub.blockCount > 50 && scrub.finishedAtMs !== undefined);
  t.same(await idsOf(fixture, 'damaged'), []);
  await fixture.until(fixture.layer.membership.scrub({ memberIds: [memberId('node-0')] }));
  await fixture.clock.advance(60_000);
  t.match((await memberOf(fixture, 0)).scrub, { corruptCount: 0, repairedCount: 0 });
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture[Symbol.asyncDispose]();
});

t.test('a missing file is found and made anew', async (t) => {
  const { fixture, blocks } = await startFilled({ folderCount: 3 });
  const [path] = await fixture.extentPaths(1);
  await fixture.close();
  await fixture.memoryDisk.remove(path!);
  await fixture.open();
  await settle(fixture);
  t.ok((await fixture.extentPaths(1)).includes(path!));
  t.same(await idsOf(fixture, 'damaged'), []);
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture[Symbol.asyncDispose]();
});

t.test('a node is drained while its stream goes on, and may be removed then', async (t) => {
  const { fixture, stream, blocks } = await startFilled({ folderCount: 4 });
  const { membership } = fixture.layer;
  const member = memberId('node-0');
  await fixture.until(membership.drain({ memberId: member, isCancelled: false }));
  t.equal((await memberOf(fixture, 0)).duty, 'draining');
  blocks.push(...(await fixture.until(appendBlocks(stream, sequences(101, 30), () => 1000))));
  await settle(fixture);
  await fixture.clock.advance(10_000);
  t.match(await memberOf(fixture, 0), { duty: 'drained', replicaCount: 0 });
  await settle(fixture);
  t.same(await fixture.extentPaths(0), [], 'nothing is left on it');
  t.same(await idsOf(fixture, 'moving'), []);
  await t.rejects(membership.removeMember({ memberId: member }), {
    code: 'InvalidArgument',
    message: /was heard \d+ s ago\. Stop it/
  });
  await t.rejects(membership.drain({ memberId: memberId('node-1'), isCancelled: false }), {
    code: 'InvalidArgument',
    message: /Add a node, or bring one back, first/
  });
  fixture.disk.rules.add({ on: 'any', path: '/n0/**', fail: 'EIO' });
  await fixture.clock.advance(DEAD_MS);
  await membership.removeMember({ memberId: member });
  t.equal(await memberOf(fixture, 0), undefined);
  const again = await openLog(fixture, 2);
  t.same(await fixture.until(scanSequences(again)), sequences(1, 130));
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture[Symbol.asyncDispose]();
});

t.test('a drain survives a restart and can be taken back', async (t) => {
  const { fixture } = await startFilled({ folderCount: 4 });
  const member = memberId('node-2');
  await fixture.until(fixture.layer.membership.drain({ memberId: member, isCancelled: false }));
  await fixture.crash();
  t.not((await memberOf(fixture, 2)).duty, 'active');
  await fixture.until(fixture.layer.membership.drain({ memberId: member, isCancelled: true }));
  t.equal((await memberOf(fixture, 2)).duty, 'active');
  await t.rejects(fixture.layer.membership.drain({ memberId: memberId('who'), isCancelled: true }), {
    code: 'InvalidArgument'
  });
  await fixture[Symbol.asyncDispose]();
});

t.test('files that no table knows stay for a grace time', async (t) => {
  const { fixture } = await startFilled({ folderCount: 3, upkeep: { orphanGraceMs: 100_000 } });
  const orphan = '/n0/extents/0000000000000500.extent';
  await fixture.close();
  await fixture.memoryDisk.writeBytes(orphan, Buffer.from('x'));
  await fixture.open();
  await fixture.until(fixture.layer.sweep());
  t.ok((await fixture.extentPaths(0)).includes(orphan));
  await fixture.clock.advance(120_000);
  await settle(fixture);
  t.notOk((await fixture.extentPaths(0)).includes(orphan));
  await fixture[Symbol.asyncDispose]();
});
