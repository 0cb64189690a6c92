import t from 'tap';
import { extentId, StoreError } from '../api/index.js';
import type { OwnedStream } from '../stream/index.js';
import { decodeRoot } from './checkpoint-format.js';
import { CheckpointWriter } from './checkpoint-writer.js';
import { LiveBytes } from './live-bytes.js';
import type { PartitionIndex, Row } from './partition-index.js';
import { objectRow } from './row-key.js';

const ROW_BYTES = 700_000;
const NO_SPACE = new StoreError('NoSpace', 'The disk is full. Free space.');

/** A stream that keeps what is appended and fails while it is told to. */
class ScriptedStream {
  readonly appended: { readonly sequence: number; readonly bytes: Uint8Array }[] = [];
  isFull = false;

  async append({ sequence, parts }: { sequence: number; parts: readonly Uint8Array[] }) {
    this.appended.push({ sequence, bytes: Buffer.concat(parts) });
    if (this.isFull) throw NO_SPACE;
    return { extentId: extentId(1), offset: sequence, length: 1 };
  }

  extents() {
    return [];
  }

  async releaseExtents() {}

  async sealOpenExtent() {}
}

function start() {
  const row = (name: string): Row => ({ key: objectRow('b', name), value: new Uint8Array(ROW_BYTES) });
  const position = { sequence: 5, extentId: extentId(1), offset: 4096, logId: 'log' };
  const index = {
    synced: async () => undefined,
    snapshot: async () => ({
      position,
      rows: (async function* () {
        yield* ['a', 'b', 'c', 'd'].map(row);
      })()
    })
  } as unknown as PartitionIndex;
  const streams = {
    metadata: new ScriptedStream(),
    log: new ScriptedStream(),
    checkpoint: new ScriptedStream(),
    data: new ScriptedStream()
  };
  const writer = new CheckpointWriter({
    streams: streams as unknown as Record<keyof typeof streams, OwnedStream>,
    index,
    liveBytes: new LiveBytes(),
    root: { logId: 'log', checkpoint: undefined },
    rootNumber: 1
  });
  return { writer, ...streams };
}

t.test('a checkpoint that fails is made again with blocks of other numbers', async (t) => {
  const { writer, checkpoint } = start();
  checkpoint.isFull = true;
  await t.rejects(writer.write(), NO_SPACE);
  const failed = new Set(checkpoint.appended.map(({ sequence }) => sequence));
  t.ok(failed.size >= 2, 'several blocks were in flight');
  checkpoint.isFull = false;
  await writer.write();
  const made = checkpoint.appended.slice(failed.size);
  t.ok(made.length > 0 && made.every(({ sequence }) => !failed.has(sequence)));
  t.equal(writer.root.checkpoint?.lastBlockNumber, made.at(-1)?.sequence);
});

t.test('a root whose outcome is unknown never shares its number with the next one', async (t) => {
  const { writer, metadata } = start();
  metadata.isFull = true;
  await t.rejects(writer.write(), NO_SPACE);
  metadata.isFull = false;
  await writer.write();
  t.same(
    metadata.appended.map(({ sequence }) => sequence),
    [2, 3]
  );
  t.equal(decodeRoot(metadata.appended[1]!.bytes).checkpoint?.rowCount, 4);
});
