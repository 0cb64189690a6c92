import t from 'tap';
import { DiskCache } from '../../disk-cache/index.js';
import type { FileHandle } from '../../file-handle.js';
import { type Drive, pattern, startDrive, writeFile } from '../../testing/drive.js';
import { MemoryCacheDisk } from '../../testing/memory-cache-disk.js';
import { settle, VirtualClock } from '../../testing/virtual-clock.js';
import type { Addon, Channel } from './addon.js';
import { INIT_FLAG, NEWER_FOPEN, NEWER_INIT_FLAG } from './fuse-constants.js';
import { NO_TIME } from './fuse-replies.js';
import { KernelMemory } from './kernel-memory.js';
import { type Node, NodeTable } from './node-table.js';
import { type OpenMode, type OpenOutcome, openFlagsOf, Passthrough } from './passthrough.js';

/* Which way an open goes, with a kernel that only counts what it is given. */

const SIZE = 300_000;
const O_WRONLY = 1;
const O_RDWR = 2;
const TEST = { skip: process.getuid?.() === 0 ? false : 'only root may let the kernel read by itself' };

interface World extends AsyncDisposable {
  readonly drive: Drive;
  readonly disk: MemoryCacheDisk;
  readonly nodes: NodeTable;
  readonly passthrough: Passthrough;
  /** Numbers of files that the kernel has, and those it was told to let go of. */
  readonly kernel: { readonly given: number[]; readonly closed: number[]; refuses: boolean };
  readonly outcomes: OpenOutcome[];
  open(name: string, flags?: number): Promise<{ handle: FileHandle; mode: OpenMode | 'stale'; node: Node }>;
}

async function start(names: readonly string[]): Promise<World> {
  const disk = new MemoryCacheDisk();
  disk.descriptor = 7;
  const options = { limitBytes: 2 ** 30, freeShareMin: 0, clock: new VirtualClock() };
  const diskCache = await DiskCache.open({ disk, ...options, onEvent: () => undefined });
  const drive = await startDrive({ diskCache });
  for (const name of names) {
    await writeFile(drive.fileSystem, `/${name}`, pattern(SIZE));
    const handle = await drive.fileSystem.open(`/${name}`);
    await handle.read(0, Buffer.alloc(SIZE));
    await handle.release();
  }
  await settle();
  const kernel = { given: [] as number[], closed: [] as number[], refuses: false };
  const addon = {
    backingOpen: () => (kernel.refuses ? -1 : kernel.given.push(kernel.given.length + 1)),
    backingClose: (_channel: Channel, id: number) => kernel.closed.push(id) && 0
  } as unknown as Addon;
  const nodes = new NodeTable();
  const { fileSystem } = drive;
  const memory = new KernelMemory({
    nodes,
    isWatched: () => false,
    isGuarded: () => false,
    unwatched: NO_TIME
  });
  const outcomes: OpenOutcome[] = [];
  const passthrough = new Passthrough({
    addon,
    fileSystem,
    nodes,
    memory,
    onEvent: () => undefined,
    onOpen: (outcome) => outcomes.push(outcome)
  });
  passthrough.channel = {} as Channel;
  passthrough.agree(INIT_FLAG.FUSE_INIT_EXT, NEWER_INIT_FLAG.FUSE_PASSTHROUGH);
  return {
    drive,
    disk,
    nodes,
    passthrough,
    kernel,
    outcomes,
    async open(name, flags = 0) {
      const node = nodes.lookup(nodes.root, name);
      const handle = await fileSystem.open(`/${name}`, { writable: flags !== 0 });
      return { node, handle, mode: await passthrough.enter(node, handle, flags) };
    },
    async [Symbol.asyncDispose]() {
      await passthrough.close();
      await drive[Symbol.asyncDispose]();
      await diskCache.close();
    }
  };
}

function backingOf({ mode }: { readonly mode: OpenMode | 'stale' }): number | 'stale' | undefined {
  return mode === 'stale' ? 'stale' : mode.backing?.id;
}

t.test('handles of one inode share a file, which is given back once', TEST, async (t) => {
  await using world = await start(['f']);
  const opened = await Promise.all([world.open('f'), world.open('f'), world.open('f')]);
  opened.push(await world.open('f', O_WRONLY));
  t.same(opened.map(backingOf), [1, 1, 1, 1]);
  t.same(world.outcomes, ['kernel', 'kernel', 'kernel', 'writing']);
  t.same(world.kernel.given, [1]);
  for (const { mode } of opened) {
    t.same(world.kernel.closed, []);
    world.passthrough.leave(mode as OpenMode);
  }
  await settle();
  t.same(world.kernel.closed, [1]);
  t.equal(backingOf(await world.open('f')), 2, 'and another one the next time');
});

t.test('who goes the other way gets another inode', TEST, async (t) => {
  await using world = await start(['f', 'g']);
  const reader = await world.open('f');
  const both = await world.open('f', O_RDWR);
  t.same([backingOf(reader), backingOf(both)], [1, 'stale']);
  const again = await world.open('f', O_RDWR);
  t.not(again.node, reader.node);
  t.equal(backingOf(again), undefined);
  t.equal(openFlagsOf(again.mode as OpenMode, O_RDWR), 0);
  t.equal(openFlagsOf(reader.mode as OpenMode, 0), NEWER_FOPEN.FOPEN_PASSTHROUGH);
  t.equal(backingOf(await world.open('f')), undefined, 'as the first one there does');
  t.equal(backingOf(await world.open('g', O_RDWR)), undefined);
  t.equal(backingOf(await world.open('g')), undefined, 'nor after one who reads and writes');
});

t.test('a file is handed over only when it is what is stored', TEST, async (t) => {
  await using world = await start(['f', 'g', 'h']);
  await (await world.drive.fileSystem.open('/f', { writable: true })).write(0, Buffer.from('x'));
  t.equal(backingOf(await world.open('f')), undefined, 'not with changes');
  const first = await world.open('g');
  const { bucket, key } = first.handle.state.base!;
  const head = await world.drive.store.direct.objects.put({ bucket, key, body: pattern(SIZE, 3) });
  first.handle.state.adopt(head);
  t.equal(backingOf(await world.open('g')), 'stale', 'not after others have changed it');
  world.kernel.refuses = true;
  t.equal(backingOf(await world.open('h')), undefined, 'not to a kernel that refuses');
  t.same(world.outcomes, ['unstored', 'kernel', 'off']);
  t.same(world.kernel.given, [1]);
});

t.test('what is written is in the file, which is nobody else’s then', TEST, async (t) => {
  await using world = await start(['f']);
  await world.open('f');
  const [name] = [...world.disk.files.keys()].filter((one) => !one.endsWith('.sums'));
  const file = world.disk.files.get(name!)!;
  const { handle } = await world.open('f', O_WRONLY);
  await handle.write(100, Buffer.from('written'));
  t.equal(Buffer.from(file.bytes.subarray(100, 107)).toString(), 'written');
  await handle.write(SIZE, Buffer.from('appended'));
  t.equal(file.bytes.byteLength, SIZE + 8);
  await handle.truncate(50);
  t.equal(file.bytes.byteLength, 50);
  await settle();
  t.notOk(world.disk.files.has(name!), 'out of the cache');
  await handle.flush();
  t.equal(backingOf(await world.open('f')), 1, 'and still what the file is');
});

t.test('a file that cannot follow is not handed to anybody else', TEST, async (t) => {
  await using world = await start(['f']);
  await world.open('f');
  const { handle } = await world.open('f', O_WRONLY);
  world.disk.failing = (call) => call === 'writeAt';
  await handle.write(0, Buffer.from('written'));
  t.equal(backingOf(await world.open('f')), 'stale');
});
