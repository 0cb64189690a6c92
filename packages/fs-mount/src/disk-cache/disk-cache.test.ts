import type { ObjectHead } from '@stampede/client';
import t from 'tap';
import type { MountEvent } from '../mount-event.js';
import { pattern } from '../testing/drive.js';
import { MemoryCacheDisk } from '../testing/memory-cache-disk.js';
import { settle, VirtualClock } from '../testing/virtual-clock.js';
import { DiskCache, type DiskCacheOptions } from './disk-cache.js';
import { CELL_BYTES, SINGLE_BYTES_MAX } from './sums.js';

const MIB = 1024 * 1024;
const PATTERN = Buffer.from(pattern(24 * MIB));

interface Opened extends AsyncDisposable {
  readonly cache: DiskCache;
  readonly disk: MemoryCacheDisk;
  readonly clock: VirtualClock;
  readonly events: MountEvent[];
}

async function open(options: Partial<DiskCacheOptions> = {}, disk = new MemoryCacheDisk()): Promise<Opened> {
  const clock = new VirtualClock();
  const events: MountEvent[] = [];
  const cache = await DiskCache.open({
    disk,
    limitBytes: 64 * MIB,
    freeShareMin: 0.1,
    clock,
    onEvent: (event) => events.push(event),
    ...options
  });
  return { cache, disk, clock, events, [Symbol.asyncDispose]: () => cache.close() };
}

function version(size: number, etag = 'e1', modifiedAtMs = 1): ObjectHead {
  return {
    bucket: 'b',
    key: 'k',
    versionId: 'v',
    generation: 1,
    etag,
    size,
    modifiedAtMs,
    contentType: '',
    userMetadata: {},
    tags: {},
    attributes: {}
  };
}

function content({ size, etag }: ObjectHead): Buffer {
  const seed = etag.charCodeAt(etag.length - 1);
  return PATTERN.subarray(seed, seed + size);
}

async function fill(cache: DiskCache, head: ObjectHead): Promise<void> {
  const bytes = content(head);
  for (let offset = 0; offset < head.size; offset += MIB)
    await cache.write(head, offset, bytes.subarray(offset, offset + MIB));
}

async function isKept(cache: DiskCache, head: ObjectHead): Promise<boolean> {
  const bytes = await cache.read(head, 0, head.size);
  if (bytes && !content(head).equals(bytes)) throw new Error(`${head.etag}: other bytes than were written`);
  return bytes !== undefined;
}

for (const [name, size] of [
  ['a byte', 1],
  ['a cell', CELL_BYTES],
  ['as much as fits one cell', SINGLE_BYTES_MAX],
  ['a byte more', SINGLE_BYTES_MAX + 1],
  ['several MiB', 3 * MIB + 5]
] as const)
  t.test(`keeps a file of ${name}, also for the next mount`, async (t) => {
    const head = version(size);
    const disk = new MemoryCacheDisk();
    {
      await using opened = await open({}, disk);
      await fill(opened.cache, head);
      t.ok(await isKept(opened.cache, head));
    }
    t.equal(disk.openCount, 0, 'every file is closed');
    await using again = await open({}, disk);
    t.ok(await isKept(again.cache, head));
    t.notOk(await isKept(again.cache, version(size, 'e2')), 'not for another etag');
    t.notOk(await isKept(again.cache, version(size, 'e1', 2)), 'nor for another time');
  });

t.test('gives only what is there', async (t) => {
  await using opened = await open();
  const head = version(10 * CELL_BYTES + 7);
  const bytes = content(head);
  const part = (from: number, to: number) => bytes.subarray(from * CELL_BYTES, to * CELL_BYTES);
  await opened.cache.write(head, 2 * CELL_BYTES, part(2, 5));
  await opened.cache.write(head, 10 * CELL_BYTES, bytes.subarray(10 * CELL_BYTES));
  const read = (from: number, length: number) => opened.cache.read(head, from * CELL_BYTES, length);
  t.same(await read(2, 3 * CELL_BYTES), part(2, 5));
  t.same(await read(10, 7), bytes.subarray(10 * CELL_BYTES));
  t.equal(await read(1, 2 * CELL_BYTES), undefined);
  t.equal(await read(4, 2 * CELL_BYTES), undefined);
  t.equal(await opened.cache.openWhole(head), undefined);
  await fill(opened.cache, head);
  t.ok(await isKept(opened.cache, head));
  const whole = await opened.cache.openWhole(head);
  const copy = Buffer.alloc(head.size);
  t.equal(await whole!.read(0, copy), head.size);
  t.ok(copy.equals(bytes));
  await whole!.close();
});

t.test('gives what is at hand without waiting, from any offset on', async (t) => {
  await using opened = await open();
  const head = version(5 * CELL_BYTES + 7);
  await fill(opened.cache, head);
  const bytes = content(head);
  const places = [0, 1, 100, CELL_BYTES - 1, CELL_BYTES, 2 * CELL_BYTES, 5 * CELL_BYTES, head.size - 1];
  for (const start of places)
    for (const end of [...places, head.size].filter((place) => place > start)) {
      const into = Buffer.alloc(end - start);
      t.ok(opened.cache.readNow(head, start, into));
      t.ok(into.equals(bytes.subarray(start, end)), `[${start}, ${end})`);
    }
  opened.disk.isCold = true;
  t.notOk(opened.cache.readNow(head, 0, Buffer.alloc(10)));
  opened.disk.isCold = false;
  const [name] = [...opened.disk.files.keys()];
  opened.disk.files.get(name!)!.bytes[CELL_BYTES + 5]! ^= 1;
  t.ok(opened.cache.readNow(head, 0, Buffer.alloc(CELL_BYTES)));
  t.notOk(opened.cache.readNow(head, CELL_BYTES, Buffer.alloc(1)));
  t.same(opened.events, [{ type: 'cacheDamaged', file: name }]);
});

t.test('does not keep parts of cells', async (t) => {
  await using opened = await open();
  const head = version(8 * CELL_BYTES);
  await opened.cache.write(head, 100, content(head).subarray(100, 2 * CELL_BYTES + 50));
  t.ok(await opened.cache.read(head, CELL_BYTES, CELL_BYTES));
  t.notOk(await opened.cache.read(head, 0, CELL_BYTES));
  t.notOk(await opened.cache.read(head, 2 * CELL_BYTES, CELL_BYTES));
});

for (const size of [100, 3 * MIB])
  t.test(`drops a file of ${size} bytes of which one was changed, and takes it anew`, async (t) => {
    await using opened = await open();
    const head = version(size);
    await fill(opened.cache, head);
    const [name] = [...opened.disk.files.keys()].filter((one) => !one.endsWith('.sums'));
    opened.disk.files.get(name!)!.bytes[size >> 1]! ^= 1;
    t.notOk(await isKept(opened.cache, head));
    t.same(opened.events, [{ type: 'cacheDamaged', file: name }]);
    await settle();
    t.same([...opened.disk.files.keys()], []);
    await fill(opened.cache, head);
    t.ok(await isKept(opened.cache, head));
  });

t.test('what a mount before has left is compared before a kernel reads it', async (t) => {
  for (const size of [5 * MIB, 20 * MIB]) {
    const head = version(size);
    const disk = new MemoryCacheDisk();
    {
      await using opened = await open({}, disk);
      await fill(opened.cache, head);
    }
    {
      await using opened = await open({}, disk);
      let file = await opened.cache.openWhole(head);
      t.equal(file !== undefined, size < 16 * MIB, 'a large file is compared in the background');
      while (!file) {
        await settle();
        file = await opened.cache.openWhole(head);
      }
      await file.close();
    }
    const [name] = [...disk.files.keys()].filter((one) => !one.endsWith('.sums'));
    disk.files.get(name!)!.bytes[size - 1]! ^= 1;
    await using opened = await open({}, disk);
    t.equal(await opened.cache.openWhole(head), undefined);
    while (opened.events.length === 0) await settle();
    t.same(opened.events, [{ type: 'cacheDamaged', file: name }]);
  }
});

t.test('what was used longest ago goes first, within the limit', async (t) => {
  await using opened = await open({ limitBytes: 10 * MIB });
  const heads = ['a', 'b', 'c', 'd'].map((etag) => version(3 * MIB, etag));
  for (const head of heads.slice(0, 3)) await fill(opened.cache, head);
  t.ok(await isKept(opened.cache, heads[0]!));
  await fill(opened.cache, heads[3]!);
  const kept = [];
  for (const head of heads) kept.push(await isKept(opened.cache, head));
  t.same(kept, [true, false, true, true]);
  t.ok(opened.cache.usedBytes <= 10 * MIB);
  await settle();
  t.equal([...opened.disk.files.keys()].length, 6, 'each with its checksums');
});

t.test('a file that is larger than the limit leaves room for nothing but itself', async (t) => {
  await using opened = await open({ limitBytes: 5 * MIB });
  const head = version(8 * MIB);
  await fill(opened.cache, head);
  t.ok(opened.cache.usedBytes <= 5 * MIB);
  t.ok(await opened.cache.read(head, 0, 4 * MIB));
  t.equal(await opened.cache.openWhole(head), undefined);
});

t.test('the order of use outlives the mount', async (t) => {
  const disk = new MemoryCacheDisk();
  const heads = ['a', 'b', 'c'].map((etag) => version(3 * MIB, etag));
  {
    await using opened = await open({}, disk);
    for (const head of heads) await fill(opened.cache, head);
    await isKept(opened.cache, heads[0]!);
  }
  await using opened = await open({ limitBytes: 7 * MIB }, disk);
  const kept = [];
  for (const head of heads) kept.push(await isKept(opened.cache, head));
  t.same(kept, [true, false, true]);
});

t.test('who has a file open goes on when it is dropped', async (t) => {
  await using opened = await open({ limitBytes: 5 * MIB });
  const head = version(3 * MIB);
  await fill(opened.cache, head);
  const file = await opened.cache.openWhole(head);
  await fill(opened.cache, version(4 * MIB, 'e2'));
  t.notOk(await isKept(opened.cache, head));
  const copy = Buffer.alloc(head.size);
  await file!.read(0, copy);
  t.ok(copy.equals(content(head)));
  await file!.close();
});

t.test('what an interrupted process has left half done is cleared away', async (t) => {
  const head = version(3 * MIB);
  const disk = new MemoryCacheDisk();
  {
    await using opened = await open({}, disk);
    await fill(opened.cache, head);
  }
  const [name] = [...disk.files.keys()].filter((one) => !one.endsWith('.sums'));
  const sums = disk.files.get(`${name}.sums`)!;
  const cut = { ...sums, bytes: sums.bytes.subarray(0, 20) };
  for (const [what, change] of [
    ['bytes without checksums', () => disk.files.delete(`${name}.sums`)],
    ['checksums without bytes', () => disk.files.delete(name!)],
    ['a draft', () => void disk.files.clear()],
    ['checksums cut short', () => disk.files.set(`${name}.sums`, cut)]
  ] as const) {
    const before = new Map(disk.files);
    change();
    disk.files.set(`${name}.sums.draft-1`, { bytes: new Uint8Array(5), usedAtMs: 1 });
    await using opened = await open({}, disk);
    t.notOk(await isKept(opened.cache, head), what);
    await settle();
    t.same([...disk.files.keys()], [], what);
    disk.files.clear();
    for (const [at, file] of before) disk.files.set(at, file);
  }
});

t.test('a part of the disk stays free, and is given back when others take it', async (t) => {
  const disk = new MemoryCacheDisk();
  disk.space_ = { totalBytes: 100 * MIB, freeBytes: 10 * MIB };
  await using opened = await open({}, disk);
  await fill(opened.cache, version(MIB));
  t.notOk(await isKept(opened.cache, version(MIB)), 'no room');
  disk.space_ = { totalBytes: 100 * MIB, freeBytes: 30 * MIB };
  await opened.clock.advance(10_000);
  for (const etag of ['a', 'b', 'c', 'd']) await fill(opened.cache, version(MIB, etag));
  t.ok(await isKept(opened.cache, version(MIB, 'a')));
  disk.space_ = { totalBytes: 100 * MIB, freeBytes: 8 * MIB };
  await opened.clock.advance(10_000);
  const kept = [];
  for (const etag of ['a', 'b', 'c', 'd']) kept.push(await isKept(opened.cache, version(MIB, etag)));
  t.same(kept, [true, false, false, true], 'two MiB were missing');
});

t.test('a disk that fails is left alone for a while, and nobody but the log hears of it', async (t) => {
  await using opened = await open();
  const head = version(3 * MIB);
  opened.disk.failing = (call) => call === 'writeAt';
  await fill(opened.cache, head);
  await fill(opened.cache, version(3 * MIB, 'e2'));
  t.same(
    opened.events.map(({ type }) => type),
    ['cacheFailed']
  );
  opened.disk.failing = undefined;
  await fill(opened.cache, head);
  t.notOk(await isKept(opened.cache, head));
  await opened.clock.advance(10_000);
  await fill(opened.cache, head);
  t.ok(await isKept(opened.cache, head));
  opened.disk.failing = (call) => call === 'readAt';
  t.notOk(await isKept(opened.cache, head));
});

t.test('who reads waits a moment for a slow disk, and then goes on without it', async (t) => {
  await using opened = await open({ limitBytes: 1024 * MIB });
  const bytes = new Uint8Array(4 * MIB);
  const keepAll = (from: number) =>
    Array.from({ length: 40 }, (_, index) =>
      opened.cache.keep(version(4 * MIB, `e${from + index}`), 0, bytes)
    );
  for (const kept of await Promise.all(keepAll(0))) await kept?.done;
  t.equal(opened.cache.fileCount, 40, 'a disk that takes them in time gets all');
  let release: () => void = () => undefined;
  opened.disk.held = new Promise((resolve) => {
    release = resolve;
  });
  let endedCount = 0;
  const all = keepAll(100).map((kept) => kept.finally(() => endedCount++));
  await settle();
  t.equal(endedCount, 16, 'what one may wait for');
  await opened.clock.advance(100);
  t.equal(endedCount, 40);
  release();
  const results = await Promise.all(all);
  await Promise.all(results.map((kept) => kept?.done));
  t.equal(opened.cache.fileCount, 56);
});

t.test('many writers, readers and droppings of the same files at the same time stay right', async (t) => {
  await using opened = await open({ limitBytes: 6 * MIB });
  const heads = Array.from({ length: 12 }, (_, index) =>
    version(index % 3 === 0 ? 5000 : MIB + index, `e${String.fromCharCode(97 + index)}`)
  );
  let keptCount = 0;
  const work = async (start: number) => {
    for (let step = 0; step < 60; step++) {
      const head = heads[(start * 5 + step * 7) % heads.length]!;
      if ((start + step) % 3 === 0) await fill(opened.cache, head);
      else if (await isKept(opened.cache, head)) keptCount++;
      if ((start + step) % 11 === 0) opened.cache.forget(head);
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, start) => work(start)));
  t.ok(keptCount > 0);
  t.ok(opened.cache.usedBytes <= 6 * MIB);
  t.same(opened.events, []);
});
