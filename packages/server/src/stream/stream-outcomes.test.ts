import t from 'tap';
import { isStoreError, StoreError, streamId } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
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

/** A meta store that commits a transaction and then says that it failed, whenever `isLost` says so. */
function forgetfulStore(isLost: (keys: readonly string[]) => boolean, isDown = () => false) {
  return (metaStore: MetaStore): MetaStore =>
    new Proxy(metaStore, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name === 'find' && isDown())
          return () => Promise.reject(new StoreError('ServiceUnavailable', 'down'));
        if (name !== 'transact') return value.bind(target);
        return async (...inputs: Parameters<MetaStore['transact']>) => {
          const result = await target.transact(...inputs);
          const keys = (inputs[0].puts ?? []).map((put) => put.key);
          if (isLost(keys)) throw new StoreError('ServiceUnavailable', 'the answer was lost');
          return result;
        };
      }
    });
}

t.test('nothing is appended to an extent whose seal may have been decided', async (t) => {
  for (const lostCount of [1, 1000]) {
    let restCount = 0;
    const isDown = () => restCount > 1;
    const wrapMetaStore = forgetfulStore((keys) => {
      const isSeal = keys.length === 1 && keys[0]!.startsWith('streams/extent/');
      return isSeal && restCount-- > 0;
    }, isDown);
    await using fixture = await StreamFixture.start({ extentBytesMax: 8000, wrapMetaStore });
    const log = await openLog(fixture, 1);
    const blob = await openLog(fixture, 1, OTHER);
    await fixture.until(appendBlocks(log, sequences(1, 40)));
    const stored = [...(await fixture.until(appendBlocks(blob, [100])))];
    await fixture.until(fixture.layer.sweep());
    const [first] = log.extents();
    restCount = lostCount;
    await codeOf(fixture.until(log.moveExtents([first!.extentId], blob)));
    const appending = appendBlocks(blob, [101]);
    if ((await codeOf(fixture.until(appending))) === 'none') stored.push(...(await appending));
    restCount = 0;
    // The manager's copy of the tables may be old; refused once, it is read again.
    const again = await openLog(fixture, 2, OTHER).catch(() => openLog(fixture, 3, OTHER));
    const found = await fixture.until(scanSequences(again));
    for (const { sequence } of stored) t.ok(found.includes(sequence), `${sequence} with ${lostCount} lost`);
    await fixture.until(fixture.layer.sweep());
    await fixture.until(checkReadable(fixture.layer, stored));
  }
});

t.test('a move whose answer got lost can be repeated', async (t) => {
  let isLost = false;
  const wrapMetaStore = forgetfulStore((keys) => {
    const isMove = keys.length === 2 && keys.every((key) => key.startsWith('streams/list/'));
    return isMove && isLost;
  });
  await using fixture = await StreamFixture.start({ extentBytesMax: 8000, wrapMetaStore });
  const log = await openLog(fixture, 1);
  const data = await openLog(fixture, 1, OTHER);
  const blocks = await fixture.until(appendBlocks(log, sequences(1, 60)));
  const moved = log
    .extents()
    .slice(0, 1)
    .map((extent) => extent.extentId);
  isLost = true;
  t.equal(await codeOf(fixture.until(log.moveExtents(moved, data))), 'ServiceUnavailable');
  isLost = false;
  await fixture.until(log.moveExtents(moved, data));
  t.same(
    data.extents().map((extent) => extent.extentId),
    moved
  );
  t.notOk(log.extents().some((extent) => moved.includes(extent.extentId)));
  await fixture.until(checkReadable(fixture.layer, blocks));
});

t.test(
  'a full extent takes no small block after its seal may have been decided and the disk was full',
  async (t) => {
    let isArmed = false;
    const wrapMetaStore = forgetfulStore((keys) => {
      const isRoll = isArmed && keys.length === 3;
      if (!isRoll) return false;
      isArmed = false;
      fixture.memoryDisk.setCapacity(22_000);
      return true;
    });
    const fixture: StreamFixture = new StreamFixture({ extentBytesMax: 20_000, wrapMetaStore });
    await fixture.open();
    const stream = await openLog(fixture, 1);
    const stored = [...(await fixture.until(appendBlocks(stream, sequences(1, 4), () => 3000)))];
    isArmed = true;
    t.equal(await codeOf(fixture.until(appendBlocks(stream, [5], () => 5000))), 'NoSpace');
    t.equal(isArmed, false);
    fixture.memoryDisk.setCapacity(10_000_000);
    stored.push(...(await fixture.until(appendBlocks(stream, [6]))));
    const again = await openLog(fixture, 2);
    t.same(
      await fixture.until(scanSequences(again)),
      stored.map((block) => block.sequence)
    );
    await fixture.until(fixture.layer.sweep());
    await fixture.until(checkReadable(fixture.layer, stored));
    await fixture.close();
  }
);

t.test('space that something else frees is found by the next append', async (t) => {
  await using fixture = await StreamFixture.start({ extentBytesMax: 20_000, capacityBytes: 1_000_000 });
  const stream = await openLog(fixture, 1);
  await fixture.until(appendBlocks(stream, [1]));
  fixture.memoryDisk.setCapacity(4300);
  await fixture.layer.summary();
  t.equal(await codeOf(fixture.until(appendBlocks(stream, [2]))), 'NoSpace');
  t.equal(fixture.layer.isFull(), true);
  fixture.memoryDisk.setCapacity(1_000_000);
  t.equal(await codeOf(fixture.until(appendBlocks(stream, [3]))), 'none');
  t.equal(fixture.layer.isFull(), false);
});

t.test(
  'a block that not every replica has is neither acknowledged nor refused when the disks are full',
  async (t) => {
    await using fixture = await StreamFixture.start({ folderCount: 3 });
    const stream = await openLog(fixture, 1);
    await fixture.until(appendBlocks(stream, [1]));
    fixture.disk.rules.add({ on: 'write', path: '/n0/extents/*', fail: 'ENOSPC', times: 1 });
    fixture.disk.rules.add({ on: 'create', path: '**.extent', fail: 'ENOSPC' });
    t.equal(await codeOf(fixture.until(appendBlocks(stream, [2]))), 'ReplicaUnavailable');
    fixture.disk.rules.clear();
    const again = await openLog(fixture, 2);
    t.same(await fixture.until(scanSequences(again)), [1, 2], 'it happened to be stored');
  }
);

t.test('an extent that is listed and lost everywhere is damage, and not one to look up again', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 2, extentBytesMax: 8000 });
  const stream = await openLog(fixture, 1);
  const blocks = await fixture.until(appendBlocks(stream, sequences(1, 40)));
  await fixture.until(fixture.layer.sweep());
  await fixture.close();
  for (const index of [0, 1]) {
    const [path] = await fixture.extentPaths(index);
    await fixture.memoryDisk.remove(path!);
  }
  await fixture.open();
  const again = await openLog(fixture, 2);
  t.equal(await codeOf(fixture.until(checkReadable(fixture.layer, blocks.slice(0, 1)))), 'ChecksumMismatch');
  t.equal(await codeOf(fixture.until(scanSequences(again))), 'ChecksumMismatch', 'a scan does not skip it');
  await fixture.until(checkReadable(fixture.layer, blocks.slice(-5)));
  await fixture.until(appendBlocks(again, [41]));
});

t.test('one bad read of the only replica is read again', async (t) => {
  await using fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  const blocks = await fixture.until(appendBlocks(stream, [1]));
  for (const fail of ['flip', 'EIO'] as const) {
    fixture.disk.rules.add({ on: 'read', path: '**.extent', fail, times: 1 });
    t.equal(await codeOf(fixture.until(checkReadable(fixture.layer, blocks))), 'none', fail);
  }
});

t.test('one bad read while the only replica recovers cuts nothing that was acknowledged', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    await using fixture = await StreamFixture.start({ seed });
    const stream = await openLog(fixture, 1);
    await fixture.until(appendBlocks(stream, sequences(1, 5)));
    await fixture.crash();
    fixture.disk.rules.add({ on: 'read', path: '**.extent', fail: 'flip', afterCount: 1, times: 1 });
    const again = await openLog(fixture, 2);
    fixture.disk.rules.clear();
    t.same(await fixture.until(scanSequences(again)), sequences(1, 5), `seed ${seed}`);
    t.equal(fixture.eventsOf('extent-sealed-damaged').length, 0);
  }
});

t.test('nothing is deleted by tables that may be old', async (t) => {
  let isArmed = false;
  let isDown = false;
  const wrapMetaStore = forgetfulStore(
    (keys) => {
      const isAllocation =
        isArmed && keys.length === 2 && keys.some((key) => key.startsWith('streams/extent/'));
      if (!isAllocation) return false;
      isArmed = false;
      isDown = true;
      return true;
    },
    () => isDown
  );
  await using fixture = await StreamFixture.start({ wrapMetaStore });
  const stream = await openLog(fixture, 1);
  isArmed = true;
  const appending = codeOf(appendBlocks(stream, [1]));
  await fixture.clock.advance(1);
  t.ok(isDown, 'the answer to the allocation was lost');
  // Whatever becomes of the call, the extent is in the list.
  const sweeping = codeOf(fixture.layer.sweep());
  await fixture.clock.advance(1);
  isDown = false;
  await fixture.until(sweeping);
  await fixture.until(appending);
  const again = await openLog(fixture, 2);
  const files = (await fixture.extentPaths(0)).map((path) => Number(/(\d+)\.extent$/.exec(path)![1]));
  for (const { extentId } of again.extents()) t.ok(files.includes(extentId), `extent ${extentId} is there`);
  t.ok(again.extents().length > 0);
  await fixture.until(appendBlocks(again, [2]));
});
