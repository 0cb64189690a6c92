import t from 'tap';
import { extentId, isStoreError, LIMITS } from '../api/index.js';
import { MemoryDisk, type Random, seededRandom } from '../platform/index.js';
import { blockBytes } from './block-format.js';
import { encodeBatch } from './encode-batch.js';
import { ExtentFile } from './extent-file.js';
import { decodeExtentHeader, EXTENT_HEADER_BYTES, encodeExtentHeader } from './extent-format.js';
import { checkBlock, inspectBlocks, intactRun } from './inspect-blocks.js';
import { parseScanPage } from './scan-page.js';
import { payloadOf } from './testing/payload.js';

const ID = extentId(77);
const PATH = '/d/77.extent';
const SEED_COUNT = 3000;

interface Original {
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

function below(random: Random, limit: number): number {
  return Math.floor(random.fraction() * limit);
}

/** A valid extent file: header and blocks in groups, each group sent when all before it were acknowledged. */
function validExtent(random: Random): { bytes: Buffer; blocks: readonly Original[] } {
  const blocks: Original[] = [];
  const parts: Uint8Array[] = [encodeExtentHeader({ extentId: ID, epoch: 1 })];
  let offset = EXTENT_HEADER_BYTES;
  for (let group = 1 + below(random, 4); group > 0; group--) {
    const durableLength = offset;
    const batch = Array.from({ length: 1 + below(random, 4) }, (_, index) => {
      const length = random.fraction() < 0.05 ? 60_000 + below(random, 20_000) : 1 + below(random, 400);
      const sequence = blocks.length + index;
      return { sequence, payloadLength: length, parts: [payloadOf(sequence, length)] };
    });
    parts.push(...encodeBatch({ extentId: ID, offset, durableLength }, batch));
    for (const { sequence, payloadLength: length } of batch) {
      blocks.push({ sequence, offset, length });
      offset += blockBytes(length);
    }
  }
  return { bytes: Buffer.concat(parts), blocks };
}

/** Damages bytes the ways disks, file systems and bugs do; at times so that magic and numbers stay plausible. */
function mutate(bytes: Buffer, blocks: readonly Original[], random: Random): Buffer {
  const at = below(random, bytes.byteLength);
  const length = 1 + below(random, Math.min(600, bytes.byteLength - at));
  const copy = Buffer.from(bytes);
  const block = blocks[below(random, blocks.length)]!;
  switch (below(random, 8)) {
    case 0:
      copy[at]! ^= 1 << below(random, 8);
      return copy;
    case 1:
      return copy.fill(random.fraction() < 0.5 ? 0 : 0xff, at, at + length);
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + length)]);
    case 4:
      return Buffer.concat([copy.subarray(0, at), random.bytes(length), copy.subarray(at)]);
    case 5: {
      // A block, or a part of it, where another one should be.
      const target = blocks[below(random, blocks.length)]!;
      const source = bytes.subarray(block.offset, block.offset + blockBytes(block.length));
      if (target.offset < copy.byteLength) source.copy(copy, target.offset);
      return copy;
    }
    case 6:
      random.fraction() < 0.5
        ? copy.set(random.bytes(Math.min(4, copy.byteLength - at)), at)
        : copy.copyWithin(at, Math.min(block.offset, at), Math.min(block.offset, at) + length);
      return copy;
    default:
      // One field of a block's header.
      copy[Math.min(copy.byteLength - 1, block.offset + below(random, 56))] = below(random, 256);
      return copy;
  }
}

async function openExtent(bytes: Uint8Array): Promise<{ disk: MemoryDisk; file: ExtentFile }> {
  const disk = new MemoryDisk();
  await disk.createDirectory('/d');
  const raw = await disk.createFile(PATH);
  await raw.write([bytes], 0);
  await raw.sync();
  const file = await ExtentFile.find({ disk, path: PATH, extentId: ID });
  return { disk, file: file! };
}

/** Throws when anything that a page gives is not what was written at that place. */
function checkScan(bytes: Buffer, blocks: readonly Original[], pageBytes: number): void {
  const limit = bytes.byteLength;
  for (let offset = EXTENT_HEADER_BYTES; offset < limit; ) {
    const view = bytes.subarray(offset, Math.min(offset + pageBytes, limit));
    const page = parseScanPage(view, { extentId: ID, offset }, limit);
    for (const found of page.blocks) {
      const block = blocks.find((original) => original.offset === found.offset);
      if (block?.sequence !== found.sequence || block.length !== found.payloadLength) {
        throw new Error(`a scan gives block ${found.sequence} at ${found.offset}`);
      }
      const head = payloadOf(block.sequence, block.length).subarray(0, LIMITS.checksumChunkBytes);
      if (!head.equals(found.head)) throw new Error(`a scan gives other bytes at ${found.offset}`);
    }
    if (page.isDamaged && page.blocks.length === 0) return;
    if (page.nextOffset <= offset) throw new Error('a scan goes on');
    offset = page.nextOffset;
  }
}

async function checkReads(file: ExtentFile, blocks: readonly Original[], random: Random): Promise<void> {
  for (const { sequence, offset, length } of blocks) {
    const start = below(random, length);
    const payload = payloadOf(sequence, length).subarray(start);
    try {
      const bytes = await file.readBlock({ blockOffset: offset, start, length });
      if (!payload.equals(bytes)) throw new Error(`block ${sequence} has other bytes`);
    } catch (error) {
      if (!isStoreError(error, 'ChecksumMismatch')) throw error;
    }
  }
}

t.test(
  'a damaged extent gives right bytes or an error, and its recovery ends with what is intact',
  async (t) => {
    const outcomes = { whole: 0, cut: 0, unknown: 0, emptied: 0 };
    for (let seed = 0; seed < SEED_COUNT; seed++) {
      const random = seededRandom(seed);
      const { bytes, blocks } = validExtent(random);
      let damaged = bytes;
      for (let count = 1 + below(random, 3); count > 0 && damaged.byteLength > 0; count--) {
        damaged = mutate(damaged, blocks, random);
      }
      try {
        checkScan(damaged, blocks, 64 * 1024 + below(random, 100_000));
        const { disk, file } = await openExtent(damaged);
        await checkReads(file, blocks, random);
        const recovered = await file.recover().catch((error) => {
          if (isStoreError(error, 'ExtentNotFound')) return undefined;
          throw error;
        });
        if (!recovered) {
          const { identity, slot } = decodeExtentHeader(damaged, ID);
          if (identity && slot) throw new Error('an extent with its header is not lost');
          outcomes.emptied += 1;
          continue;
        }
        const { known, length } = recovered;
        if (known) {
          const ends = [
            EXTENT_HEADER_BYTES,
            ...blocks.map((block) => block.offset + blockBytes(block.length))
          ];
          if (!ends.includes(length)) throw new Error(`a recovered length of ${length} is no block's end`);
          if (!(await file.isIntact(length))) throw new Error(`the recovered ${length} bytes are not intact`);
        }
        outcomes[known ? (length === bytes.byteLength ? 'whole' : 'cut') : 'unknown'] += 1;
        const after = (await disk.findBytes(PATH))!;
        if (!Buffer.from(after).equals(damaged)) throw new Error('a recovery changed bytes');
      } catch (error) {
        t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
    for (const [name, count] of Object.entries(outcomes)) t.ok(count > 50, `${name}: ${count}`);
  }
);

t.test('random bytes are no header, block, page or run, and end every parser', async (t) => {
  for (let seed = 0; seed < SEED_COUNT; seed++) {
    const random = seededRandom(seed);
    const bytes = Buffer.from(random.bytes(1 + below(random, 8192)));
    // Plausible beginnings, so that not everything ends at the magic.
    if (seed % 2 === 0) {
      for (let at = 0; at + 16 <= bytes.byteLength; at += 8 * (1 + below(random, 40))) {
        bytes.write('SBLK', at, 'latin1');
        bytes.writeUInt16LE(0x0101, at + 8);
        bytes.writeUInt32LE(1 + below(random, 9000), at + 12);
      }
    }
    const place = { extentId: ID, offset: EXTENT_HEADER_BYTES };
    const header = decodeExtentHeader(bytes, ID);
    const page = parseScanPage(bytes, place, EXTENT_HEADER_BYTES + bytes.byteLength);
    const found = {
      identity: header.identity,
      slot: header.slot,
      blocks: page.blocks.length,
      run: intactRun(bytes, place).byteLength,
      isIntact: checkBlock(bytes, 0, place).result === 'intact'
    };
    const nothing = { identity: undefined, slot: undefined, blocks: 0, run: 0, isIntact: false };
    if (!t.strictSame(found, nothing, `seed ${seed}`)) break;
    const disk = new MemoryDisk();
    await disk.createDirectory('/d');
    const file = await disk.createFile(PATH);
    await file.write([bytes], EXTENT_HEADER_BYTES);
    const limit = EXTENT_HEADER_BYTES + bytes.byteLength;
    const inspection = await inspectBlocks({ file, extentId: ID, start: EXTENT_HEADER_BYTES, limit });
    if (inspection.goodEnd !== EXTENT_HEADER_BYTES) t.fail(`seed ${seed}: ${inspection.goodEnd}`);
  }
});
