import t from 'tap';
import { extentId, faultDomain, isStoreError, memberId } from '../api/index.js';
import { type Disk, flipByte, MemoryDisk, manualClock } from '../platform/index.js';
import { EXTENT_HEADER_BYTES, extentSlotOffset } from './extent-format.js';
import { ExtentNode } from './extent-node.js';
import { appendOfOne } from './testing/append-message.js';
import { payloadOf } from './testing/payload.js';

/* What a node does for the stream manager's repair: verify, rebuild from others, obey only the newest manager. */

const ID = extentId(1);
const FIRST = EXTENT_HEADER_BYTES;
const RATE = { managerEpoch: 1, bytesPerSecond: 1e12 };

async function startNodes(count: number, options: { bytesMax?: number } = {}) {
  const memory = new MemoryDisk(options.bytesMax === undefined ? {} : { capacityBytes: options.bytesMax });
  const clock = manualClock();
  const nodes: ExtentNode[] = [];
  const open = async (index: number, disk: Disk = memory): Promise<ExtentNode> => {
    const directory = `/n${index}`;
    await disk.createDirectory(directory);
    const node = await ExtentNode.open({
      disk,
      clock,
      directory,
      memberId: memberId(`node-${index}`),
      faultDomain: faultDomain(`rack-${index}`),
      findNode: (id) => nodes[Number(id.slice('node-'.length))]
    });
    nodes[index] = node;
    return node;
  };
  for (let index = 0; index < count; index++) await open(index);
  return { memory, clock, nodes, open };
}

function pathOf(index: number, id = ID): string {
  return `/n${index}/${String(id).padStart(16, '0')}.extent`;
}

/** An extent of `count` blocks that is sealed on one node; gives the length. */
async function fillSealed(node: ExtentNode, count: number, length = 1000): Promise<number> {
  await node.createExtent({ extentId: ID, epoch: 1 });
  let offset = FIRST;
  for (let sequence = 0; sequence < count; sequence++) {
    const next = appendOfOne({ extentId: ID, epoch: 1, offset, sequence, length });
    await node.append(next.message);
    offset = next.end;
  }
  await node.seal({ extentId: ID, epoch: 1, length: offset, acceptsDamage: false });
  return offset;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isStoreError(error) ? error.code : String(error);
  }
}

t.test('a node that has no replica makes one from the others, sealed and verified', async (t) => {
  const { nodes, memory, open } = await startNodes(3);
  const length = await fillSealed(nodes[0]!, 5);
  const sources = [memberId('node-0')];
  await nodes[1]!.rebuild({ extentId: ID, epoch: 1, length, sources, ...RATE });
  // Each of two damaged replicas gives what the other lacks.
  await flipByte(memory, pathOf(0), FIRST + 100);
  await flipByte(memory, pathOf(1), length - 100);
  const both = [memberId('node-0'), memberId('node-1')];
  await nodes[2]!.rebuild({ extentId: ID, epoch: 1, length, sources: both, ...RATE });
  for (const node of [nodes[2]!, await open(2)]) {
    t.match(await node.verify({ extentId: ID, length, bytesPerSecond: 1e12 }), {
      isIntact: true,
      blockCount: 5,
      verifiedBytes: length
    });
    t.same(await node.list({ limit: 9 }), [ID]);
    const range = { extentId: ID, blockOffset: FIRST, start: 0, length: 1000 };
    t.ok(payloadOf(0, 1000).equals(await node.readBlock(range)));
    t.same(await node.freeze({ extentId: ID, epoch: 1 }), { state: 'sealed', length });
  }
});

t.test('a rebuild that fails leaves the old replica, or none, and no other file', async (t) => {
  const { nodes, memory } = await startNodes(2);
  const length = await fillSealed(nodes[0]!, 5);
  await flipByte(memory, pathOf(0), FIRST + 1100);
  const message = { extentId: ID, epoch: 1, length, sources: [memberId('node-0')], ...RATE };
  t.equal(await codeOf(nodes[1]!.rebuild(message)), 'ChecksumMismatch');
  t.same(await nodes[1]!.list({ limit: 9 }), []);
  t.same(
    (await memory.list('/n1')).filter((name) => name.includes('extent')),
    []
  );
  t.equal(await codeOf(nodes[0]!.rebuild({ ...message, sources: [] })), 'ChecksumMismatch');
  const intact = { extentId: ID, blockOffset: FIRST, start: 0, length: 1000 };
  t.ok(payloadOf(0, 1000).equals(await nodes[0]!.readBlock(intact)), 'intact blocks stay');
});

t.test('every damaged byte of a sealed replica is found', async (t) => {
  const { nodes, memory } = await startNodes(1);
  const length = await fillSealed(nodes[0]!, 3, 100);
  const message = { extentId: ID, length, bytesPerSecond: 1e12 };
  // The checksums cover the identity, the newest slot and the blocks, but for the padding, of which a block has 4 bytes.
  let found = 0;
  const places = [0, 100, 507, extentSlotOffset(2), extentSlotOffset(2) + 30, FIRST, FIRST + 60, length - 30];
  for (const at of places) {
    await flipByte(memory, pathOf(0), at);
    const { isIntact } = await nodes[0]!.verify(message);
    t.equal(isIntact, false, `byte ${at}`);
    if (!isIntact) found += 1;
    await flipByte(memory, pathOf(0), at);
  }
  t.equal(found, places.length);
  t.equal((await nodes[0]!.verify(message)).isIntact, true);
  t.equal((await nodes[0]!.verify({ ...message, length: length - 8 })).isIntact, false, 'another length');
  const file = (await memory.findFile(pathOf(0)))!;
  await file.truncate(length - 8);
  t.equal((await nodes[0]!.verify(message)).isIntact, false, 'a short file');
  t.equal(await codeOf(nodes[0]!.verify({ ...message, extentId: extentId(9) })), 'ExtentNotFound');
});

t.test('copying and verifying keep to their rate, and end when given up', async (t) => {
  const { nodes, clock } = await startNodes(2);
  const length = await fillSealed(nodes[0]!, 10, 100_000);
  for (const run of [
    (signal?: AbortSignal) =>
      nodes[0]!.verify({ extentId: ID, length, bytesPerSecond: 500_000 }, signal ? { signal } : {}),
    (signal?: AbortSignal) =>
      nodes[1]!.rebuild(
        {
          extentId: ID,
          epoch: 1,
          length,
          sources: [memberId('node-0')],
          managerEpoch: 1,
          bytesPerSecond: 500_000
        },
        signal ? { signal } : {}
      )
  ]) {
    const startMs = clock.monotonicMs();
    let isDone = false;
    const running = run().then(() => {
      isDone = true;
    });
    while (!isDone) await clock.advance(10);
    await running;
    t.ok(clock.monotonicMs() - startMs >= 1900, `${clock.monotonicMs() - startMs} ms for 1 MB`);
    const controller = new AbortController();
    const givenUp = codeOf(run(controller.signal));
    await clock.advance(10);
    controller.abort();
    t.equal(await givenUp, 'Cancelled');
  }
});

t.test(
  'a node obeys no stream manager that is older than one it has heard of, also after a restart',
  async (t) => {
    const { nodes, open } = await startNodes(2);
    const length = await fillSealed(nodes[0]!, 2);
    const rebuild = { extentId: ID, epoch: 1, length, sources: [memberId('node-0')], ...RATE };
    await nodes[1]!.rebuild({ ...rebuild, managerEpoch: 7 });
    for (const node of [nodes[1]!, await open(1)]) {
      t.equal(await codeOf(node.deleteExtents({ extentIds: [ID], managerEpoch: 6 })), 'StaleEpoch');
      t.equal(await codeOf(node.rebuild({ ...rebuild, managerEpoch: 6 })), 'StaleEpoch');
      t.same(await node.list({ limit: 9 }), [ID]);
    }
    await nodes[1]!.deleteExtents({ extentIds: [ID], managerEpoch: 8 });
    t.same(await nodes[1]!.list({ limit: 9 }), []);
  }
);

t.test('a node without space makes no replica', async (t) => {
  const { nodes } = await startNodes(2, { bytesMax: 100_000 });
  const length = await fillSealed(nodes[0]!, 60);
  const rebuild = { extentId: ID, epoch: 1, length, sources: [memberId('node-0')], ...RATE };
  t.equal(await codeOf(nodes[1]!.rebuild(rebuild)), 'NoSpace');
  t.same(await nodes[1]!.list({ limit: 9 }), []);
});
