import t from 'tap';
import { FaultyDisk } from './faulty-disk.js';
import { MemoryDisk } from './memory-disk.js';
import { seededRandom } from './seeded-random.js';
import { type DiskFixture, diskConformance } from './testing/disk-conformance.js';

t.test('conforms', async (t) => diskConformance(t, openFixture));

t.test('conforms when wrapped without fault rules', async (t) => {
  diskConformance(t, async () => {
    const fixture = await openFixture();
    return { ...fixture, disk: new FaultyDisk(fixture.disk, { random: seededRandom(1) }) };
  });
});

t.test('loses in a crash every byte that was not synced', async (t) => {
  const disk = await emptyDisk();
  const file = await disk.createFile('/d/f');
  await file.write([Buffer.from('synced')], 0);
  await file.sync();
  await disk.syncDirectory('/d');
  await file.write([Buffer.from('SYN')], 0);
  await file.truncate(2);
  await file.truncate(4);
  await file.write([Buffer.from('more')], 10);
  const left = disk.snapshotAfterCrash();
  t.same(text(await left.findBytes('/d/f')), 'synced');
  t.equal((await disk.findBytes('/d/f'))?.byteLength, 14, 'the disk itself goes on');
  disk.crash();
  t.same(text(await disk.findBytes('/d/f')), 'synced');
  const uses: (() => Promise<unknown>)[] = [
    () => file.sync(),
    () => file.read(new Uint8Array(1), 0),
    () => file.write([], 0)
  ];
  for (const use of uses) await t.rejects(use(), { code: 'DiskFailed' }, 'a file that was open is dead');
});

t.test('loses in a crash every name whose directory was not synced', async (t) => {
  const disk = await emptyDisk();
  const write = async (path: string, content: string): Promise<void> => {
    const file = await disk.createFile(path);
    await file.write([Buffer.from(content)], 0);
    await file.sync();
    await file.close();
  };
  await write('/d/kept', '1');
  await write('/d/renamed', '2');
  await write('/d/removed', '3');
  await disk.syncDirectory('/d');
  await write('/d/new', '4');
  await disk.rename('/d/renamed', '/d/kept');
  await disk.remove('/d/removed');
  const before = disk.snapshotAfterCrash();
  t.same(await before.list('/d'), ['kept', 'removed', 'renamed']);
  t.equal(text(await before.findBytes('/d/kept')), '1');
  await disk.syncDirectory('/d');
  disk.crash();
  t.same(await disk.list('/d'), ['kept', 'new']);
  t.equal(text(await disk.findBytes('/d/kept')), '2');
});

t.test('keeps through a crash what is durable by contract', async (t) => {
  const disk = await emptyDisk();
  await disk.writeBytes('/d/small', Buffer.from('one'));
  await disk.writeBytes('/d/small', Buffer.from('two'));
  await disk.createDirectory('/d/x/y');
  disk.crash();
  t.same(await disk.list('/d'), ['small', 'x']);
  t.same(await disk.list('/d/x'), ['y']);
  t.equal(text(await disk.findBytes('/d/small')), 'two');
});

t.test('brings nothing back that moved or went before a durable change of the same name', async (t) => {
  const disk = await emptyDisk();
  await disk.createDirectory('/e');
  await (await disk.createFile('/d/f')).close();
  await disk.rename('/d/f', '/e/f');
  await disk.syncDirectory('/e');
  await disk.createDirectory('/d/tree');
  await (await disk.createFile('/d/tree/g')).close();
  await disk.removeDirectory('/d/tree');
  await disk.syncDirectory('/d');
  for (let seed = 0; seed < 20; seed++) {
    const left = disk.snapshotAfterCrash({ random: seededRandom(seed) });
    t.same([await left.list('/d'), await left.list('/e')], [[], ['f']], `seed ${seed}`);
  }
});

t.test('keeps, drops or tears each unsynced write by the seed, and never a synced one', async (t) => {
  const seen = { kept: 0, dropped: 0, torn: 0, holes: 0 };
  for (let seed = 0; seed < 200; seed++) {
    const disk = await emptyDisk();
    const file = await disk.createFile('/d/f');
    await disk.syncDirectory('/d');
    await file.write([Buffer.alloc(100, 1)], 0);
    await file.sync();
    await file.write([Buffer.alloc(100, 2)], 100);
    await file.write([Buffer.alloc(100, 3)], 200);
    const random = (): { random: ReturnType<typeof seededRandom> } => ({ random: seededRandom(seed) });
    const left = (await disk.snapshotAfterCrash(random()).findBytes('/d/f'))!;
    t.same(left, await disk.snapshotAfterCrash(random()).findBytes('/d/f'), 'a seed replays exactly');
    t.same(left.subarray(0, 100), new Uint8Array(100).fill(1), `seed ${seed}`);
    const first = left.subarray(100, 200).filter((byte) => byte === 2).byteLength;
    const second = left.subarray(200).filter((byte) => byte === 3).byteLength;
    if (first === 100) seen.kept += 1;
    else if (first === 0) seen.dropped += 1;
    else seen.torn += 1;
    if (first < 100 && second > 0) seen.holes += 1;
  }
  for (const [fate, count] of Object.entries(seen)) t.ok(count > 20, `${fate}: ${count} of 200`);
});

t.test('keeps unsynced names up to some point of their order', async (t) => {
  const counts = new Set<number>();
  for (let seed = 0; seed < 50; seed++) {
    const disk = await emptyDisk();
    for (const name of ['a', 'b', 'c']) await (await disk.createFile(`/d/${name}`)).close();
    disk.crash({ random: seededRandom(seed) });
    const names = await disk.list('/d');
    t.same(names, ['a', 'b', 'c'].slice(0, names.length), `seed ${seed}`);
    counts.add(names.length);
  }
  t.equal(counts.size, 4);
});

t.test('writes what fits on a full disk, says NoSpace, and has room again after a removal', async (t) => {
  const disk = new MemoryDisk({ capacityBytes: 100 });
  await disk.createDirectory('/d');
  const file = await disk.createFile('/d/f');
  await file.write([Buffer.alloc(80)], 0);
  await t.rejects(file.write([Buffer.alloc(15), Buffer.alloc(15)], 80), { code: 'NoSpace' });
  t.same(await disk.space('/d'), { totalBytes: 100, freeBytes: 0 });
  await file.write([Buffer.alloc(100, 1)], 0);
  await t.rejects(disk.writeBytes('/d/g', Buffer.alloc(1)), { code: 'NoSpace' });
  t.same(await disk.list('/d'), ['f'], 'a failed replacement leaves nothing');
  await disk.remove('/d/f');
  await disk.writeBytes('/d/g', Buffer.alloc(100));
  disk.setCapacity(200);
  t.same(await disk.space('/d'), { totalBytes: 200, freeBytes: 100 });
});

async function emptyDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.createDirectory('/d');
  return disk;
}

async function openFixture(): Promise<DiskFixture> {
  return { disk: await emptyDisk(), directory: '/d', [Symbol.asyncDispose]: async () => undefined };
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString();
}
