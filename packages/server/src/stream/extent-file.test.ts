import t from 'tap';
import { extentId, isStoreError, LIMITS } from '../api/index.js';
import { type Disk, flipByte, MemoryDisk, seededRandom } from '../platform/index.js';
import { blockBytes, blockHeaderBytes } from './block-format.js';
import { encodeBatch } from './encode-batch.js';
import { ExtentFile } from './extent-file.js';
import { EXTENT_HEADER_BYTES, type ExtentSlot } from './extent-format.js';
import { payloadOf } from './testing/payload.js';

const ID = extentId(12);
const DIRECTORY = '/n0';
const PATH = '/n0/12.extent';
const CHUNK = LIMITS.checksumChunkBytes;

interface Written {
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

async function startDisk(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  await disk.createDirectory(DIRECTORY);
  return disk;
}

async function findExtent(disk: Disk): Promise<ExtentFile> {
  const file = await ExtentFile.find({ disk, path: PATH, extentId: ID });
  if (!file) throw new Error('the file is there');
  return file;
}

/** Blocks of the given sizes, each written after all before it were acknowledged. */
async function writeExtent(disk: Disk, sizes: readonly number[]) {
  const place = { disk, path: PATH, extentId: ID, directory: DIRECTORY };
  const file = await ExtentFile.create(place, 1);
  const blocks: Written[] = [];
  let end = EXTENT_HEADER_BYTES;
  for (const [sequence, length] of sizes.entries()) {
    const block = { sequence, parts: [payloadOf(sequence, length)], payloadLength: length };
    await file.write(encodeBatch({ extentId: ID, offset: end, durableLength: end }, [block]), end);
    blocks.push({ sequence, offset: end, length });
    end += blockBytes(length);
  }
  await file.sync();
  return { file, blocks, end };
}

async function copyWithFlip(disk: MemoryDisk, at: number): Promise<MemoryDisk> {
  const copy = disk.snapshotAfterCrash();
  await flipByte(copy, PATH, at);
  return copy;
}

async function readOrCode(file: ExtentFile, block: Written): Promise<'good' | 'wrong' | string> {
  try {
    const bytes = await file.readBlock({ blockOffset: block.offset, start: 0, length: block.length });
    return payloadOf(block.sequence, block.length).equals(bytes) ? 'good' : 'wrong';
  } catch (error) {
    return isStoreError(error) ? error.code : 'other';
  }
}

t.test('a flipped byte anywhere gives an error or the right bytes, and never a shorter length', async (t) => {
  type Slot = Omit<ExtentSlot, 'generation'>;
  const rows: { name: string; slot?: (end: number) => Slot }[] = [
    { name: 'after a crash' },
    { name: 'after a clean shutdown', slot: (length) => ({ state: 'open', epoch: 1, length }) },
    { name: 'frozen', slot: (length) => ({ state: 'frozen', epoch: 2, length }) }
  ];
  for (const row of rows) {
    const disk = await startDisk();
    const { file, blocks, end } = await writeExtent(disk, [1, 100, 300, 50]);
    if (row.slot) await file.writeSlot(row.slot(end));
    const last = blocks.at(-1)!;
    for (let at = 0; at < end; at++) {
      const damaged = await findExtent(await copyWithFlip(disk, at));
      const hit = blocks.findLast((block) => block.offset <= at);
      const isPadding = hit && at >= hit.offset + blockHeaderBytes(hit.length) + hit.length;
      for (const block of blocks) {
        const expected = block === hit && !isPadding ? 'ChecksumMismatch' : 'good';
        const found = await readOrCode(damaged, block);
        if (found !== expected) t.fail(`${row.name}: block ${block.sequence}, byte ${at}: ${found}`);
      }
      const { known, length } = await damaged.recover();
      if (!known && length < end) t.fail(`${row.name}: byte ${at} gives ${length}, shorter than ${end}`);
      // Without a marker, damage of the last block cannot be told from a torn write of it.
      const mayCutLast = !row.slot && hit === last;
      if (known && length !== end && !(mayCutLast && length === last.offset)) {
        t.fail(`${row.name}: byte ${at} gives ${length} of ${end}`);
      }
      if (hit && !isPadding && known && !mayCutLast) t.fail(`${row.name}: byte ${at} was not noticed`);
    }
    t.pass(row.name);
  }
});

t.test('a last block torn at any byte is cut', async (t) => {
  const disk = await startDisk();
  const { blocks, end } = await writeExtent(disk, [100, 100]);
  const last = blocks[1]!;
  for (let length = last.offset; length < end; length++) {
    const copy = disk.snapshotAfterCrash();
    const raw = await copy.findFile(PATH);
    await raw!.truncate(length);
    const isWhole = length >= last.offset + blockHeaderBytes(100) + 100;
    if (isWhole) continue;
    const found = await (await findExtent(copy)).recover();
    if (!found.known || found.length !== last.offset) t.fail(`${length}: ${JSON.stringify(found)}`);
  }
  t.pass('all lengths');
});

t.test('a lost block among those that were in flight together is cut with all after it', async (t) => {
  const disk = await startDisk();
  const { file, end } = await writeExtent(disk, [100]);
  const blocks = [1, 2, 3].map((sequence) => ({
    sequence,
    parts: [payloadOf(sequence, 64)],
    payloadLength: 64
  }));
  const parts = Buffer.concat(encodeBatch({ extentId: ID, offset: end, durableLength: end }, blocks));
  // The power cut kept the second and third, which were not acknowledged either.
  await file.write([parts.subarray(blockBytes(64))], end + blockBytes(64));
  t.same(await (await findExtent(disk)).recover(), { known: true, length: end, isTorn: true });
});

t.test('a file cut below what was acknowledged has no known length', async (t) => {
  const disk = await startDisk();
  const { file, blocks, end } = await writeExtent(disk, [100, 100, 100]);
  await file.writeSlot({ state: 'frozen', epoch: 1, length: end });
  await file.truncate(blocks[1]!.offset);
  t.same(await (await findExtent(disk)).recover(), { known: false, length: end });
});

t.test('a recovery writes again what nothing proves durable, with the same bytes', async (t) => {
  const disk = await startDisk();
  const { file, blocks, end } = await writeExtent(disk, [100, 100, 9000]);
  await file.close();
  const before = (await disk.findBytes(PATH))!;
  const written: { offset: number; bytes: Buffer }[] = [];
  const findFile = disk.findFile.bind(disk);
  disk.findFile = async (path) => {
    const opened = (await findFile(path))!;
    const write = opened.write.bind(opened);
    opened.write = async (parts, offset) => {
      written.push({ offset, bytes: Buffer.concat(parts) });
      await write(parts, offset);
    };
    return opened;
  };
  t.same(await (await findExtent(disk)).recover(), { known: true, length: end, isTorn: false });
  // The last block says that those before it were durable, and nothing says so of the last one.
  const last = blocks.at(-1)!.offset;
  t.same(written, [{ offset: last, bytes: Buffer.from(before.subarray(last, end)) }]);
  t.same(await disk.findBytes(PATH), before);
});

t.test('damage in large blocks is found across the windows of a recovery', async (t) => {
  const disk = await startDisk();
  const size = 3_000_000;
  const { blocks, end } = await writeExtent(disk, [size, 10, size, size, 10, size, size, 10]);
  t.same(await (await findExtent(disk)).recover(), { known: true, length: end, isTorn: false });
  for (const block of blocks.slice(0, -1)) {
    for (const at of [block.offset + 20, block.offset + blockHeaderBytes(block.length) + block.length - 1]) {
      const damaged = await findExtent(await copyWithFlip(disk, at));
      t.same(await damaged.recover(), { known: false, length: end }, `byte ${at}`);
    }
  }
});

t.test('an image of a block inside a payload is not taken for a block', async (t) => {
  const disk = await startDisk();
  const first = await writeExtent(disk, [200, 200, 200]);
  const image = await first.file.readRaw(0, first.end);
  await first.file.close();
  await disk.remove(PATH);
  const file = await ExtentFile.create({ disk, path: PATH, extentId: ID, directory: DIRECTORY }, 1);
  const block = { sequence: 0, parts: [image], payloadLength: image.byteLength };
  const offset = EXTENT_HEADER_BYTES;
  await file.write(encodeBatch({ extentId: ID, offset, durableLength: offset }, [block]), offset);
  await file.write([Buffer.alloc(8, 0xee)], offset + 16);
  t.same(await file.recover(), { known: true, length: offset, isTorn: true });
});

t.test('every range of a block can be read', async (t) => {
  const disk = await startDisk();
  const sizes = [1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 77, 1_500_000];
  const { file, blocks } = await writeExtent(disk, sizes);
  const random = seededRandom(3);
  for (const { sequence, offset, length } of blocks) {
    const payload = payloadOf(sequence, length);
    const ranges = [
      [0, length],
      [0, 1],
      [length - 1, 1],
      [length - 1, 100],
      [length, 10],
      [length + 50, 10],
      ...Array.from({ length: 20 }, () => {
        const start = Math.floor(random.fraction() * length);
        return [start, 1 + Math.floor(random.fraction() * (length - start))];
      })
    ];
    for (const [start, count] of ranges as [number, number][]) {
      const bytes = await file.readBlock({ blockOffset: offset, start, length: count });
      const expected = payload.subarray(start, start + count);
      if (!expected.equals(bytes)) t.fail(`block of ${length}: ${start} + ${count}`);
    }
    t.pass(`block of ${length}`);
  }
});

t.test('a read of one chunk does not mind damage in another', async (t) => {
  const disk = await startDisk();
  const { blocks } = await writeExtent(disk, [4 * CHUNK]);
  const block = blocks[0]!;
  const at = block.offset + blockHeaderBytes(block.length) + 2 * CHUNK + 5;
  const file = await findExtent(await copyWithFlip(disk, at));
  const read = (start: number) => file.readBlock({ blockOffset: block.offset, start, length: 10 });
  t.ok(
    payloadOf(0, block.length)
      .subarray(CHUNK, CHUNK + 10)
      .equals(await read(CHUNK))
  );
  await t.rejects(read(2 * CHUNK), { code: 'ChecksumMismatch' });
  t.ok(
    payloadOf(0, block.length)
      .subarray(3 * CHUNK, 3 * CHUNK + 10)
      .equals(await read(3 * CHUNK))
  );
});

t.test('a state survives a crash once it was written, whatever of the next one survives', async (t) => {
  for (let seed = 0; seed < 200; seed++) {
    const disk = await startDisk();
    const { file, end } = await writeExtent(disk, [10]);
    await file.writeSlot({ state: 'frozen', epoch: 3, length: end });
    const raw = (await disk.findFile(PATH))!;
    // The next state was on its way: neither it nor its sync was waited for.
    void file.writeSlot({ state: 'sealed', epoch: 3, length: end }).catch(() => undefined);
    const left = disk.snapshotAfterCrash({ random: seededRandom(seed) });
    await raw.close();
    const slot = (await findExtent(left)).slot;
    if (slot?.epoch !== 3 || !['frozen', 'sealed'].includes(slot.state)) t.fail(`seed ${seed}`);
  }
  t.pass('all seeds');
});
