import type { ExtentId } from '../../api/index.js';
import type { OwnedStream } from '../stream-layer.js';
import { type AppendedBlock, appendBlocks, checkReadable, scanSequences } from './stream-checks.js';
import { LOG, StreamFixture } from './stream-fixture.js';

const LIVES = 3;

export interface CrashLivesOptions {
  readonly seed: number;
  readonly folderCount: number;
  /** Chance of an I/O error of any write or sync of the first node. */
  readonly faultChance: number;
}

/** What a run knows for sure; grows over its lives. */
interface Knowledge {
  readonly acknowledged: AppendedBlock[];
  readonly sealedLengths: Map<ExtentId, number>;
  nextSequence: number;
}

function noteSealed(stream: OwnedStream, { sealedLengths }: Knowledge): void {
  for (const { extentId, state, length } of stream.extents()) {
    if (state !== 'sealed') continue;
    const known = sealedLengths.get(extentId);
    if (known !== undefined && known !== length)
      throw new Error(`extent ${extentId}: ${known}, then ${length}`);
    sealedLengths.set(extentId, length);
  }
}

async function checkScan(stream: OwnedStream, { acknowledged }: Knowledge): Promise<void> {
  const found = await scanSequences(stream);
  const positions = new Map(found.map((sequence, index) => [sequence, index]));
  if (positions.size !== found.length) throw new Error(`a block is there twice: ${found.join(' ')}`);
  const missing = acknowledged.filter(({ sequence }) => !positions.has(sequence));
  if (missing.length > 0) throw new Error(`lost ${missing.map((block) => block.sequence).join(' ')}`);
  if (found.some((sequence, index) => index > 0 && sequence < found[index - 1]!)) {
    throw new Error(`out of order: ${found.join(' ')}`);
  }
}

/** Appends until the power is cut at a random moment. */
async function liveAndCrash(fixture: StreamFixture, stream: OwnedStream, known: Knowledge): Promise<void> {
  const { random } = fixture;
  const turns = Math.floor(random.fraction() * 150);
  let isAlive = true;
  for (let turn = 0; turn < turns; turn++) {
    for (let count = Math.floor(random.fraction() * 4); count > 0; count--) {
      const lengthOf = () => 1 + Math.floor(random.fraction() * 3000);
      void appendBlocks(stream, [known.nextSequence++], lengthOf).then(
        (blocks) => {
          if (isAlive) known.acknowledged.push(...blocks);
        },
        () => undefined
      );
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 10 === 0) noteSealed(stream, known);
    if (turn % 50 === 49) await fixture.clock.advance(100);
  }
  noteSealed(stream, known);
  isAlive = false;
  fixture.disk.rules.clear();
  await fixture.crash();
}

/**
 * Lives some lives of a stamp, each ended by a power cut at a random moment; throws when something acknowledged is
 * lost, a sealed length changes, or a scan gives a block twice or out of order.
 * @returns How many blocks were acknowledged.
 */
export async function runCrashLives({ seed, folderCount, faultChance }: CrashLivesOptions): Promise<number> {
  await using fixture = await StreamFixture.start({
    seed,
    folderCount,
    extentBytesMax: 30_000,
    isSlow: true
  });
  const known: Knowledge = { acknowledged: [], sealedLengths: new Map(), nextSequence: 1 };
  for (let life = 0; life < LIVES; life++) {
    const opening = fixture.layer.openStream({ streamId: LOG, epoch: life + 1, durability: 'sync' });
    const stream = await fixture.until(opening);
    noteSealed(stream, known);
    await fixture.until(checkScan(stream, known));
    await fixture.until(checkReadable(fixture.layer, known.acknowledged));
    if (faultChance > 0) {
      for (const on of ['write', 'sync'] as const) {
        fixture.disk.rules.add({ on, path: '/n0/extents/*', fail: 'EIO', chance: faultChance });
      }
    }
    await liveAndCrash(fixture, stream, known);
  }
  const opening = fixture.layer.openStream({ streamId: LOG, epoch: LIVES + 1, durability: 'sync' });
  const stream = await fixture.until(opening);
  noteSealed(stream, known);
  await fixture.until(checkScan(stream, known));
  await fixture.until(fixture.layer.sweep());
  await fixture.until(checkReadable(fixture.layer, known.acknowledged));
  return known.acknowledged.length;
}
