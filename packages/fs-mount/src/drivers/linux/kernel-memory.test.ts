import t from 'tap';
import { KernelMemory } from './kernel-memory.js';
import { type Node, NodeTable } from './node-table.js';
import type { SendMessages } from './notice-lane.js';

/* What the kernel is told to forget, with a kernel that takes messages when the test says so. */

const SHORT = { seconds: 1, nanoseconds: 0 };
const LONG = { seconds: 3600, nanoseconds: 0 };
const NONE = { seconds: 0, nanoseconds: 0 };

function started({ hasEpochs = true } = {}) {
  const nodes = new NodeTable();
  let isWatched = true;
  const memory = new KernelMemory({
    nodes,
    isWatched: () => isWatched,
    isGuarded: () => false,
    unwatched: SHORT
  });
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  let isHolding = false;
  const lane = (index: number): SendMessages => {
    return (messages, onDone) => {
      const take = () => {
        taken.push(...parse(Buffer.from(messages), nodes).map((line) => `${index} ${line}`));
        setImmediate(onDone);
      };
      if (isHolding && index === 0) waiting.push(take);
      else take();
      return 0;
    };
  };
  memory.start(lane, { hasEpochs });
  const take = async () => {
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    return taken.splice(0);
  };
  const hold = () => {
    isHolding = true;
    return () => {
      isHolding = false;
      for (const run of waiting.splice(0)) run();
    };
  };
  const at = (path: string): Node => {
    let node = nodes.root;
    for (const name of path.slice(1).split('/')) node = nodes.lookup(node, name);
    return node;
  };
  const lose = () => {
    isWatched = false;
  };
  return { memory, nodes, take, hold, at, lose };
}

t.test('answers hold while every change is told, and for a moment otherwise', (t) => {
  const { memory, lose } = started();
  const mark = memory.mark('/d/f');
  t.same(memory.validityOf('/d/f', mark), LONG);
  t.same(memory.absenceOf('/d/f', mark), LONG);
  t.same(memory.validityIn('/d', 'f'), LONG);
  t.same(memory.validityOf('/d/%=file=f', memory.mark('/d/%=file=f')), SHORT, 'a name nobody speaks of');
  t.same(memory.validityIn(undefined, 'f'), SHORT);
  lose();
  t.same(memory.validityOf('/d/f', mark), SHORT);
  t.same(memory.validityIn('/d', 'f'), SHORT);
  const older = started({ hasEpochs: false }).memory;
  t.same(
    older.absenceOf('/f', older.mark('/f')),
    SHORT,
    'names that are not there cannot be taken back all at once'
  );
  t.end();
});

t.test('an answer that a change overtook is not believed', (t) => {
  const { memory } = started();
  const paths = ['/', '/d', '/d/f', '/d/other'];
  const overtaken = (change: () => void) => {
    const marks = paths.map((path) => memory.mark(path));
    change();
    return paths.filter(
      (path, index) => memory.validityOf(path, marks[index]!) !== LONG && !isLong(path, marks[index]!)
    );
  };
  const isLong = (path: string, mark: number) => memory.validityOf(path, mark).seconds === LONG.seconds;
  t.same(
    overtaken(() => memory.changed('/d/f', { isGone: false })),
    ['/', '/d', '/d/f']
  );
  t.same(
    overtaken(() => memory.bytesChanged('/d/f')),
    ['/', '/d', '/d/f']
  );
  t.same(
    overtaken(() => memory.treeChanged('/x')),
    paths
  );
  t.same(
    overtaken(() => memory.allChanged()),
    paths
  );
  t.same(memory.validityOf('/d/f', memory.mark('/d/f') - 1), NONE);
  t.end();
});

t.test('a change is told by name and by number', async (t) => {
  const { memory, at, take } = started({ hasEpochs: false });
  const file = at('/d/f');
  memory.changed('/d/f', { isGone: false });
  t.same(await take(), [`0 entry ${file.parent!.id} f`, `0 attributes ${file.id}`]);
  memory.changed('/d/f', { isGone: true });
  t.same(await take(), ['0 entry 1 d', `0 entry ${file.parent!.id} f`, `0 attributes ${file.id}`]);
  memory.changed('/d/new', { isGone: false });
  t.same(await take(), [`0 entry ${file.parent!.id} new`], 'the kernel may remember that it was not there');
  memory.changed('/unknown/a/b', { isGone: false });
  t.same(await take(), ['0 entry 1 unknown']);
  memory.changed('/d/f/below', { isGone: false });
  t.same(
    await take(),
    [`0 entry ${file.id} below`, `0 entry ${file.parent!.id} f`, `0 attributes ${file.id}`],
    'what was a file may be a directory'
  );
  memory.bytesChanged('/d/f');
  memory.bytesChanged('/d/none');
  t.same(await take(), [`1 bytes ${file.id}`]);
  memory.changed(`/d/${'n'.repeat(300)}`, { isGone: false });
  t.same(await take(), []);
});

t.test('a name that is not UTF-8 is told as its bytes, and as the text that stands for it', async (t) => {
  const { memory, at, take } = started({ hasEpochs: false });
  const path = '/d/%=bytes=caf%E9';
  t.same(memory.validityOf(path, memory.mark(path)), LONG);
  t.same(memory.validityOf(`${path}/%=file=f`, memory.mark(path)), SHORT);
  const file = at(path);
  const { id } = file.parent!;
  memory.changed(path, { isGone: false });
  t.same(await take(), [
    `0 entry ${id} caf\ufffd`,
    `0 entry ${id} %=bytes=caf%E9`,
    `0 attributes ${file.id}`
  ]);
  const longest = `%=bytes=${'%E9'.repeat(255)}`;
  memory.changed(`/d/${longest}`, { isGone: false });
  t.same(await take(), [`0 entry ${id} ${'\ufffd'.repeat(255)}`, `0 entry ${id} ${longest}`]);
});

t.test('where the kernel can forget all names at once it waits for no directory', async (t) => {
  const { memory, at, take } = started();
  const file = at('/d/f');
  memory.changed('/d/f', { isGone: true });
  memory.changed('/d/new', { isGone: false });
  const lines = await take();
  t.same([...new Set(lines)], ['0 all entries', `0 attributes ${file.id}`]);
  t.ok(lines.length <= 4, `${lines.length} notices`);
});

t.test('trees and everything are told in slices', async (t) => {
  for (const hasEpochs of [true, false]) {
    const { memory, at, take } = started({ hasEpochs });
    const top = at('/tree');
    for (let index = 0; index < 5000; index++) at(`/tree/d${index % 7}/f${index}`);
    at('/other/f');
    memory.treeChanged('/tree');
    const lines = await take();
    const entries = hasEpochs ? 0 : 1 + 5000 + 7 + 1;
    // The top is told once more, before what is below it.
    t.equal(lines.filter((line) => line.startsWith('0 attributes')).length, 5000 + 7 + 1);
    t.equal(lines.includes('0 all entries'), hasEpochs);
    t.equal(lines.filter((line) => line.startsWith('0 entry')).length, entries, 'each name once');
    t.ok(lines.includes(`0 attributes ${top.id}`));
    memory.allChanged();
    memory.allChanged();
    // The first slice of the first time was on its way already.
    const count = (await take()).filter((line) => line.startsWith('0 attributes')).length;
    t.ok(count >= 5011 && count < 5011 + 2000, `${count} for 5011`);
  }
});

t.test('when too much waits everything is forgotten instead, and nothing waits for names', async (t) => {
  const { memory, at, take, hold } = started({ hasEpochs: false });
  const file = at('/f');
  const release = hold();
  for (let index = 0; index < 30_000; index++) memory.changed(`/n${index}`, { isGone: false });
  memory.changed('/f', { isGone: false });
  t.ok(memory.isBehind(file));
  await memory.forgetAttributes(file);
  await memory.forgetBytes(file, 0, 0);
  t.same(await take(), [`2 attributes ${file.id}`, `1 bytes ${file.id}`]);
  release();
  const lines = await take();
  t.ok(lines.length < 20_000, `${lines.length} notices`);
  t.ok(lines.includes(`0 attributes ${file.id}`));
  t.notOk(memory.isBehind(file));
  await memory.close();
  memory.changed('/f', { isGone: false });
  await memory.forgetAttributes(file);
  t.same(await take(), [], 'closed');
});

/** The messages as <linux/fuse.h> has them. */
function parse(bytes: Buffer, nodes: NodeTable): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) {
    const code = bytes.readInt32LE(at + 4);
    if (bytes.readBigUInt64LE(at + 8) !== 0n) throw new Error('a notice has no request');
    const id = Number(code === 8 ? 0n : bytes.readBigUInt64LE(at + 16));
    if (code === 8) lines.push('all entries');
    else if (code === 2) lines.push(`${bytes.readBigInt64LE(at + 24) < 0n ? 'attributes' : 'bytes'} ${id}`);
    else if (code === 3) {
      const length = bytes.readUInt32LE(at + 24);
      if (bytes.readUInt32LE(at + 28) !== 1 || bytes[at + 32 + length] !== 0)
        throw new Error('a wrong entry');
      lines.push(`entry ${id} ${bytes.toString('utf8', at + 32, at + 32 + length)}`);
    } else throw new Error(`code ${code}`);
    if (id !== 0 && !nodes.find(id)) throw new Error(`nobody knows ${id}`);
  }
  return lines;
}
