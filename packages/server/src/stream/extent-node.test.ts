import t from 'tap';
import { extentId, faultDomain, isStoreError, memberId } from '../api/index.js';
import { type Disk, FaultyDisk, flipByte, MemoryDisk, manualClock, seededRandom } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import { ExtentNode } from './extent-node.js';
import type { ExtentNodeApi } from './extent-node-api.js';
import { appendOfOne } from './testing/append-message.js';
import { payloadOf } from './testing/payload.js';
import { slowDisk } from './testing/slow-disk.js';

const ID = extentId(1);
const DIRECTORY = '/n0';
const PATH = '/n0/0000000000000001.extent';
const FIRST = EXTENT_HEADER_BYTES;

interface NodeFixture {
  readonly memory: MemoryDisk;
  readonly disk: FaultyDisk;
  readonly node: ExtentNode;
  reopen(options?: { wrap?: (disk: Disk) => Disk }): Promise<ExtentNode>;
}

async function startNode(
  options: { seed?: number; capacityBytes?: number; openFilesMax?: number; isSlow?: boolean } = {}
): Promise<NodeFixture> {
  const random = seededRandom(options.seed ?? 1);
  const { capacityBytes, openFilesMax = 256 } = options;
  const memory = new MemoryDisk(capacityBytes === undefined ? {} : { capacityBytes });
  await memory.createDirectory(DIRECTORY);
  const disk = new FaultyDisk(memory, { random });
  const open = ({ wrap = (disk) => disk }: { wrap?: (disk: Disk) => Disk } = {}) =>
    ExtentNode.open({
      disk: wrap(options.isSlow ? slowDisk(disk, random) : disk),
      clock: manualClock(),
      directory: DIRECTORY,
      memberId: memberId('node-0'),
      faultDomain: faultDomain('rack-0'),
      findNode: () => undefined,
      openFilesMax
    });
  return { memory, disk, node: await open(), reopen: open };
}

/** A disk that asks before each write to the files that it creates. */
function withWrites(disk: FaultyDisk, ask: (offset: number) => Promise<void>): Disk {
  const createFile: Disk['createFile'] = async (path) => {
    const file = await disk.createFile(path);
    return {
      ...file,
      write: async (parts, offset) => {
        await ask(offset);
        await file.write(parts, offset);
      }
    };
  };
  const bound = (name: string | symbol): unknown => Reflect.get(disk, name).bind(disk);
  return new Proxy(disk, { get: (_target, name) => (name === 'createFile' ? createFile : bound(name)) });
}

/** Appends blocks one after the other; returns where each begins and the end. */
async function appendAll(node: ExtentNodeApi, lengths: readonly number[], epoch = 1): Promise<number[]> {
  const offsets: number[] = [];
  let offset = FIRST;
  for (const [sequence, length] of lengths.entries()) {
    const { message, end } = appendOfOne({ extentId: ID, epoch, offset, sequence, length });
    await node.append(message);
    offsets.push(offset);
    offset = end;
  }
  return [...offsets, offset];
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

t.test('an append that a freeze finds being written keeps its bytes until they are written', async (t) => {
  const { reopen, disk } = await startNode();
  let write = (): void => undefined;
  const isAsked = new Promise<void>((asked) => {
    write = asked;
  });
  let finish = (): void => undefined;
  const mayEnd = new Promise<void>((end) => {
    finish = end;
  });
  const node = await reopen({
    wrap: () =>
      withWrites(disk, async (offset) => {
        if (offset < FIRST) return;
        write();
        await mayEnd;
      })
  });
  await node.createExtent({ extentId: ID, epoch: 1 });
  const { message, end } = appendOfOne({ extentId: ID, epoch: 1, offset: FIRST, sequence: 0, length: 100 });
  // Whoever lent the bytes uses them for something else once the append has ended.
  const appended = codeOf(node.append(message)).finally(() => {
    for (const part of message.parts) part.fill(0xdd);
  });
  await isAsked;
  const frozen = node.freeze({ extentId: ID, epoch: 2 });
  await new Promise((resolve) => setImmediate(resolve));
  finish();
  t.equal(await appended, 'ReplicaUnavailable');
  t.same(await frozen, { state: 'frozen', length: end });
  const read = await node.readBlock({ extentId: ID, blockOffset: FIRST, start: 0, length: 100 });
  t.ok(payloadOf(0, 100).equals(read));
});

t.test('what was appended can be read and scanned', async (t) => {
  const { node } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const lengths = [10, 70_000, 4096, 300_000];
  const offsets = await appendAll(node, lengths);
  const limit = offsets.at(-1)!;
  for (const [index, length] of lengths.entries()) {
    const range = { extentId: ID, blockOffset: offsets[index]!, start: 3, length };
    t.ok(
      payloadOf(index, length)
        .subarray(3)
        .equals(await node.readBlock(range))
    );
  }
  const found: number[] = [];
  for (let offset = FIRST; offset < limit; ) {
    const page = await node.scan({ extentId: ID, offset, limit, pageBytes: 1 });
    t.equal(page.isDamaged, false);
    for (const block of page.blocks) {
      found.push(block.sequence);
      t.ok(payloadOf(block.sequence, block.payloadLength).subarray(0, 65_536).equals(block.head));
    }
    offset = page.nextOffset;
  }
  t.same(found, [0, 1, 2, 3]);
});

t.test('an append is refused unless epoch, state and offset are right', async (t) => {
  const { node } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 5 });
  const append = (epoch: number, offset: number, id = ID) =>
    codeOf(node.append(appendOfOne({ extentId: id, epoch, offset, sequence: 1, length: 8 }).message));
  t.equal(await append(4, FIRST), 'StaleEpoch');
  t.equal(await append(6, FIRST), 'ExtentSealed', 'an epoch that did not create it');
  t.equal(await append(5, FIRST + 8), 'ExtentSealed', 'a gap');
  t.equal(await append(5, FIRST, extentId(2)), 'ExtentNotFound');
  t.equal(await append(5, FIRST), 'none');
  t.equal(await append(5, FIRST), 'ExtentSealed', 'a repetition');
  await node.freeze({ extentId: ID, epoch: 5 });
  t.equal(await append(5, FIRST + 64), 'ExtentSealed');
  await node.freeze({ extentId: ID, epoch: 7 });
  t.equal(await append(5, FIRST + 64), 'StaleEpoch');
});

t.test('bytes that are not blocks made for their place are refused before any is written', async (t) => {
  const { node, memory } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const { message } = appendOfOne({ extentId: ID, epoch: 1, offset: FIRST, sequence: 1, length: 50 });
  const whole = Buffer.concat(message.parts);
  const rows = [
    [],
    [Buffer.alloc(64)],
    [whole.subarray(0, whole.byteLength - 8)],
    [whole, whole],
    appendOfOne({ extentId: ID, epoch: 1, offset: FIRST + 8, sequence: 1, length: 50 }).message.parts
  ];
  for (const parts of rows) t.equal(await codeOf(node.append({ ...message, parts })), 'InvalidArgument');
  const file = await memory.findFile(PATH);
  t.equal(await file!.size(), FIRST);
});

t.test('appends that wait together share one sync, and durability os waits for none', async (t) => {
  const { node, disk } = await startNode({ isSlow: true });
  await node.createExtent({ extentId: ID, epoch: 1 });
  let syncCount = 0;
  const findFault = disk.rules.findFault.bind(disk.rules);
  disk.rules.findFault = (operation, path) => {
    if (operation === 'sync') syncCount += 1;
    return findFault(operation, path);
  };
  let offset = FIRST;
  const appendMany = async (durability: 'sync' | 'os'): Promise<void> => {
    const appends: Promise<void>[] = [];
    for (let sequence = 0; sequence < 100; sequence++) {
      const next = appendOfOne({ extentId: ID, epoch: 1, offset, sequence, length: 100, durability });
      appends.push(node.append(next.message));
      offset = next.end;
    }
    await Promise.all(appends);
  };
  await appendMany('sync');
  t.ok(syncCount >= 1 && syncCount <= 3, `${syncCount} syncs`);
  syncCount = 0;
  await appendMany('os');
  t.equal(syncCount, 0);
});

t.test('an append that was acknowledged survives a power cut', async (t) => {
  for (let seed = 0; seed < 100; seed++) {
    const { node, memory, reopen } = await startNode({ seed, isSlow: true });
    await node.createExtent({ extentId: ID, epoch: 1 });
    const random = seededRandom(seed);
    let offset = FIRST;
    let acknowledged = FIRST;
    for (let sequence = 0; sequence < 30; sequence++) {
      const place = { extentId: ID, epoch: 1, offset, durableLength: acknowledged };
      const next = appendOfOne({ ...place, sequence, length: 1 + (sequence % 200) });
      void node.append(next.message).then(
        () => {
          acknowledged = Math.max(acknowledged, next.end);
        },
        () => undefined
      );
      offset = next.end;
      if (random.fraction() < 0.5) await new Promise((resolve) => setImmediate(resolve));
    }
    const sure = acknowledged;
    memory.crash({ random });
    const answer = await (await reopen()).freeze({ extentId: ID, epoch: 2 });
    if (answer.state !== 'frozen') t.fail(`seed ${seed}: ${answer.state}`);
    else if (answer.length < sure || answer.length > offset) t.fail(`seed ${seed}: ${answer.length}`);
  }
  t.pass('all seeds');
});

t.test('a freeze between appends leaves no append acknowledged that its length does not hold', async (t) => {
  for (let seed = 0; seed < 200; seed++) {
    const { node } = await startNode({ seed, isSlow: true });
    await node.createExtent({ extentId: ID, epoch: 1 });
    const random = seededRandom(seed);
    const freezeAt = Math.floor(random.fraction() * 20);
    let offset = FIRST;
    let isFrozen = false;
    let acknowledged = FIRST;
    let answer: Promise<{ length: number }> | undefined;
    for (let sequence = 0; sequence < 20; sequence++) {
      if (sequence === freezeAt) {
        answer = node.freeze({ extentId: ID, epoch: 2 }) as Promise<{ length: number }>;
        isFrozen = true;
      }
      const next = appendOfOne({ extentId: ID, epoch: 1, offset, sequence, length: 30 });
      const wasFrozen = isFrozen;
      void node.append(next.message).then(
        () => {
          if (wasFrozen) t.fail(`seed ${seed}: accepted after the freeze`);
          acknowledged = Math.max(acknowledged, next.end);
        },
        () => undefined
      );
      offset = next.end;
      if (random.fraction() < 0.4) await new Promise((resolve) => setImmediate(resolve));
    }
    const { length } = await answer!;
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (acknowledged > length) t.fail(`seed ${seed}: ${acknowledged} acknowledged of ${length}`);
    const again = await node.freeze({ extentId: ID, epoch: 2 });
    t.match(again, { state: 'frozen', length }, `seed ${seed}`);
  }
});

t.test('a smaller epoch can neither freeze nor seal, also after a restart', async (t) => {
  const { node, reopen } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  await node.freeze({ extentId: ID, epoch: 9 });
  for (const now of [node, await reopen()]) {
    t.equal(await codeOf(now.freeze({ extentId: ID, epoch: 8 })), 'StaleEpoch');
    const seal = { extentId: ID, epoch: 8, length: FIRST, acceptsDamage: false };
    t.equal(await codeOf(now.seal(seal)), 'StaleEpoch');
  }
});

t.test('a sealed length never changes', async (t) => {
  const { node, reopen } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const [, second, end] = (await appendAll(node, [10, 20])) as [number, number, number];
  const seal = { extentId: ID, epoch: 2, length: end, acceptsDamage: false };
  t.same(await node.seal(seal), { isComplete: true });
  for (const now of [node, await reopen()]) {
    t.same(await now.seal(seal), { isComplete: true }, 'repeated');
    t.equal(await codeOf(now.seal({ ...seal, length: second })), 'InternalError');
    t.equal(await codeOf(now.seal({ ...seal, length: second, acceptsDamage: true })), 'InternalError');
    t.same(await now.freeze({ extentId: ID, epoch: 3 }), { state: 'sealed', length: end });
    const rebuild = {
      extentId: ID,
      epoch: 3,
      length: second,
      sources: [],
      managerEpoch: 1,
      bytesPerSecond: 1e9
    };
    t.equal(await codeOf(now.rebuild(rebuild)), 'InternalError');
  }
});

t.test('a longer replica is cut when sealed, a shorter one says that it is incomplete', async (t) => {
  const { node, memory } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const [, second, end] = (await appendAll(node, [10, 20])) as [number, number, number];
  const seal = { extentId: ID, epoch: 2, acceptsDamage: false };
  t.same(await node.seal({ ...seal, length: end + 64 }), { isComplete: false });
  t.same(await node.seal({ ...seal, length: second }), { isComplete: true });
  t.equal(await (await memory.findFile(PATH))!.size(), second);
});

t.test('a replica damaged while the node was down is neither short nor complete', async (t) => {
  const { node, disk, reopen } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const [, second, end] = (await appendAll(node, [10, 20, 30])) as [number, number, number, number];
  await node.close();
  await flipByte(disk, PATH, second + 20);
  const reopened = await reopen();
  const structuralLength = (await (await disk.findFile(PATH))!.size()) as number;
  t.same(await reopened.freeze({ extentId: ID, epoch: 2 }), { state: 'damaged', structuralLength });
  const seal = { extentId: ID, epoch: 2, length: structuralLength };
  t.ok(end < structuralLength);
  t.same(await reopened.seal({ ...seal, acceptsDamage: false }), { isComplete: false });
  t.same(await reopened.seal({ ...seal, acceptsDamage: true }), { isComplete: true });
});

t.test('damage of the last block is noticed after a clean shutdown and in doubt after a crash', async (t) => {
  for (const isClean of [true, false]) {
    const { node, disk, reopen } = await startNode();
    await node.createExtent({ extentId: ID, epoch: 1 });
    const [, second, end] = (await appendAll(node, [10, 20])) as [number, number, number];
    if (isClean) await node.close();
    await flipByte(disk, PATH, second + 5);
    const answer = await (await reopen()).freeze({ extentId: ID, epoch: 2 });
    const damaged = { state: 'damaged', structuralLength: end };
    const inDoubt = { state: 'frozen', length: second, isUncertain: true };
    t.same(answer, isClean ? damaged : inDoubt);
    const again = await (await reopen()).freeze({ extentId: ID, epoch: 3 });
    t.same(again, inDoubt, 'nor is it certain when asked again');
  }
});

t.test('a reopened extent takes no appends, since its writer may have sent more before', async (t) => {
  const { node, reopen } = await startNode();
  await node.createExtent({ extentId: ID, epoch: 1 });
  const [, end] = (await appendAll(node, [10])) as [number, number];
  await node.close();
  const { message } = appendOfOne({ extentId: ID, epoch: 1, offset: end, sequence: 1, length: 5 });
  t.equal(await codeOf((await reopen()).append(message)), 'ExtentSealed');
});

t.test('a failed write or sync ends appending, and the freeze answers what was acknowledged', async (t) => {
  for (const on of ['write', 'sync'] as const) {
    for (const fail of ['EIO', 'ENOSPC'] as const) {
      const { node, disk } = await startNode();
      await node.createExtent({ extentId: ID, epoch: 1 });
      const [, end] = (await appendAll(node, [10])) as [number, number];
      disk.rules.add({ on, path: '**.extent', fail, times: 1 });
      const next = appendOfOne({ extentId: ID, epoch: 1, offset: end, sequence: 1, length: 5000 });
      const after = appendOfOne({ extentId: ID, epoch: 1, offset: next.end, sequence: 2, length: 5 });
      const codes = await Promise.all([
        codeOf(node.append(next.message)),
        codeOf(node.append(after.message))
      ]);
      const code = fail === 'EIO' ? 'DiskFailed' : 'NoSpace';
      t.same(codes, [code, code], `${on} ${fail}`);
      t.not(await codeOf(node.append(next.message)), 'none', 'nothing is retried');
      const range = { extentId: ID, blockOffset: FIRST, start: 0, length: 10 };
      t.ok(payloadOf(0, 10).equals(await node.readBlock(range)), 'what was there stays readable');
      t.same(await node.freeze({ extentId: ID, epoch: 1 }), { state: 'frozen', length: end });
      const seal = { extentId: ID, epoch: 1, length: end, acceptsDamage: false };
      t.same(await node.seal(seal), { isComplete: true });
      t.equal(await (await disk.findFile(PATH))!.size(), end);
    }
  }
});

t.test('a disk that fills up refuses before a byte is accepted', async (t) => {
  const { node, memory } = await startNode({ capacityBytes: 100_000 });
  await node.createExtent({ extentId: ID, epoch: 1 });
  let offset = FIRST;
  let sequence = 0;
  let code = 'none';
  for (; code === 'none' && sequence < 100; sequence++) {
    const next = appendOfOne({ extentId: ID, epoch: 1, offset, sequence, length: 4000 });
    code = await codeOf(node.append(next.message));
    if (code === 'none') offset = next.end;
  }
  t.equal(code, 'NoSpace');
  t.equal(await (await memory.findFile(PATH))!.size(), offset);
  t.ok(offset > 90_000, 'extents that exist may grow past the watermark');
  t.equal(await codeOf(node.createExtent({ extentId: extentId(2), epoch: 1 })), 'NoSpace');
  t.equal((await node.status()).room, 'frees');
  await node.deleteExtents({ extentIds: [ID], managerEpoch: 1 });
  t.equal(await codeOf(node.createExtent({ extentId: extentId(2), epoch: 1 })), 'none');
});

t.test('few files are open, however many extents are read', async (t) => {
  const { node, disk } = await startNode({ openFilesMax: 3 });
  let openCount = 0;
  let openCountMax = 0;
  const findFile = disk.findFile.bind(disk);
  disk.findFile = async (path) => {
    const file = await findFile(path);
    openCount += 1;
    openCountMax = Math.max(openCountMax, openCount);
    const close = file!.close.bind(file);
    file!.close = async () => {
      openCount -= 1;
      await close();
    };
    return file;
  };
  const ids = Array.from({ length: 20 }, (_, index) => extentId(index + 1));
  for (const id of ids) {
    await node.createExtent({ extentId: id, epoch: 1 });
    const next = appendOfOne({ extentId: id, epoch: 1, offset: FIRST, sequence: 1, length: 9 });
    await node.append(next.message);
    await node.seal({ extentId: id, epoch: 1, length: next.end, acceptsDamage: false });
  }
  for (let round = 0; round < 3; round++) {
    for (const id of ids) await node.readBlock({ extentId: id, blockOffset: FIRST, start: 0, length: 9 });
  }
  t.ok(openCountMax <= 4, `${openCountMax} files`);
  await node.close();
  t.equal(openCount, 0);
});

t.test('extents are listed by pages and deleted idempotently', async (t) => {
  const { node, reopen } = await startNode();
  for (const id of [30, 4, 200]) await node.createExtent({ extentId: extentId(id), epoch: 1 });
  t.same(await node.list({ limit: 2 }), [4, 30]);
  t.same(await node.list({ after: extentId(30), limit: 2 }), [200]);
  await node.deleteExtents({ extentIds: [extentId(30), extentId(31)], managerEpoch: 1 });
  await node.deleteExtents({ extentIds: [extentId(30)], managerEpoch: 1 });
  t.same(await node.list({ limit: 9 }), [4, 200]);
  t.same(await (await reopen()).list({ limit: 9 }), [4, 200]);
  t.equal(
    await codeOf(node.readBlock({ extentId: extentId(30), blockOffset: FIRST, start: 0, length: 1 })),
    'ExtentNotFound'
  );
});
