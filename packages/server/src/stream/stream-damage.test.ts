import t from 'tap';
import { crc32c, isStoreError } from '../api/index.js';
import { flipByte } from '../platform/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { OwnedStream } from './stream-layer.js';
import {
  type AppendedBlock,
  appendBlocks,
  checkReadable,
  scanSequences,
  sequences
} from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

t.setTimeout(300_000);

const BLOCK_COUNT = 9;

interface Row {
  readonly folderCount: 1 | 3;
  /** How the life ended in which the damage happened. */
  readonly end: 'close' | 'crash';
  /** Of the stream's two extents: the sealed one or the one that was open. */
  readonly extent: 'sealed' | 'open';
}

const rows: readonly Row[] = [
  { folderCount: 1, end: 'close', extent: 'sealed' },
  { folderCount: 1, end: 'close', extent: 'open' },
  { folderCount: 1, end: 'crash', extent: 'sealed' },
  { folderCount: 1, end: 'crash', extent: 'open' },
  { folderCount: 3, end: 'close', extent: 'open' },
  { folderCount: 3, end: 'crash', extent: 'sealed' },
  { folderCount: 3, end: 'crash', extent: 'open' }
];

async function openLog(fixture: StreamFixture, epoch: number): Promise<OwnedStream> {
  return await fixture.until(fixture.layer.openStream({ streamId: LOG, epoch, durability: 'sync' }));
}

/** A stream of two extents whose stamp was closed or lost its power. */
async function startDown({
  folderCount,
  end
}: Row): Promise<{ fixture: StreamFixture; blocks: readonly AppendedBlock[] }> {
  const fixture = new StreamFixture({ folderCount, extentBytesMax: 5100 });
  await fixture.open();
  const stream = await openLog(fixture, 1);
  const blocks: AppendedBlock[] = [];
  for (const sequence of sequences(1, BLOCK_COUNT)) {
    blocks.push(...(await fixture.until(appendBlocks(stream, [sequence], () => 30 + 20 * sequence))));
  }
  await fixture.until(fixture.layer.sweep());
  if (end === 'close') await fixture.close();
  else await fixture.cutPower();
  return { fixture, blocks };
}

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'good';
  } catch (error) {
    return isStoreError(error)
      ? error.code
      : `wrong: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What the next owners find, two lives long; the outcome of each block's read and of the scan. */
async function inspect(fixture: StreamFixture, blocks: readonly AppendedBlock[]) {
  const lives: { reads: readonly string[]; scan: string; found: readonly number[] }[] = [];
  for (const epoch of [2, 3]) {
    if (epoch === 3) await fixture.restart();
    const stream = await openLog(fixture, epoch);
    const reads: string[] = [];
    for (const block of blocks)
      reads.push(await outcomeOf(fixture.until(checkReadable(fixture.layer, [block]))));
    let found: readonly number[] = [];
    const scanning = scanSequences(stream).then((all) => {
      found = all;
    });
    lives.push({ reads, scan: await outcomeOf(fixture.until(scanning)), found });
    const next = await fixture.until(appendBlocks(stream, [100 + epoch]));
    await fixture.until(checkReadable(fixture.layer, next));
    await fixture.until(fixture.layer.sweep());
  }
  return lives;
}

async function damagedPath(fixture: StreamFixture, extent: Row['extent']): Promise<string> {
  const paths = await fixture.extentPaths(0);
  if (paths.length !== 2) throw new Error(`two extents, not ${paths.length}`);
  return paths[extent === 'sealed' ? 0 : 1]!;
}

/** Damages one file while the stamp is down and says what is wrong with what it finds later. */
async function findFault(
  row: Row,
  damage: (fixture: StreamFixture, path: string) => Promise<void>
): Promise<string | undefined> {
  const { fixture, blocks } = await startDown(row);
  try {
    const path = await damagedPath(fixture, row.extent);
    await damage(fixture, path);
    await fixture.open();
    const lives = await inspect(fixture, blocks);
    for (const { reads, scan } of lives) {
      const wrong = [...reads, scan].find((outcome) => !['good', 'ChecksumMismatch'].includes(outcome));
      if (wrong) return wrong;
    }
    const [first, second] = lives as [(typeof lives)[0], (typeof lives)[0]];
    if (first.reads.join() !== second.reads.join())
      return `first ${first.reads.join()}, then ${second.reads.join()}`;
    const all = sequences(1, BLOCK_COUNT);
    if (row.folderCount > 1) {
      const isWhole = first.scan === 'good' && first.found.join() === all.join();
      return isWhole && second.scan === 'good' ? undefined : `not repaired: ${first.scan} ${second.scan}`;
    }
    if (first.scan !== 'good') return undefined;
    // Without another replica a torn last block cannot be told from a damaged one.
    const mayLose = row.end === 'crash' && row.extent === 'open' ? 1 : 0;
    const isPrefix = first.found.join() === all.slice(0, first.found.length).join();
    if (!isPrefix || first.found.length < BLOCK_COUNT - mayLose) return `a scan gives ${first.found.join()}`;
    return undefined;
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  } finally {
    await fixture[Symbol.asyncDispose]();
  }
}

/** The bytes of the blocks, and some of the parts of the header that mean something. */
function offsetsToFlip(lengthBytes: number): readonly number[] {
  const offsets: number[] = [];
  for (let at = 0; at < 1536; at += 7) offsets.push(at);
  for (let at = EXTENT_HEADER_BYTES; at < lengthBytes; at++) offsets.push(at);
  return offsets;
}

for (const [index, row] of rows.entries()) {
  const name = `${row.folderCount} nodes, ${row.extent} extent, after a ${row.end}`;
  t.test(`a flipped byte is an error or repaired: ${name}`, async (t) => {
    const { fixture } = await startDown(row);
    const { byteLength } = (await fixture.memoryDisk.findBytes(await damagedPath(fixture, row.extent)))!;
    await fixture.open();
    await fixture[Symbol.asyncDispose]();
    const offsets = offsetsToFlip(byteLength).filter((at) => at % 4 === index % 4);
    for (const at of offsets) {
      const fault = await findFault(row, (fixture, path) => flipByte(fixture.memoryDisk, path, at));
      if (fault) t.fail(`byte ${at}: ${fault}`);
    }
    t.ok(offsets.length > 150, `${offsets.length} bytes`);
  });

  t.test(`a file cut anywhere is an error, repaired, or has lost a torn block: ${name}`, async (t) => {
    const { fixture, blocks } = await startDown(row);
    await fixture.open();
    await fixture[Symbol.asyncDispose]();
    const inFile = row.extent === 'sealed' ? blocks[0]! : blocks.at(-1)!;
    const offsets = blocks
      .filter((block) => block.location.extentId === inFile.location.extentId)
      .flatMap(({ location: { offset, length } }) => [
        offset,
        offset + 20,
        offset + 48 + Math.floor(length / 2)
      ]);
    for (const lengthBytes of [0, 100, 1500, ...offsets]) {
      const isTail = lengthBytes >= blocks.at(-1)!.location.offset;
      const fault = await findFault(row, async (fixture, path) => {
        const file = (await fixture.memoryDisk.findFile(path))!;
        await file.truncate(lengthBytes);
        await file.sync();
      });
      const isOnlyOpen = row.folderCount === 1 && row.extent === 'open';
      // As if the file were missing: nobody may decide that nothing was acknowledged.
      const isEmptied = isOnlyOpen && lengthBytes < EXTENT_HEADER_BYTES;
      // Whole blocks that are gone leave no trace on a single disk that was not closed.
      const isTorn = isOnlyOpen && row.end === 'crash' && !isEmptied && !isTail;
      const isExpected = isEmptied
        ? fault === 'ReplicaUnavailable'
        : !fault || (isTorn && fault.startsWith('a scan gives'));
      if (!isExpected) t.fail(`cut to ${lengthBytes}: ${fault}`);
    }
    t.pass(`${offsets.length} lengths`);
  });
}

t.test(
  'a missing file of an open extent is repaired with three nodes, and a clear error with one',
  async (t) => {
    const down = { end: 'crash', extent: 'open' } as const;
    const remove = (fixture: StreamFixture, path: string) => fixture.memoryDisk.remove(path);
    t.equal(await findFault({ ...down, folderCount: 3 }, remove), undefined);

    const { fixture, blocks } = await startDown({ ...down, folderCount: 1 });
    const path = await damagedPath(fixture, 'open');
    const bytes = (await fixture.memoryDisk.findBytes(path))!;
    await remove(fixture, path);
    await fixture.open();
    await t.rejects(openLog(fixture, 2), { code: 'ReplicaUnavailable', message: /node-0 absent/ });
    const sealed = blocks.filter((block) => block.location.extentId === blocks[0]!.location.extentId);
    await fixture.until(checkReadable(fixture.layer, sealed));
    // Its disk was found again.
    await fixture.memoryDisk.writeBytes(path, bytes);
    await fixture.restart();
    t.same(await fixture.until(scanSequences(await openLog(fixture, 2))), sequences(1, BLOCK_COUNT));
    await fixture[Symbol.asyncDispose]();
  }
);

t.test(
  'files that are overwritten or of a version to come are not taken for empty ones, and stay as they are',
  async (t) => {
    const rows = [
      { name: 'zeros', change: (bytes: Buffer) => bytes.fill(0) },
      {
        name: 'another version',
        change: (bytes: Buffer) => {
          bytes.writeUInt32LE(2, 8);
          bytes.writeUInt32LE(crc32c(bytes.subarray(0, 508)), 508);
          // What its blocks are like nobody knows.
          bytes.fill(0xab, EXTENT_HEADER_BYTES);
        }
      }
    ];
    for (const { name, change } of rows) {
      const { fixture, blocks } = await startDown({ folderCount: 1, end: 'crash', extent: 'open' });
      const path = await damagedPath(fixture, 'open');
      const bytes = Buffer.from((await fixture.memoryDisk.findBytes(path))!);
      const changed = Buffer.from(bytes);
      change(changed);
      await fixture.memoryDisk.writeBytes(path, changed);
      await fixture.open();
      await t.rejects(openLog(fixture, 2), { code: 'ReplicaUnavailable' }, name);
      await fixture.until(fixture.layer.sweep());
      t.ok(changed.equals((await fixture.memoryDisk.findBytes(path))!), `${name}: not a byte is touched`);
      await fixture.until(checkReadable(fixture.layer, blocks.slice(0, 2)));
      await fixture[Symbol.asyncDispose]();
    }
  }
);
