import t from 'tap';
import type { DiskFile } from './disk.js';
import type { DiskRule } from './disk-rules.js';
import { FaultyDisk } from './faulty-disk.js';
import { MemoryDisk } from './memory-disk.js';
import { pathPattern } from './path-pattern.js';
import { seededRandom } from './seeded-random.js';

t.test('lets each kind of operation fail on the paths that match, with the code of the fault', async (t) => {
  const rows: { on: DiskRule['on']; use: (disk: FaultyDisk) => Promise<unknown> }[] = [
    { on: 'create', use: (disk) => disk.createFile('/d/new') },
    { on: 'open', use: (disk) => disk.findFile('/d/f') },
    { on: 'read', use: (disk) => disk.findBytes('/d/f') },
    { on: 'write', use: (disk) => disk.writeBytes('/d/f', Buffer.from('x')) },
    { on: 'sync', use: (disk) => disk.writeBytes('/d/f', Buffer.from('x')) },
    { on: 'rename', use: (disk) => disk.rename('/d/f', '/d/g') },
    { on: 'remove', use: (disk) => disk.remove('/d/f') },
    { on: 'removeDirectory', use: (disk) => disk.removeDirectory('/d/f') },
    { on: 'list', use: (disk) => disk.list('/d/f') },
    { on: 'createDirectory', use: (disk) => disk.createDirectory('/d/f') },
    { on: 'syncDirectory', use: (disk) => disk.syncDirectory('/d/f') },
    { on: 'space', use: (disk) => disk.space('/d/f') },
    { on: 'any', use: (disk) => disk.findBytes('/d/f') }
  ];
  for (const { on, use } of rows) {
    for (const { fail, code } of [
      { fail: 'EIO', code: 'DiskFailed' },
      { fail: 'ENOSPC', code: 'NoSpace' }
    ] as const) {
      const { disk } = await openDisk();
      using _rule = disk.rules.add({ on, path: '/d/*', fail });
      await t.rejects(use(disk), { code, message: /\/d\// }, `${on} ${fail}`);
    }
  }
});

t.test('lets the operations of an open file fail', async (t) => {
  const { disk } = await openDisk();
  const rows: { on: DiskRule['on']; use: (file: DiskFile) => Promise<unknown> }[] = [
    { on: 'read', use: (file) => file.read(new Uint8Array(1), 0) },
    { on: 'write', use: (file) => file.write([Buffer.from('x')], 0) },
    { on: 'sync', use: (file) => file.sync() },
    { on: 'truncate', use: (file) => file.truncate(1) },
    { on: 'size', use: (file) => file.size() }
  ];
  for (const { on, use } of rows) {
    const file = (await disk.findFile('/d/f'))!;
    {
      using _rule = disk.rules.add({ on, path: 'f', fail: 'EIO' });
      await t.rejects(use(file), { code: 'DiskFailed' }, on);
    }
    const again = on === 'sync' ? (await disk.findFile('/d/f'))! : file;
    await t.resolves(use(again), `${on} goes well once the rule is disposed`);
  }
});

t.test('counts what matches: the first ones go well, then so many fail', async (t) => {
  const { disk } = await openDisk([{ on: 'list', path: '/d', fail: 'EIO', afterCount: 2, times: 3 }]);
  const outcomes: boolean[] = [];
  for (let round = 0; round < 7; round++) {
    await disk.list('/other');
    outcomes.push(
      await disk.list('/d').then(
        () => true,
        () => false
      )
    );
  }
  t.same(outcomes, [true, true, false, false, false, true, true]);
});

t.test('fails by chance, the same for the same seed', async (t) => {
  const run = async (seed: number): Promise<string> => {
    const { disk } = await openDisk([{ on: 'list', fail: 'EIO', chance: 0.3 }], seed);
    let outcomes = '';
    for (let round = 0; round < 300; round++) {
      outcomes += await disk.list('/d').then(
        () => '.',
        () => 'x'
      );
    }
    return outcomes;
  };
  const outcomes = await run(1);
  const faultCount = outcomes.replaceAll('.', '').length;
  t.ok(faultCount > 60 && faultCount < 120, `${faultCount} of 300`);
  t.equal(await run(1), outcomes);
  t.not(await run(2), outcomes);
});

t.test('leaves a first part of a write that fails, and nothing of what follows it', async (t) => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 20; seed++) {
    const { disk, inner } = await openDisk([{ on: 'write', path: 'g', fail: 'ENOSPC' }], seed);
    const file = await disk.createFile('/d/g');
    await t.rejects(file.write([Buffer.alloc(50, 1), Buffer.alloc(50, 1)], 0), { code: 'NoSpace' });
    const left = (await inner.findBytes('/d/g'))!;
    t.ok(left.byteLength < 100 && left.every((byte) => byte === 1), `seed ${seed}`);
    lengths.add(left.byteLength);
  }
  t.ok(lengths.size > 10);
});

t.test(
  'loses in a failed sync some writes since the last one, and takes no more until reopened',
  async (t) => {
    const lostCounts = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { disk, inner } = await openDisk([{ on: 'sync', path: 'g', fail: 'EIO', afterCount: 1 }], seed);
      const file = await disk.createFile('/d/g');
      await file.write([Buffer.alloc(8, 9)], 0);
      await file.sync();
      for (let index = 0; index < 8; index++) await file.write([Buffer.of(index + 10)], index);
      await file.write([Buffer.alloc(4, 50)], 8);
      await t.rejects(file.sync(), { code: 'DiskFailed' });
      disk.rules.clear();
      await t.rejects(file.sync(), { code: 'DiskFailed' }, 'a second try must not seem to succeed');
      await t.rejects(file.write([Buffer.of(1)], 0), { code: 'DiskFailed' });
      const left = (await inner.findBytes('/d/g'))!;
      t.equal(left.byteLength, 12);
      const lost = [...left.subarray(0, 8)].filter((byte, index) => byte !== index + 10);
      t.ok(lost.every((byte) => byte === 9));
      t.ok([0, 50].includes(left[8]!));
      lostCounts.add(lost.length);
      const reopened = (await disk.findFile('/d/g'))!;
      await reopened.write([Buffer.of(77)], 0);
      await reopened.sync();
    }
    t.ok(lostCounts.size > 3);
  }
);

t.test('flips one bit of what is read and none of what is stored', async (t) => {
  const { disk, inner } = await openDisk([{ on: 'read', path: 'f', fail: 'flip', times: 1 }]);
  const file = (await disk.findFile('/d/f'))!;
  const [damaged, whole] = [Buffer.alloc(7), Buffer.alloc(7)];
  await file.read(damaged, 0);
  await file.read(whole, 0);
  t.same(whole, Buffer.from('content'));
  let bitCount = 0;
  for (const [index, byte] of damaged.entries()) bitCount += ones(byte ^ whole[index]!);
  t.equal(bitCount, 1);
  t.same(await inner.findBytes('/d/f'), new Uint8Array(Buffer.from('content')));
});

t.test('never answers while a rule lets it hang, and answers others', async (t) => {
  const { disk } = await openDisk([{ on: 'read', path: 'f', fail: 'hang', times: 1 }]);
  let hasAnswered = false;
  void disk.findBytes('/d/f').then(() => {
    hasAnswered = true;
  });
  t.ok(await disk.findBytes('/d/f'));
  t.equal(hasAnswered, false);
});

t.test('matches paths by pattern', async (t) => {
  const rows = [
    { pattern: 'extent-*', path: '/a/b/extent-7', matches: true },
    { pattern: 'extent-*', path: '/extent-7/b', matches: false },
    { pattern: '/a/*', path: '/a/b', matches: true },
    { pattern: '/a/*', path: '/a/b/c', matches: false },
    { pattern: '/a/**', path: '/a/b/c', matches: true },
    { pattern: '**/c', path: '/a/b/c', matches: true },
    { pattern: '?.log', path: '/a/x.log', matches: true },
    { pattern: '?.log', path: '/a/xylog', matches: false },
    { pattern: 'a.b+(c)', path: '/a.b+(c)', matches: true },
    { pattern: 'a.b', path: '/axb', matches: false }
  ];
  for (const { pattern, path, matches } of rows)
    t.equal(pathPattern(pattern)(path), matches, `${pattern} ${path}`);
});

async function openDisk(
  rules: readonly DiskRule[] = [],
  seed = 1
): Promise<{ disk: FaultyDisk; inner: MemoryDisk }> {
  const inner = new MemoryDisk();
  await inner.createDirectory('/d');
  await inner.writeBytes('/d/f', Buffer.from('content'));
  return { inner, disk: new FaultyDisk(inner, { random: seededRandom(seed), rules }) };
}

function ones(byte: number): number {
  return byte.toString(2).replaceAll('0', '').length;
}
