import t from 'tap';
import { BUCKET, readFile, startDrive, writeFile } from './testing/drive.js';
import { recordingListener } from './testing/recording-listener.js';

/* What a driver is told of changes, which is what its kernel is made to forget. */

async function followed(options: Parameters<typeof startDrive>[0] = {}) {
  const drive = await startDrive(options);
  const { watch } = drive.store.observed.objects;
  let cutting = new AbortController();
  drive.store.observed.objects.watch = async function* (input, { signal }) {
    yield* watch(input, { signal: AbortSignal.any([signal, cutting.signal]) });
  };
  /** Ends the watch as a lost connection does. */
  const cut = async () => {
    cutting.abort();
    cutting = new AbortController();
    await drive.clock.advance(1);
  };
  const { listener, told } = recordingListener();
  drive.fileSystem.follow(listener);
  drive.fileSystem.start();
  await drive.clock.advance(1);
  const take = async () => {
    await drive.clock.advance(1);
    return told.splice(0).sort();
  };
  return { ...drive, take, cut, at: (key: string) => ({ bucket: BUCKET, key }) };
}

t.test('a watch is live at once, and begins with everything forgotten', async (t) => {
  const { fileSystem, take } = await followed();
  t.ok(fileSystem.isWatched());
  t.same(await take(), ['all']);
  fileSystem.close();
});

t.test('nothing is told of own changes, whether their events come before the answers or after', async (t) => {
  const { fileSystem, store, take, clock } = await followed();
  await take();
  const change = async () => {
    await writeFile(fileSystem, '/f', 'one');
    await writeFile(fileSystem, '/f', 'two');
    await fileSystem.mkdir('/d', 0o755);
    await fileSystem.rename('/f', '/d/g');
    await fileSystem.chmod('/d/g', 0o600);
    await fileSystem.utimens('/d/g', { seconds: 1, nanoseconds: 0 }, undefined);
    await clock.advance(100);
    await fileSystem.symlink('/link', 'd/g');
    const big = await fileSystem.create('/big', 0o644, { writable: true });
    await big.write(0, Buffer.alloc(9 * 1024 * 1024, 1));
    await big.flush();
    await big.release();
    await fileSystem.rename('/d', '/e');
    await fileSystem.unlink('/e/g');
    await fileSystem.unlink('/big');
    await fileSystem.unlink('/link');
    await fileSystem.rmdir('/e');
  };
  for (let round = 0; round < 3; round++) await change();
  t.same(await take(), [], 'events on their way while calls are answered');
  const { put, edit } = store.observed.objects;
  const late = <Call extends (...parameters: never[]) => Promise<unknown>>(call: Call) =>
    (async (...parameters: never[]) => {
      const answer = await call(...parameters);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      return answer;
    }) as unknown as Call;
  store.observed.objects.put = late(put);
  store.observed.objects.edit = late(edit);
  await change();
  t.same(await take(), [], 'events before their answers');
  fileSystem.close();
});

t.test('each change of others is told by path', async (t) => {
  const { fileSystem, store, take, at } = await followed({ prefix: 'shown/' });
  const { objects } = store.direct;
  const body = Buffer.from('x');
  await take();
  await objects.put({ ...at('shown/a/b'), body });
  await objects.put({ ...at('elsewhere'), body });
  t.same(await take(), ['changed /a/b']);
  await objects.put({ ...at('shown/d/'), body: Buffer.alloc(0) });
  await objects.rename({ ...at('shown/a/b'), to: { key: 'shown/c' } });
  t.same(await take(), ['changed /c', 'changed /d', 'gone /a/b']);
  await objects.setAttributes({ ...at('shown/c'), attributes: { mode: 0o100600 } });
  await objects.delete(at('shown/c'));
  t.same(await take(), ['changed /c', 'gone /c']);
  await objects.put({ ...at('shown/t/1'), body });
  await take();
  await objects.renamePrefix({ bucket: BUCKET, prefix: 'shown/t/', to: 'shown/u/' });
  t.same(await take(), ['tree /t', 'tree /u']);
  await objects.deletePrefix({ bucket: BUCKET, prefix: 'sho' });
  t.same(await take(), ['all']);
  fileSystem.close();
});

t.test('what others change between two own changes is told', async (t) => {
  const { fileSystem, store, take, at } = await followed();
  await take();
  for (let round = 0; round < 5; round++) {
    await writeFile(fileSystem, '/f', `own ${round}`);
    await store.direct.objects.put({ ...at('f'), body: Buffer.from('theirs') });
    await writeFile(fileSystem, '/f', 'own again');
    await fileSystem.unlink('/f');
    await store.direct.objects.put({ ...at('f'), body: Buffer.from('theirs') });
    await store.direct.objects.delete(at('f'));
  }
  t.same(
    (await take()).filter((line) => !line.startsWith('bytes')),
    [...Array(10).fill('changed /f'), ...Array(5).fill('gone /f')]
  );
  fileSystem.close();
});

t.test('an open file that lies on bytes of others is told', async (t) => {
  const { fileSystem, store, take, at } = await followed();
  await writeFile(fileSystem, '/f', 'one');
  const handle = await fileSystem.open('/f', { writable: true });
  await store.direct.objects.put({ ...at('f'), body: Buffer.from('longer') });
  await take();
  await handle.write(0, Buffer.from('X'));
  await handle.flush();
  t.same(await take(), ['bytes /f']);
  t.equal((await readFile(fileSystem, '/f')).toString(), 'Xonger');
  await handle.release();
  fileSystem.close();
});

t.test(
  'a watch that returns soon goes on without a gap; one that does not takes everything back',
  async (t) => {
    const { fileSystem, store, take, cut, at, clock, events } = await followed();
    const { objects } = store.direct;
    await take();
    await cut();
    t.notOk(fileSystem.isWatched());
    await objects.put({ ...at('missed'), body: Buffer.alloc(0) });
    await clock.advance(200);
    t.ok(fileSystem.isWatched(), 'within a moment');
    await clock.advance(10_000);
    t.same(await take(), ['changed /missed']);
    store.fail({ call: 'objects.watch', code: 'ServiceUnavailable', times: 10 });
    await cut();
    t.notOk(fileSystem.isWatched(), 'at once');
    await objects.put({ ...at('missed again'), body: Buffer.alloc(0) });
    t.same(await take(), []);
    await clock.advance(600);
    t.same(await take(), ['all'], 'after the moment');
    await clock.advance(60_000);
    t.ok(fileSystem.isWatched());
    t.same(await take(), ['changed /missed again']);
    t.same(
      events.map((event) => event.type),
      ['watchLive', 'watchLost', 'watchLive', 'watchLost', 'watchLive']
    );
    fileSystem.close();
  }
);

t.test('what is appended while others append goes behind what they wrote, all of it', async (t) => {
  const { fileSystem, store, at, clock } = await followed();
  const { objects } = store.direct;
  await objects.put({ ...at('log'), body: Buffer.from('begin\n') });
  const handle = await fileSystem.open('/log', { writable: true, append: true });
  const append = (text: string) => handle.write(0, Buffer.from(text));
  await append('own 1\n');
  const held = store.hold('objects.edit');
  const flushing = handle.flush();
  await clock.advance(1);
  await append('own 2\n');
  const body = Buffer.from('theirs, and longer\n');
  await objects.edit({ ...at('log'), steps: [{ type: 'write', length: body.length }], body });
  held.release();
  await flushing;
  await append('own 3\n');
  await handle.flush();
  await handle.release();
  const expected = 'begin\ntheirs, and longer\nown 1\nown 2\nown 3\n';
  t.equal(Buffer.from((await objects.read(at('log'))).body).toString(), expected);
  fileSystem.close();
});

t.test('who makes a file that others made meanwhile lies over it, unless it was to be cut', async (t) => {
  const { fileSystem, store, at } = await followed();
  const { objects } = store.direct;
  const theirs = async (key: string) =>
    void (await objects.put({ ...at(key), body: Buffer.from('theirs\n') }));
  const opened = async (path: string, options: object) =>
    fileSystem.create(path, 0o644, { writable: true, ...options });
  const appending = await opened('/log', { append: true });
  const plain = await opened('/plain', {});
  const cutting = await opened('/cut', { truncate: true });
  const empty = await opened('/empty', {});
  for (const key of ['log', 'plain', 'cut', 'empty']) await theirs(key);
  for (const handle of [appending, plain, cutting]) await handle.write(0, Buffer.from('own'));
  for (const handle of [appending, plain, cutting, empty]) {
    await handle.flush();
    await handle.release();
  }
  const read = async (key: string) => Buffer.from((await objects.read(at(key))).body).toString();
  t.same(await Promise.all(['log', 'plain', 'cut', 'empty'].map(read)), [
    'theirs\nown',
    'ownirs\n',
    'own',
    'theirs\n'
  ]);
  fileSystem.close();
});
