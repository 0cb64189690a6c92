import t from 'tap';
import { extentId, isStoreError, LIMITS, streamId } from '../api/index.js';
import { flipByte } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { OwnedStream } from './stream-layer.js';
import { appendBlocks, checkReadable, scanSequences, sequences } from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

const OTHER = streamId('partition-1/blob');

async function openLog(fixture: StreamFixture, epoch: number, id = LOG): Promise<OwnedStream> {
  const opening = fixture.layer.openStream({ streamId: id, epoch, durability: 'sync' });
  return await fixture.until(opening);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

t.test('what was appended is read at its place and scanned in order, also after a restart', async (t) => {
  await using fixture = await StreamFixture.start();
  const lengthOf = (sequence: number) => [1, 100, 70_000, 4096, 1_000_000][sequence % 5]!;
  const stream = await openLog(fixture, 1);
  const blocks = await appendBlocks(stream, sequences(1, 50), lengthOf);
  await checkReadable(fixture.layer, blocks);
  for (const epoch of [2, 3]) {
    await fixture.restart();
    const again = await openLog(fixture, epoch);
    t.same(await scanSequences(again), sequences(1, 50));
    await checkReadable(fixture.layer, blocks);
  }
});

t.test('a stream rolls to a new extent when one is full, and only the last is open', async (t) => {
  await using fixture = await StreamFixture.start({ extentBytesMax: 20_000 });
  const stream = await openLog(fixture, 1);
  t.same(stream.extents(), []);
  const lengthOf = (sequence: number) => (sequence === 60 ? 100_000 : 1000);
  const blocks = await appendBlocks(stream, sequences(1, 100), lengthOf);
  const extents = stream.extents();
  t.ok(extents.length > 5);
  t.same(
    extents.map((extent) => extent.state),
    extents.map((_, index) => (index === extents.length - 1 ? 'open' : 'sealed'))
  );
  const large = blocks.find((block) => block.sequence === 60)!;
  for (const { extentId: id, length } of extents) {
    t.ok(
      length <= 20_000 || id === large.location.extentId,
      'no extent is larger, except for one large block'
    );
    t.ok(length > EXTENT_HEADER_BYTES);
  }
  await checkReadable(fixture.layer, blocks);
  const again = await openLog(fixture, 2);
  t.same(await scanSequences(again), sequences(1, 100));
  t.same(
    again.extents().map((extent) => extent.length),
    extents.map((extent) => extent.length),
    'sealed at what was acknowledged'
  );
});

t.test('a scan from a position gives what was appended after it', async (t) => {
  await using fixture = await StreamFixture.start({ extentBytesMax: 8000 });
  const stream = await openLog(fixture, 1);
  const start = stream.position();
  const positions = [];
  for (let first = 1; first <= 91; first += 10) {
    positions.push(stream.position());
    await appendBlocks(stream, sequences(first, 10));
  }
  const end = stream.position();
  const again = await openLog(fixture, 2);
  for (const [index, position] of positions.entries()) {
    t.same(await scanSequences(again, position), sequences(1 + index * 10, 100 - index * 10));
  }
  t.same(await scanSequences(again, start), sequences(1, 100));
  t.same(await scanSequences(again, end), []);
  t.same(again.position(), end);
  await t.rejects(scanSequences(again, { extentId: extentId(999), offset: 0 }), { code: 'ExtentNotFound' });
});

t.test('a new owner fences the old one', async (t) => {
  await using fixture = await StreamFixture.start();
  const old = await openLog(fixture, 5);
  await appendBlocks(old, sequences(1, 3));
  t.equal(await codeOf(openLog(fixture, 5)), 'StaleEpoch');
  t.equal(await codeOf(openLog(fixture, 4)), 'StaleEpoch');
  const next = await openLog(fixture, 6);
  t.equal(await codeOf(old.append({ sequence: 4, parts: [Buffer.alloc(5)] })), 'StaleEpoch');
  t.equal(
    await codeOf(old.append({ sequence: 5, parts: [Buffer.alloc(5)] })),
    'StaleEpoch',
    'stops for good'
  );
  t.equal(await codeOf(old.releaseExtents(old.extents().map((extent) => extent.extentId))), 'StaleEpoch');
  await appendBlocks(next, sequences(4, 3));
  t.same(await scanSequences(await openLog(fixture, 7)), sequences(1, 6));
});

t.test('an owner that had no open extent is fenced too', async (t) => {
  await using fixture = await StreamFixture.start();
  const old = await openLog(fixture, 1);
  await openLog(fixture, 2);
  t.equal(await codeOf(old.append({ sequence: 1, parts: [Buffer.alloc(5)] })), 'StaleEpoch');
});

t.test('appends that race with a new owner are either in its scan or were not acknowledged', async (t) => {
  for (let seed = 0; seed < 60; seed++) {
    await using fixture = await StreamFixture.start({ seed, isSlow: true, folderCount: 1 + (seed % 3) });
    const old = await openLog(fixture, 1);
    await fixture.until(appendBlocks(old, sequences(1, 2)));
    const acknowledged = new Set([1, 2]);
    const appends = sequences(3, 20).map(async (sequence) => {
      for (let turns = fixture.random.fraction() * 8; turns > 0; turns--) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await appendBlocks(old, [sequence]);
      acknowledged.add(sequence);
    });
    const results = Promise.allSettled(appends);
    const next = await openLog(fixture, 2);
    const found = new Set(await fixture.until(scanSequences(next)));
    await fixture.until(results);
    const lost = [...acknowledged].filter((sequence) => !found.has(sequence));
    t.same(lost, [], `seed ${seed}`);
  }
});

t.test('released extents are deleted with their files', async (t) => {
  await using fixture = await StreamFixture.start({ extentBytesMax: 8000, folderCount: 3 });
  const stream = await openLog(fixture, 1);
  const blocks = await appendBlocks(stream, sequences(1, 100));
  const sealed = stream.extents().filter((extent) => extent.state === 'sealed');
  const released = sealed.slice(0, -1).map((extent) => extent.extentId);
  const open = stream.extents().at(-1)!.extentId;
  t.equal(await codeOf(stream.releaseExtents([open])), 'InvalidArgument', 'not the open one');
  await stream.releaseExtents(released);
  await stream.releaseExtents(released);
  await fixture.until(fixture.layer.sweep());
  for (const index of [0, 1, 2]) t.equal((await fixture.extentPaths(index)).length, 2);
  t.equal(stream.extents().length, 2);
  const kept = blocks.filter((block) => !released.includes(block.location.extentId));
  await checkReadable(fixture.layer, kept);
  const gone = blocks[0]!.location;
  const range = { extentId: gone.extentId, blockOffset: gone.offset, start: 0, length: 1 };
  t.equal(await codeOf(fixture.layer.readBlock(range)), 'ExtentNotFound');
  const again = await openLog(fixture, 2);
  t.same(
    await scanSequences(again),
    kept.map((block) => block.sequence)
  );
});

t.test('moved extents belong to the other stream, and nothing is copied', async (t) => {
  await using fixture = await StreamFixture.start({ extentBytesMax: 8000 });
  const log = await openLog(fixture, 1);
  const blob = await openLog(fixture, 1, OTHER);
  await appendBlocks(blob, sequences(1, 3));
  const blocks = await appendBlocks(log, sequences(1, 100));
  const moved = log
    .extents()
    .slice(1, 3)
    .map((extent) => extent.extentId);
  await log.moveExtents(moved, blob);
  t.same(
    blob
      .extents()
      .slice(1)
      .map((extent) => extent.extentId),
    moved
  );
  t.notOk(log.extents().some((extent) => moved.includes(extent.extentId)));
  await checkReadable(fixture.layer, blocks);
  await appendBlocks(blob, [200]);
  await blob.close();
  const blobAgain = await openLog(fixture, 3, OTHER);
  t.equal(await codeOf(log.moveExtents(moved, blobAgain)), 'none', 'a repetition changes nothing');
  t.equal(await codeOf(log.moveExtents([extentId(900)], blobAgain)), 'ExtentNotFound');
  t.same(
    blobAgain.extents().map((extent) => extent.extentId),
    blob.extents().map((extent) => extent.extentId)
  );
  const inMoved = blocks.filter((block) => moved.includes(block.location.extentId));
  await fixture.restart();
  const sequencesOf = async (id: typeof LOG) => await scanSequences(await openLog(fixture, 4, id));
  t.same(await sequencesOf(OTHER), [1, 2, 3, ...inMoved.map((block) => block.sequence), 200]);
  t.equal((await sequencesOf(LOG)).length, 100 - inMoved.length);
  await fixture.until(fixture.layer.sweep());
  await checkReadable(fixture.layer, blocks);
});

t.test('files that no stream lists are deleted, unless the tables never gave them out', async (t) => {
  await using fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  await appendBlocks(stream, [1]);
  const [path] = await fixture.extentPaths(0);
  const copyTo = async (id: number): Promise<void> => {
    const bytes = (await fixture.memoryDisk.findBytes(path!))!;
    await fixture.memoryDisk.writeBytes(`/n0/extents/${String(id).padStart(16, '0')}.extent`, bytes);
  };
  await copyTo(700);
  await copyTo(5_000_000);
  await fixture.restart();
  await fixture.until(fixture.layer.sweep());
  const names = (await fixture.extentPaths(0)).map((name) => Number(/(\d+)\.extent/.exec(name)![1]));
  t.same(names, [1, 5_000_000]);
  t.same(fixture.eventsOf('unknown-extents-kept')[0]?.extentIds, [5_000_000]);
});

t.test('a closed stream takes no appends and closing the layer ends all timers', async (t) => {
  const fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  await appendBlocks(stream, [1]);
  await stream.close();
  t.equal(await codeOf(stream.append({ sequence: 2, parts: [Buffer.alloc(5)] })), 'ServiceUnavailable');
  await openLog(fixture, 2);
  await fixture.close();
  t.equal(fixture.clock.pendingCount(), 0);
});

t.test('blocks of the largest size pass, and more than may be in flight waits', async (t) => {
  await using fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  const size = LIMITS.blockBytesMax + LIMITS.blockHeadBytesMax;
  const blocks = await appendBlocks(stream, sequences(1, 20), () => size);
  await checkReadable(fixture.layer, blocks.slice(-2));
  const again = await openLog(fixture, 2);
  t.same(await scanSequences(again), sequences(1, 20));
});

t.test('a read that is given up says so', async (t) => {
  await using fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  const [block] = await appendBlocks(stream, [1]);
  const { extentId: id, offset: blockOffset } = block!.location;
  const reading = fixture.layer.readBlock(
    { extentId: id, blockOffset, start: 0, length: 1 },
    { signal: AbortSignal.abort() }
  );
  t.equal(await codeOf(reading), 'Cancelled');
});

t.test(
  'the only replica with damage inside is sealed no shorter, and a scan stops at the damage',
  async (t) => {
    await using fixture = await StreamFixture.start();
    const stream = await openLog(fixture, 1);
    const blocks = await appendBlocks(stream, sequences(1, 5));
    const end = stream.extents()[0]!.length;
    await fixture.close();
    const [path] = await fixture.extentPaths(0);
    await flipByte(fixture.memoryDisk, path!, blocks[2]!.location.offset + 70);
    await fixture.open();
    const again = await openLog(fixture, 2);
    t.same(again.extents()[0]?.length, end);
    t.equal(fixture.eventsOf('extent-sealed-damaged').length, 1);
    await checkReadable(fixture.layer, [...blocks.slice(0, 2), ...blocks.slice(3)]);
    await t.rejects(scanSequences(again), {
      code: 'ChecksumMismatch',
      message: new RegExp(`${blocks[2]!.location.offset} of extent ${blocks[2]!.location.extentId}`)
    });
    await fixture.until(fixture.layer.sweep());
    const third = await openLog(fixture, 3);
    t.same(third.extents()[0]?.length, end, 'the decision stands');
  }
);
