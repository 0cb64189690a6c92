import t from 'tap';
import { isStoreError } from '../api/index.js';
import { EXTENT_HEADER_BYTES } from './extent-format.js';
import type { SpaceUse } from './space-use.js';
import type { OwnedStream } from './stream-layer.js';
import { payloadOf } from './testing/payload.js';
import { type AppendedBlock, checkReadable, scanSequences } from './testing/stream-checks.js';
import { LOG, StreamFixture } from './testing/stream-fixture.js';

const CAPACITY_BYTES = 1_000_000;
const EXTENT_BYTES = 20_000;

/** Appends blocks of different uses; each is stored or refused for want of space. */
class Writer {
  readonly stored: AppendedBlock[] = [];
  readonly refused: string[] = [];
  readonly #fixture: StreamFixture;
  #stream: OwnedStream | undefined;
  #sequence = 0;
  #epoch = 0;

  constructor(fixture: StreamFixture) {
    this.#fixture = fixture;
  }

  get stream(): OwnedStream {
    return this.#stream!;
  }

  async open(): Promise<void> {
    this.#epoch += 1;
    const options = { streamId: LOG, epoch: this.#epoch, durability: 'sync' as const };
    this.#stream = await this.#fixture.until(this.#fixture.layer.openStream(options));
  }

  /** All in one turn; whether each was stored. */
  async append(uses: readonly SpaceUse[], length = 3000): Promise<readonly boolean[]> {
    const appends = uses.map(async (use) => {
      this.#sequence += 1;
      const sequence = this.#sequence;
      try {
        const location = await this.stream.append({ sequence, parts: [payloadOf(sequence, length)], use });
        this.stored.push({ sequence, location });
        return true;
      } catch (error) {
        if (!isStoreError(error, 'NoSpace')) throw error;
        this.refused.push(error.message);
        return false;
      }
    });
    return await this.#fixture.until(Promise.all(appends));
  }

  /** How many blocks of a use fit. */
  async fill(use: SpaceUse): Promise<number> {
    for (let count = 0; ; count++) if (!(await this.append([use]))[0]) return count;
  }
}

async function start(folderCount: number): Promise<{ fixture: StreamFixture; writer: Writer }> {
  const capacityBytes = folderCount * CAPACITY_BYTES;
  const fixture = await StreamFixture.start({ folderCount, capacityBytes, extentBytesMax: EXTENT_BYTES });
  const writer = new Writer(fixture);
  await writer.open();
  return { fixture, writer };
}

for (const folderCount of [1, 3]) {
  t.test(`what frees space is appended when bytes are refused, ${folderCount} nodes`, async (t) => {
    const started = await start(folderCount);
    await using fixture = started.fixture;
    const { writer } = started;
    await writer.fill('bytes');
    t.equal(fixture.layer.isFull(), true);
    for (const isRestarted of [false, true]) {
      if (isRestarted) {
        await fixture.restart();
        await writer.open();
      }
      t.same(await writer.append(['bytes']), [false], 'bytes');
      t.same(await writer.append(['frees', 'bytes', 'changes', 'bytes', 'frees'], 100), [
        true,
        false,
        true,
        false,
        true
      ]);
    }
    await fixture.until(checkReadable(fixture.layer, writer.stored));
    await writer.open();
    t.same(
      await fixture.until(scanSequences(writer.stream)),
      writer.stored.map(({ sequence }) => sequence),
      'all of it in order and nothing that was refused'
    );
  });
}

t.test('the reserve is bounded, its end is said, and released extents give it back', async (t) => {
  const started = await start(1);
  await using fixture = started.fixture;
  const { writer } = started;
  await writer.fill('bytes');
  const changes = await writer.fill('changes');
  const frees = await writer.fill('frees');
  t.ok(changes > 10, `${changes} changes`);
  t.ok(frees > 3, `${frees} that free space`);
  t.match(writer.refused.at(-1), /kept for deletions.*Free space or add/);
  t.same(await writer.append(['changes']), [false], 'nor anything else');
  const { freeBytes } = (await fixture.layer.summary())[0]!;
  // Of extents that were made in the end only the headers may lie in it.
  t.ok(freeBytes > CAPACITY_BYTES / 50 - 2 * EXTENT_HEADER_BYTES, `${freeBytes} bytes are nobody's`);

  const sealed = writer.stream.extents().filter(({ state }) => state === 'sealed');
  const released = sealed.slice(0, 12).map(({ extentId }) => extentId);
  await fixture.until(writer.stream.releaseExtents(released));
  await fixture.until(fixture.layer.sweep());
  t.equal(fixture.layer.isFull(), false);
  t.same(await writer.append(['bytes', 'frees']), [true, true]);
  const kept = writer.stored.filter(({ location }) => !released.includes(location.extentId));
  await fixture.until(checkReadable(fixture.layer, kept));
});

t.test(
  'a disk that others fill up to the last byte refuses everything, and goes on afterwards',
  async (t) => {
    const started = await start(1);
    await using fixture = started.fixture;
    const { writer } = started;
    await writer.append(['bytes', 'frees']);
    fixture.memoryDisk.setCapacity(fixture.memoryDisk.usedBytes + 100);
    t.same(await writer.append(['frees', 'bytes', 'frees']), [false, false, false]);
    fixture.memoryDisk.setCapacity(CAPACITY_BYTES);
    t.same(await writer.append(['frees', 'bytes', 'frees']), [true, true, true], 'without a restart');
    await fixture.until(checkReadable(fixture.layer, writer.stored));
    await writer.open();
    t.same(
      await fixture.until(scanSequences(writer.stream)),
      writer.stored.map(({ sequence }) => sequence)
    );
  }
);
