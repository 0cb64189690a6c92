import t from 'tap';
import { BUCKET, namesIn, pattern, readFile, startDrive, writeFile } from './testing/drive.js';

const MIB = 1024 * 1024;

t.test('a new small file with its attributes is one call, at close', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  const handle = await fileSystem.create('/f', 0o644, { writable: true });
  await handle.write(0, pattern(1000));
  await handle.write(1000, pattern(1000));
  await fileSystem.utimens('/f', { seconds: 1, nanoseconds: 0 }, { seconds: 2, nanoseconds: 0 });
  await fileSystem.chmod('/f', 0o600);
  await fileSystem.chown('/f', 1, 2);
  t.same(store.takeMutations(), []);
  await handle.flush();
  await handle.release();
  t.same(store.takeMutations(), ['objects.put']);
  const { attributes } = await store.direct.objects.head({ bucket: BUCKET, key: 'f' });
  t.same(attributes.mtime, { seconds: 2, nanoseconds: 0 });
  t.same([attributes.mode, attributes.uid, attributes.gid], [0o100600, 1, 2]);
});

t.test('times and mode set after close are one call more', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'x');
  store.takeCalls();
  await fileSystem.utimens('/f', { seconds: 1, nanoseconds: 0 }, { seconds: 2, nanoseconds: 0 });
  await fileSystem.chmod('/f', 0o600);
  await clock.advance(1000);
  t.same(store.takeMutations(), ['objects.setAttributes']);
  const { attributes } = await store.direct.objects.head({ bucket: BUCKET, key: 'f' });
  t.same([attributes.mode, attributes.mtime?.seconds], [0o100600, 2]);
});

t.test('closing and syncing what has not changed is free', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await writeFile(fileSystem, '/f', 'x');
  store.takeCalls();
  const handle = await fileSystem.open('/f', { writable: true });
  await handle.flush();
  await handle.fsync();
  await handle.flush();
  await handle.release();
  t.same(store.takeCalls(), ['objects.stat'], 'opening asks for the newest version');
});

t.test('while the watch is live only opening asks, and not even that without the check', async (t) => {
  for (const checksOnOpen of [true, false]) {
    await using drive = await startDrive({ checksOnOpen });
    const { fileSystem, store, clock } = drive;
    fileSystem.start();
    await clock.advance(1);
    await writeFile(fileSystem, '/d/f', 'x');
    await namesIn(fileSystem, '/d');
    t.equal(await fileSystem.findAttributes('/d/none'), undefined);
    await fileSystem.getattr('/d');
    await clock.advance(3_600_000);
    store.takeCalls();
    await fileSystem.getattr('/d/f');
    await fileSystem.getattr('/d');
    t.equal(await fileSystem.findAttributes('/d/none'), undefined);
    t.same(store.takeCalls(), [], 'attributes, and what is not there');
    for (let count = 0; count < 3; count++) {
      const handle = await fileSystem.open('/d/f');
      t.notOk(handle.isNews);
      await handle.release();
    }
    t.same(store.takeCalls(), checksOnOpen ? Array(3).fill('objects.stat') : []);
    await store.direct.objects.put({ bucket: BUCKET, key: 'd/f', body: Buffer.from('other') });
    await clock.advance(1);
    const handle = await fileSystem.open('/d/f');
    t.ok(handle.isNews);
    t.equal(handle.attributes().size, 5);
    await handle.release();
    t.same(store.takeCalls(), ['objects.stat']);
  }
});

t.test('scattered changes of a large file are one call that carries only them', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await writeFile(fileSystem, '/f', pattern(20 * MIB));
  const handle = await fileSystem.open('/f', { writable: true });
  store.takeCalls();
  for (let index = 0; index < 100; index++) await handle.write(index * 200_000, pattern(100, index));
  await handle.flush();
  t.same(store.takeCalls(), ['objects.edit']);
  const expected = pattern(20 * MIB);
  for (let index = 0; index < 100; index++) expected.set(pattern(100, index), index * 200_000);
  t.ok(Buffer.from(expected).equals(await readFile(fileSystem, '/f')));
});

t.test(
  'a large file is sent while it is written, eight blocks at a time, and memory stays bounded',
  async (t) => {
    await using drive = await startDrive({ writeMemoryBytes: 24 * MIB });
    const { fileSystem, store } = drive;
    const handle = await fileSystem.create('/big', 0o644, { writable: true });
    let most = 0;
    for (let offset = 0; offset < 100 * MIB; offset += 128 * 1024) {
      await handle.write(offset, pattern(128 * 1024, offset % 251));
      most = Math.max(most, fileSystem.status.writeMemoryBytes);
    }
    t.ok(store.calls.includes('uploads.write'), 'before the file is closed');
    await handle.flush();
    await handle.release();
    const calls = store.takeCalls();
    t.equal(calls.filter((call) => call === 'uploads.write').length, 25);
    t.equal(calls.filter((call) => call === 'uploads.complete').length, 1);
    t.ok(most <= 24 * MIB, `${most} bytes at most`);
    t.equal(fileSystem.status.writeMemoryBytes, 0, 'all given back');
    const { size } = await store.direct.objects.head({ bucket: BUCKET, key: 'big' });
    t.equal(size, 100 * MIB);
  }
);

t.test('writers wait when the write memory is full and go on when the store takes data again', async (t) => {
  await using drive = await startDrive({ writeMemoryBytes: 16 * MIB });
  const { fileSystem, store, clock } = drive;
  const handle = await fileSystem.create('/big', 0o644, { writable: true });
  const held = store.hold('uploads.write');
  let written = 0;
  const writing = (async () => {
    for (; written < 40; written++) await handle.write(written * MIB, pattern(MIB, written));
  })();
  await clock.advance(1000);
  t.ok(written < 17, `${written} MiB were taken`);
  t.ok(fileSystem.status.writeMemoryBytes <= 16 * MIB);
  held.release();
  await writing;
  await handle.flush();
  t.equal((await store.direct.objects.head({ bucket: BUCKET, key: 'big' })).size, 40 * MIB);
});

t.test('a writer that fills the memory while its file is stored goes on right after that', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  const handle = await fileSystem.create('/f', 0o644, { writable: true });
  const block = pattern(MIB);
  const turns = async (count: number) => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  let written = 0;
  for (; written < 20; written++) await handle.write(written * MIB, block);
  const complete = store.hold('uploads.complete');
  const flushing = handle.flush();
  const writing = (async () => {
    for (; written < 100; written++) await handle.write(written * MIB, block);
  })();
  await turns(1000);
  t.ok(written < 80, `the memory is full after ${written} MiB, and the file is being stored`);
  complete.release();
  await turns(10_000);
  t.equal(written, 100, 'without the help of time');
  await writing;
  await flushing;
  await handle.flush();
  t.equal((await store.direct.objects.head({ bucket: BUCKET, key: 'f' })).size, 100 * MIB);
  await handle.release();
});

t.test('writing and reading can go on while a large file is being stored', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  const handle = await fileSystem.create('/big', 0o644, { writable: true });
  const expected = Buffer.alloc(30 * MIB);
  const write = async (offset: number, bytes: Uint8Array) => {
    expected.set(bytes, offset);
    await handle.write(offset, bytes);
  };
  for (let index = 0; index < 30; index++) await write(index * MIB, pattern(MIB, index));
  const seen = Buffer.alloc(100);
  await handle.read(5 * MIB - 50, seen);
  t.ok(seen.equals(expected.subarray(5 * MIB - 50, 5 * MIB + 50)), 'what only the upload has');
  const held = store.hold('uploads.complete');
  await write(3 * MIB, pattern(1000, 7));
  for (let index = 0; index < 12; index++) await write(index * MIB + 5, pattern(MIB, index + 100));
  const flushing = handle.flush();
  await clock.advance(1);
  await write(4 * MIB - 10, pattern(500, 9));
  // What only the upload has can be read when it is complete.
  const reading = handle.read(4 * MIB - 50, seen);
  await clock.advance(1);
  held.release();
  await reading;
  t.ok(seen.equals(expected.subarray(4 * MIB - 50, 4 * MIB + 50)), 'while it is being completed');
  await flushing;
  await handle.flush();
  t.ok(expected.equals(await readFile(fileSystem, '/big')));
});

t.test('a file that stays open is stored every five seconds', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  const handle = await fileSystem.create('/log', 0o644, { writable: true });
  await handle.write(0, Buffer.from('one'));
  await clock.advance(4000);
  t.same(store.takeMutations(), []);
  await clock.advance(2500);
  t.same(store.takeMutations(), ['objects.put']);
  await clock.advance(60_000);
  t.same(store.takeMutations(), [], 'once');
  await handle.write(3, Buffer.from('two'));
  await clock.advance(6500);
  t.same(store.takeMutations(), ['objects.edit']);
});

t.test(
  'a directory of 100,000 files is listed in pages, and stat of each of its files asks nothing',
  async (t) => {
    await using drive = await startDrive({ attributeCountMax: 200_000 });
    const { fileSystem, store } = drive;
    const { objects } = store.direct;
    const head = await objects.put({ bucket: BUCKET, key: 'many/f', body: new Uint8Array(0) });
    // The memory store lists all keys for every page; a page each is made here instead.
    const names = Array.from({ length: 100_000 }, (_, index) => `f${String(index).padStart(6, '0')}`);
    store.observed.objects.list = async ({ continuationToken = '0' }) => {
      store.calls.push('objects.list');
      const start = Number(continuationToken);
      const page = names.slice(start, start + 1000).map((name) => ({ ...head, key: `many/${name}` }));
      const isTruncated = start + 1000 < names.length;
      return {
        objects: page,
        commonPrefixes: [],
        isTruncated,
        ...(isTruncated && { continuationToken: String(start + 1000) })
      };
    };
    store.takeCalls();
    t.same(await namesIn(fileSystem, '/many'), names);
    t.same(store.takeCalls(), ['objects.stat', ...Array.from({ length: 100 }, () => 'objects.list')]);
    for (const name of names) await fileSystem.getattr(`/many/${name}`);
    t.same(store.takeCalls(), []);
  }
);

t.test('reading a file in order asks for large ranges ahead, and each byte once', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  const content = pattern(40 * MIB);
  await writeFile(fileSystem, '/f', content);
  store.takeCalls();
  const handle = await fileSystem.open('/f');
  const seen = Buffer.alloc(128 * 1024);
  let asked = 0;
  const read = store.observed.objects.read;
  store.observed.objects.read = async (input) => {
    asked += input.length ?? 0;
    return read(input);
  };
  for (let offset = 0; offset < content.length; offset += seen.length) {
    t.equal(await handle.read(offset, seen), seen.length);
    if (!seen.equals(content.subarray(offset, offset + seen.length))) t.fail(`differs at ${offset}`);
    if (fileSystem.status.readMemoryBytes > 64 * MIB) t.fail('more than the cache and what is under way');
  }
  t.equal(asked, content.length);
  const calls = store.takeCalls().length;
  t.ok(calls <= 40, `${calls} calls for 40 MiB`);
});

t.test('one read larger than the cache ends, and asks for each byte once', async (t) => {
  await using drive = await startDrive({ readMemoryBytes: 16 * MIB });
  const { fileSystem, store } = drive;
  const content = pattern(40 * MIB);
  await writeFile(fileSystem, '/f', content);
  let asked = 0;
  const read = store.observed.objects.read;
  store.observed.objects.read = async (input) => {
    asked += input.length ?? 0;
    if (asked > 2 * content.length) throw new Error('the same bytes again and again');
    return read(input);
  };
  const handle = await fileSystem.open('/f');
  const seen = Buffer.alloc(content.length);
  t.equal(await handle.read(0, seen), content.length);
  t.ok(seen.equals(content));
  t.equal(asked, content.length);
});

t.test('random reads ask for no more than their neighbourhood', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  const content = pattern(40 * MIB);
  await writeFile(fileSystem, '/f', content);
  const handle = await fileSystem.open('/f');
  let asked = 0;
  const read = store.observed.objects.read;
  store.observed.objects.read = async (input) => {
    asked += input.length ?? 0;
    return read(input);
  };
  const seen = Buffer.alloc(4096);
  const offsets = Array.from(
    { length: 50 },
    (_, index) => ((index * 7_654_321 + 5_000_000) % (39 * MIB)) + 1
  );
  for (const offset of offsets) {
    await handle.read(offset, seen);
    t.ok(seen.equals(content.subarray(offset, offset + 4096)));
  }
  t.ok(asked <= 50 * 128 * 1024, `${asked} bytes for 200 KiB`);
});
