import t from 'tap';
import { isStoreError, LIMITS, StoreError } from '../api/index.js';
import type { MetaStore } from '../coordination/index.js';
import { flipByte } from '../platform/index.js';
import type { OwnedStream } from './stream-layer.js';
import {
  type AppendedBlock,
  appendBlocks,
  checkReadable,
  scanSequences,
  sequences
} from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

async function openLog(fixture: StreamFixture, epoch: number): Promise<OwnedStream> {
  return await fixture.until(fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' }));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

/** Every replica file of every node, by extent. */
async function filesByExtent(fixture: StreamFixture, count: number): Promise<Map<string, Uint8Array[]>> {
  const files = new Map<string, Uint8Array[]>();
  for (let index = 0; index < count; index++) {
    for (const path of await fixture.extentPaths(index)) {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const bytes = (await fixture.memoryDisk.findBytes(path))!;
      files.set(name, [...(files.get(name) ?? []), bytes]);
    }
  }
  return files;
}

t.test('a failing disk costs a pause and no error, and every block is there once and in order', async (t) => {
  for (const on of ['write', 'sync'] as const) {
    for (const fail of ['EIO', 'ENOSPC', 'hang'] as const) {
      for (const folderCount of [1, 3]) {
        // A single replica whose disk hangs has nowhere to go on.
        if (fail === 'hang' && folderCount === 1) continue;
        await using fixture = await StreamFixture.start({ folderCount, isSlow: true });
        const stream = await openLog(fixture, 1);
        const first = await fixture.until(appendBlocks(stream, sequences(1, 20)));
        fixture.disk.rules.add({ on, path: '/n0/extents/*', fail, times: 1, afterCount: 2 });
        const appending: Promise<readonly AppendedBlock[]>[] = [];
        for (const sequence of sequences(21, 60)) {
          appending.push(appendBlocks(stream, [sequence]));
          await new Promise((resolve) => setImmediate(resolve));
        }
        const rest = (await fixture.until(Promise.all(appending))).flat();
        const name = `${on} ${fail} with ${folderCount}`;
        t.equal(fixture.eventsOf('extent-replaced').length, 1, name);
        await checkReadable(fixture.layer, [...first, ...rest]);
        fixture.disk.rules.clear();
        const again = await openLog(fixture, 2);
        t.same(await scanSequences(again), sequences(1, 80), name);
        const offsets = rest.map(({ location }) => location.extentId * 1e9 + location.offset);
        t.same(
          offsets,
          [...offsets].sort((a, b) => a - b),
          `${name}: locations follow the order of the calls`
        );
      }
    }
  }
});

t.test('with three nodes one may be lost for good, and comes back to the sealed lengths', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 3, extentBytesMax: 20_000 });
  const stream = await openLog(fixture, 1);
  const blocks = [...(await fixture.until(appendBlocks(stream, sequences(1, 30), () => 1000)))];
  const lost = fixture.disk.rules.add({ on: 'any', path: '/n1/**', fail: 'EIO' });
  blocks.push(...(await fixture.until(appendBlocks(stream, sequences(31, 70), () => 1000))));
  await fixture.until(checkReadable(fixture.layer, blocks));
  t.ok(fixture.eventsOf('extent-under-replicated').length > 0);
  const again = await openLog(fixture, 2);
  t.same(await fixture.until(scanSequences(again)), sequences(1, 100));

  lost[Symbol.dispose]();
  await fixture.restart();
  await fixture.until(fixture.layer.sweep());
  for (const [name, files] of await filesByExtent(fixture, 3)) {
    const bodies = files.map((bytes) => Buffer.from(bytes.subarray(4096)));
    t.ok(
      bodies.every((body) => body.equals(bodies[0]!)),
      `${name}: all replicas are the same`
    );
  }
  // Now any other may be lost.
  fixture.disk.rules.add({ on: 'any', path: '/n0/**', fail: 'EIO' });
  fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'EIO' });
  const onNode1 = (await fixture.extentPaths(1)).map((path) => Number(/(\d+)\.extent/.exec(path)![1]));
  const there = blocks.filter((block) => onNode1.includes(block.location.extentId));
  t.ok(there.length >= 30);
  await fixture.until(checkReadable(fixture.layer, there));
});

t.test('a disk that hangs delays appends by one deadline', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 3 });
  const stream = await openLog(fixture, 1);
  await fixture.until(appendBlocks(stream, [1]));
  fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'hang' });
  const startMs = fixture.clock.monotonicMs();
  const appending = appendBlocks(stream, sequences(2, 10));
  while (stream.extents().length < 2 || stream.position().offset === 4096) {
    await fixture.clock.advance(100);
    if (fixture.clock.monotonicMs() - startMs > 60_000) break;
  }
  await appending;
  const tookMs = fixture.clock.monotonicMs() - startMs;
  // The append, and the creation of the next extent: freezing waits only for stragglers.
  t.ok(tookMs < 2.5 * LIMITS.appendTimeoutMs, `${tookMs} ms`);
  fixture.disk.rules.clear();
});

t.test('a folder that is missing does not stop the others, and catches up when it is back', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 3, extentBytesMax: 20_000 });
  const stream = await openLog(fixture, 1);
  const blocks = [...(await fixture.until(appendBlocks(stream, sequences(1, 10), () => 1000)))];
  await fixture.close();
  for (const [from, to] of [
    ['/n1', '/away'],
    ['/away', '/n1']
  ] as const) {
    await fixture.memoryDisk.createDirectory(`${to}/extents`);
    for (const name of await fixture.memoryDisk.list(`${from}/extents`)) {
      await fixture.memoryDisk.rename(`${from}/extents/${name}`, `${to}/extents/${name}`);
    }
    await fixture.memoryDisk.rename(`${from}/member-id`, `${to}/member-id`);
    await fixture.memoryDisk.removeDirectory(from);
    if (to === '/n1') break;
    await fixture.open();
    t.match(fixture.eventsOf('node-unavailable'), [{ memberId: 'node-1', directory: '/n1' }]);
    t.same(await fixture.memoryDisk.list('/n1'), [], 'a lost disk is not replaced by an empty folder');
    t.equal((await fixture.layer.summary()).length, 2);
    const again = await openLog(fixture, 2);
    t.same(await scanSequences(again), sequences(1, 10));
    blocks.push(...(await fixture.until(appendBlocks(again, sequences(11, 50), () => 1000))));
    await checkReadable(fixture.layer, blocks);
  }
  // Without a restart: the next sweep finds the folder.
  await fixture.until(fixture.layer.sweep());
  t.equal((await fixture.layer.summary()).length, 3);
  const again = await openLog(fixture, 3);
  t.same(await scanSequences(again), sequences(1, 60));
  fixture.disk.rules.add({ on: 'any', path: '/n0/**', fail: 'EIO' });
  fixture.disk.rules.add({ on: 'any', path: '/n2/**', fail: 'EIO' });
  await fixture.until(checkReadable(fixture.layer, blocks.slice(0, 10)));
});

t.test('a folder that is back is opened once, however many look for it', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 2 });
  await fixture.close();
  const away = fixture.disk.rules.add({ on: 'any', path: '/n1/**', fail: 'EIO' });
  await fixture.open();
  await fixture.until(fixture.layer.sweep().catch(() => undefined));
  t.equal((await fixture.layer.summary()).length, 1);
  away[Symbol.dispose]();
  let listCount = 0;
  const { rules } = fixture.disk;
  const findFault = rules.findFault.bind(rules);
  rules.findFault = (operation, path) => {
    if (operation === 'list' && path === '/n1/extents') listCount += 1;
    return findFault(operation, path);
  };
  await fixture.until(Promise.all([fixture.layer.sweep(), fixture.layer.sweep()]));
  t.equal((await fixture.layer.summary()).length, 2);
  t.equal(listCount, 1);
});

t.test('the only disk hanging ends an append in bounded time, with its outcome unknown', async (t) => {
  await using fixture = await StreamFixture.start();
  const stream = await openLog(fixture, 1);
  await fixture.until(appendBlocks(stream, [1]));
  fixture.disk.rules.add({ on: 'write', path: '**.extent', fail: 'hang' });
  const startMs = fixture.clock.monotonicMs();
  t.equal(await codeOf(fixture.until(appendBlocks(stream, [2]))), 'ReplicaUnavailable');
  const tookMs = fixture.clock.monotonicMs() - startMs;
  t.ok(tookMs < 120_000, `${tookMs} ms`);
});

t.test('no folder at all is an error', async (t) => {
  const fixture = new StreamFixture({ folderCount: 2 });
  fixture.disk.rules.add({ on: 'any', path: '**', fail: 'EIO' });
  t.equal(await codeOf(fixture.open()), 'DiskFailed');
});

t.test('a bad replica is read around, and rebuilt once its extent is sealed', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 3, extentBytesMax: 20_000 });
  const stream = await openLog(fixture, 1);
  const blocks = await fixture.until(appendBlocks(stream, sequences(1, 30), () => 1000));
  const sealed = stream.extents()[0]!;
  const name = `${String(sealed.extentId).padStart(16, '0')}.extent`;
  const before = (await fixture.memoryDisk.findBytes(`/n0/extents/${name}`))!;
  for (const { location } of blocks.filter((block) => block.location.extentId === sealed.extentId)) {
    // Alternating between payload and header.
    const at = location.offset + (location.offset % 16 === 0 ? 90 : 20);
    await flipByte(fixture.memoryDisk, `/n${(location.offset / 8) % 2}/extents/${name}`, at);
  }
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture.until(fixture.layer.sweep());
  t.ok(fixture.eventsOf('replica-rebuilt').length >= 1);
  for (const index of [0, 1, 2]) {
    const after = (await fixture.memoryDisk.findBytes(`/n${index}/extents/${name}`))!;
    const isRebuilt = Buffer.from(after.subarray(4096)).equals(Buffer.from(before.subarray(4096)));
    const wasReported = fixture.events.some(
      (event) => event.type === 'replica-damaged' && event.memberId === `node-${index}`
    );
    if (wasReported) t.ok(isRebuilt, `node ${index}`);
  }
  await fixture.until(checkReadable(fixture.layer, blocks));
});

t.test('a lost file of a sealed extent is restored from the others', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 2, extentBytesMax: 20_000 });
  const stream = await openLog(fixture, 1);
  const blocks = await fixture.until(appendBlocks(stream, sequences(1, 30), () => 1000));
  await fixture.until(fixture.layer.sweep());
  await fixture.close();
  const [path] = await fixture.extentPaths(0);
  await fixture.memoryDisk.remove(path!);
  await fixture.open();
  await fixture.until(checkReadable(fixture.layer, blocks));
  await fixture.until(fixture.layer.sweep());
  t.ok(await fixture.memoryDisk.findBytes(path!), 'the file is back');
  for (const on of ['/n1/**']) fixture.disk.rules.add({ on: 'any', path: on, fail: 'EIO' });
  await fixture.until(checkReadable(fixture.layer, blocks.slice(0, 5)));
});

t.test('bytes that are bad everywhere are an error, and never other bytes', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 3 });
  const stream = await openLog(fixture, 1);
  const [block] = await fixture.until(appendBlocks(stream, [1]));
  const { extentId, offset: blockOffset, length } = block!.location;
  for (const index of [0, 1, 2]) {
    const [path] = await fixture.extentPaths(index);
    await flipByte(fixture.memoryDisk, path!, blockOffset + 80);
  }
  const read = fixture.layer.readBlock({ extentId, blockOffset, start: 0, length });
  t.equal(await codeOf(read), 'ChecksumMismatch');
});

t.test('a read that a cable spoils once is read again elsewhere', async (t) => {
  await using fixture = await StreamFixture.start({ folderCount: 2 });
  const stream = await openLog(fixture, 1);
  const blocks = await fixture.until(appendBlocks(stream, sequences(1, 20)));
  fixture.disk.rules.add({ on: 'read', path: '/n0/**', fail: 'flip', chance: 0.5 });
  for (let round = 0; round < 10; round++) await fixture.until(checkReadable(fixture.layer, blocks));
  t.pass('all rounds');
});

t.test('a full store refuses appends, keeps what it has, and goes on when space is freed', async (t) => {
  for (const folderCount of [1, 3]) {
    const capacityBytes = folderCount * 200_000;
    await using fixture = await StreamFixture.start({ folderCount, capacityBytes, extentBytesMax: 20_000 });
    const stream = await openLog(fixture, 1);
    const stored: AppendedBlock[] = [];
    let code = 'none';
    for (let sequence = 1; code === 'none' && sequence < 1000; sequence++) {
      const appending = appendBlocks(stream, [sequence], () => 3000);
      code = await codeOf(fixture.until(appending));
      if (code === 'none') stored.push(...(await appending));
    }
    t.equal(code, 'NoSpace');
    t.equal(fixture.layer.isFull(), true);
    t.ok(stored.length > 40);
    t.equal(await codeOf(fixture.until(appendBlocks(stream, [5000], () => 3000))), 'NoSpace', 'again');
    await fixture.until(checkReadable(fixture.layer, stored));

    const sealed = stream
      .extents()
      .filter((extent) => extent.state === 'sealed')
      .slice(0, 5);
    const released = sealed.map((extent) => extent.extentId);
    await fixture.until(stream.releaseExtents(released));
    await fixture.until(fixture.layer.sweep());
    t.equal(fixture.layer.isFull(), false);
    stored.push(...(await fixture.until(appendBlocks(stream, sequences(6000, 5), () => 3000))));
    const kept = stored.filter((block) => !released.includes(block.location.extentId));
    await fixture.until(checkReadable(fixture.layer, kept));
    const again = await openLog(fixture, 2);
    t.same(
      await fixture.until(scanSequences(again)),
      kept.map((block) => block.sequence),
      'nothing that was refused is there'
    );
  }
});

t.test('a disk that reports to be full in the middle of a write leaves everything readable', async (t) => {
  for (let seed = 0; seed < 30; seed++) {
    await using fixture = await StreamFixture.start({ seed, isSlow: true });
    const stream = await openLog(fixture, 1);
    const stored = new Map<number, AppendedBlock>();
    const refused = new Set<number>();
    fixture.disk.rules.add({ on: 'write', path: '**.extent', fail: 'ENOSPC', chance: 0.2, afterCount: 3 });
    const appends = sequences(1, 60).map(async (sequence) => {
      for (let turns = fixture.random.fraction() * 60; turns > 0; turns--) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const appending = appendBlocks(stream, [sequence]);
      const code = await codeOf(appending);
      if (code === 'none') stored.set(sequence, (await appending)[0]!);
      else if (code === 'NoSpace') refused.add(sequence);
      else t.fail(`seed ${seed}: ${code}`);
    });
    await fixture.until(Promise.all(appends));
    fixture.disk.rules.clear();
    await fixture.until(checkReadable(fixture.layer, [...stored.values()]));
    const found = await fixture.until(scanSequences(await openLog(fixture, 2)));
    t.equal(new Set(found).size, found.length, `seed ${seed}: no block twice`);
    t.same(new Set(found), new Set(stored.keys()), `seed ${seed}: exactly what was acknowledged`);
  }
});

t.test('answers of the meta store that get lost after it committed change nothing', async (t) => {
  for (let seed = 0; seed < 30; seed++) {
    let isArmed = false;
    const wrapMetaStore = (metaStore: MetaStore): MetaStore =>
      new Proxy(metaStore, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          if (name !== 'transact') return value.bind(target);
          return async (...inputs: Parameters<MetaStore['transact']>) => {
            const result = await target.transact(...inputs);
            const isLost = isArmed && fixture.random.fraction() < 0.2;
            if (isLost) throw new StoreError('ServiceUnavailable', 'the answer was lost');
            return result;
          };
        }
      });
    const fixture: StreamFixture = new StreamFixture({
      seed,
      folderCount: 3,
      extentBytesMax: 6000,
      wrapMetaStore
    });
    await fixture.open();
    const stream = await openLog(fixture, 1);
    isArmed = true;
    const blocks = await fixture.until(appendBlocks(stream, sequences(1, 100)));
    isArmed = false;
    await fixture.until(checkReadable(fixture.layer, blocks));
    const again = await openLog(fixture, 2);
    t.same(await fixture.until(scanSequences(again)), sequences(1, 100), `seed ${seed}`);
    await fixture.close();
  }
});
