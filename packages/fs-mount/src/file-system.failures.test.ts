import t from 'tap';
import { BUCKET, errnoOf, pattern, readFile, startDrive, stored, writeFile } from './testing/drive.js';

const MIB = 1024 * 1024;

t.test(
  'the close that meets an error returns it, and what was written is kept for the next try',
  async (t) => {
    await using drive = await startDrive();
    const { fileSystem, store } = drive;
    const handle = await fileSystem.create('/f', 0o644, { writable: true });
    await handle.write(0, Buffer.from('kept'));
    store.fail({ call: 'objects.put', code: 'ServiceUnavailable' });
    t.equal(await errnoOf(handle.flush()), 'store:ServiceUnavailable');
    t.equal(await stored(store, 'f'), undefined);
    t.equal((await readFile(fileSystem, '/f')).toString(), 'kept');
    await handle.flush();
    t.equal(await stored(store, 'f'), 'kept');
  }
);

t.test('what could not be stored at close is stored later by itself', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock, events } = drive;
  store.fail({ call: 'objects.put', code: 'ServiceUnavailable', times: 3 });
  t.equal(await errnoOf(writeFile(fileSystem, '/f', 'late')), 'store:ServiceUnavailable');
  t.equal((await readFile(fileSystem, '/f')).toString(), 'late', 'meanwhile it is read here');
  await clock.advance(30_000);
  t.equal(await stored(store, 'f'), 'late');
  t.ok(events.some((event) => event.type === 'commitFailed' && event.path === '/f'));
});

t.test('what the store refuses is given up with a word when nobody has the file open', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, events } = drive;
  await store.direct.buckets.configure({ bucket: BUCKET, settings: { quotaBytes: 10 } });
  t.equal(await errnoOf(writeFile(fileSystem, '/f', 'more than ten bytes')), 'store:QuotaExceeded');
  const lost = events.find((event) => event.type === 'dataLost');
  t.match(lost, { path: '/f', bytes: 19 });
  t.equal(await errnoOf(fileSystem.getattr('/f')), 'ENOENT');
  t.equal(fileSystem.status.writeMemoryBytes, 0);
  await writeFile(fileSystem, '/f', 'less');
  t.equal(await stored(store, 'f'), 'less');
});

t.test('an append whose answer is lost is not there twice', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await writeFile(fileSystem, '/log', 'one\n');
  const handle = await fileSystem.open('/log', { writable: true, append: true });
  await handle.write(0, Buffer.from('two\n'));
  store.fail({ call: 'objects.edit', code: 'ServiceUnavailable', when: 'after' });
  t.equal(await errnoOf(handle.flush()), 'store:ServiceUnavailable');
  await handle.flush();
  t.equal(await stored(store, 'log'), 'one\ntwo\n');
});

t.test('blocks of a large file that could not be sent are sent again', async (t) => {
  for (const call of ['uploads.create', 'uploads.write', 'uploads.complete']) {
    await using drive = await startDrive();
    const { fileSystem, store } = drive;
    const content = pattern(20 * MIB);
    const handle = await fileSystem.create('/f', 0o644, { writable: true });
    store.fail({ call, code: 'ServiceUnavailable' });
    for (let offset = 0; offset < content.length; offset += MIB)
      await handle.write(offset, content.subarray(offset, offset + MIB));
    while ((await errnoOf(handle.flush())) !== 'ok') t.pass(`${call} failed`);
    await handle.release();
    t.ok((await readFile(fileSystem, '/f')).equals(content), call);
    t.same((await store.direct.uploads.list({ bucket: BUCKET })).uploads, []);
  }
});

t.test('a removal that the store does not carry out is told, and the file shows again', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock, events } = drive;
  await writeFile(fileSystem, '/f', 'here');
  store.fail({ call: 'objects.delete', code: 'ServiceUnavailable' });
  await fileSystem.unlink('/f', { mayBeReplaced: true });
  t.equal(await errnoOf(fileSystem.getattr('/f')), 'ENOENT');
  await clock.advance(1000);
  t.match(
    events.find((event) => event.type === 'removalFailed'),
    { path: '/f' }
  );
  t.equal((await readFile(fileSystem, '/f')).toString(), 'here');
});

t.test('a watch that is lost is told and begun again', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock, events } = drive;
  store.fail({ call: 'objects.watch', code: 'ServiceUnavailable', times: 2 });
  fileSystem.start();
  await clock.advance(1);
  await clock.advance(5000);
  t.same(
    events.map((event) => event.type),
    ['watchLost', 'watchLive'],
    'each once'
  );
  t.ok(fileSystem.status.watchIsLive);
});
