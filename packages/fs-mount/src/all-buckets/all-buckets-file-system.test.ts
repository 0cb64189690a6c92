import t from 'tap';
import { allBucketsOn, errnoOf, namesIn, pattern, readFile, writeFile } from '../testing/drive.js';
import { ObservedStore } from '../testing/observed-store.js';
import { recordingListener } from '../testing/recording-listener.js';
import type { AllBucketsOptions } from './all-buckets-file-system.js';
import { IDLE_MS_MAX, OPEN_COUNT_MAX } from './open-buckets.js';

const MIB = 1024 * 1024;

async function startDrive(buckets: readonly string[], options: Partial<AllBucketsOptions> = {}) {
  const store = new ObservedStore();
  for (const bucket of buckets) await store.direct.buckets.create({ bucket });
  const drive = allBucketsOn(store, options);
  const { listener, told } = recordingListener();
  drive.fileSystem.follow(listener);
  drive.fileSystem.start();
  const textOf = async (bucket: string, key: string) =>
    Buffer.from((await store.direct.objects.read({ bucket, key })).body).toString();
  return { ...drive, told, textOf };
}

t.test('each bucket is a directory, and what is in it lies in that bucket', async (t) => {
  const { fileSystem, textOf } = await startDrive(['photos', 'music']);
  t.same(await namesIn(fileSystem, '/'), ['music', 'photos']);
  await fileSystem.mkdir('/photos/2026', 0o755);
  await writeFile(fileSystem, '/photos/2026/f', 'of photos');
  await writeFile(fileSystem, '/music/f', 'of music');
  t.equal(await textOf('photos', '2026/f'), 'of photos');
  t.equal(await textOf('music', 'f'), 'of music');
  t.same(await namesIn(fileSystem, '/photos'), ['2026']);
  t.equal((await readFile(fileSystem, '/photos/2026/f')).toString(), 'of photos');
  await fileSystem.rename('/photos/2026/f', '/photos/g');
  t.same(await namesIn(fileSystem, '/photos'), ['2026', 'g']);
  fileSystem.close();
});

t.test('the same key of two buckets is two files', async (t) => {
  const { fileSystem } = await startDrive(['one', 'two']);
  await writeFile(fileSystem, '/one/f', '1');
  await writeFile(fileSystem, '/two/f', '22');
  t.equal((await fileSystem.getattr('/one/f')).size, 1);
  t.equal((await fileSystem.getattr('/two/f')).size, 2);
  await fileSystem.unlink('/one/f');
  t.equal(await errnoOf(fileSystem.getattr('/one/f')), 'ENOENT');
  t.equal((await readFile(fileSystem, '/two/f')).toString(), '22');
});

t.test('mkdir in the root makes a bucket, with its owner and mode', async (t) => {
  const { fileSystem, store, events } = await startDrive([]);
  await fileSystem.mkdir('/photos', 0o750, { uid: 5, gid: 6 });
  t.equal((await store.direct.buckets.head({ bucket: 'photos' })).bucket, 'photos');
  t.match(await fileSystem.getattr('/photos'), { mode: 0o040750, uid: 5, gid: 6 });
  t.equal(await errnoOf(fileSystem.mkdir('/photos', 0o755)), 'store:BucketAlreadyExists');
  store.takeCalls();
  t.equal(await errnoOf(fileSystem.mkdir('/My Photos', 0o755)), 'EINVAL');
  t.same(store.takeCalls(), [], 'the store is not asked');
  const last = events.at(-1);
  t.match(last, { type: 'bucketRefused', bucket: 'My Photos' });
  t.match(last && 'error' in last && last.error, { message: /3 to 63 lower-case letters/ });
});

t.test('rmdir in the root deletes an empty bucket', async (t) => {
  const { fileSystem, store } = await startDrive(['photos']);
  await writeFile(fileSystem, '/photos/f', 'x');
  t.equal(await errnoOf(fileSystem.rmdir('/photos')), 'store:BucketNotEmpty');
  await fileSystem.unlink('/photos/f', { mayBeReplaced: true });
  await fileSystem.rmdir('/photos');
  t.same(await namesIn(fileSystem, '/'), []);
  t.equal(await fileSystem.findAttributes('/photos'), undefined);
  t.equal(await errnoOf(fileSystem.rmdir('/photos')), 'store:NoSuchBucket');
  t.same((await store.direct.buckets.list({})).buckets, []);
});

t.test('a bucket with a file that is not stored yet stays', async (t) => {
  const { fileSystem, textOf } = await startDrive(['photos']);
  const handle = await fileSystem.create('/photos/f', 0o644, { writable: true });
  await handle.write(0, Buffer.from('new'));
  t.equal(await errnoOf(fileSystem.rmdir('/photos')), 'ENOTEMPTY');
  await handle.flush();
  await handle.release();
  t.equal(await textOf('photos', 'f'), 'new');
});

t.test('between buckets nothing is renamed, and the root has buckets only', async (t) => {
  const { fileSystem } = await startDrive(['one', 'two']);
  await writeFile(fileSystem, '/one/f', '1');
  for (const [from, to] of [
    ['/one/f', '/two/f'],
    ['/one/f', '/f'],
    ['/one', '/two'],
    ['/one', '/three']
  ] as const)
    t.equal(await errnoOf(fileSystem.rename(from, to)), 'EXDEV', `${from} ${to}`);
  t.equal(await errnoOf(fileSystem.link('/one/f', '/two/f')), 'EXDEV');
  t.equal(await errnoOf(fileSystem.create('/file', 0o644)), 'EPERM');
  t.equal(await errnoOf(fileSystem.mknod('/file', 0o644, 0)), 'EPERM');
  t.equal(await errnoOf(fileSystem.symlink('/file', 'one')), 'EPERM');
  t.equal(await errnoOf(fileSystem.chmod('/', 0o700)), 'EPERM');
  t.equal(await errnoOf(fileSystem.unlink('/one')), 'EISDIR');
  t.equal(await errnoOf(fileSystem.create('/none/f', 0o644)), 'ENOENT');
});

t.test('a read-only drive makes and deletes no bucket', async (t) => {
  const { fileSystem } = await startDrive(['one'], { readOnly: true });
  t.equal(await errnoOf(fileSystem.mkdir('/two', 0o755)), 'EROFS');
  t.equal(await errnoOf(fileSystem.rmdir('/one')), 'EROFS');
  t.equal(await errnoOf(fileSystem.create('/one/f', 0o644)), 'EROFS');
  t.equal(await errnoOf(fileSystem.access('/one', 2)), 'EROFS');
  t.equal(await errnoOf(fileSystem.access('/', 4)), 'ok');
});

t.test('buckets that are made or deleted elsewhere show so', async (t) => {
  const { fileSystem, store, clock } = await startDrive(['one']);
  t.equal(await fileSystem.findAttributes('/two'), undefined);
  await store.direct.buckets.create({ bucket: 'two' });
  t.same(await namesIn(fileSystem, '/'), ['one', 'two'], 'listed at once');
  await writeFile(fileSystem, '/two/f', 'x');
  await store.direct.objects.delete({ bucket: 'two', key: 'f' });
  await store.direct.buckets.delete({ bucket: 'two' });
  t.same(await namesIn(fileSystem, '/'), ['one']);
  await clock.advance(1001);
  t.equal(await fileSystem.findAttributes('/two'), undefined, 'after the TTL');
  t.equal(await errnoOf(fileSystem.getattr('/two/f')), 'ENOENT');
});

t.test('a file of a bucket that is deleted while it is open ends with an error, not a wait', async (t) => {
  const { fileSystem, store, clock, events } = await startDrive(['one']);
  await writeFile(fileSystem, '/one/f', pattern(100_000));
  const reader = await fileSystem.open('/one/f');
  const writer = await fileSystem.open('/one/f', { writable: true });
  await store.direct.objects.delete({ bucket: 'one', key: 'f' });
  await store.direct.buckets.delete({ bucket: 'one' });
  await clock.advance(5001);
  t.equal(await errnoOf(reader.read(0, Buffer.alloc(10))), 'store:NoSuchBucket');
  await writer.write(0, Buffer.from('x'));
  t.equal(await errnoOf(writer.flush()), 'store:NoSuchBucket');
  await writer.release();
  await reader.release();
  t.match(
    events.filter(({ type }) => type === 'dataLost'),
    [{ path: '/one/f', bytes: 1 }],
    'said with its bucket'
  );
  t.equal(fileSystem.status.dirtyBytes, 0);
});

t.test('names that no bucket can have cost no call', async (t) => {
  const { fileSystem, store } = await startDrive([]);
  store.takeCalls();
  for (const name of ['.git', '.Trash-0', 'a', 'UPPER', 'a..b', '%=marker', '\0 12'])
    t.equal(await fileSystem.findAttributes(`/${name}`), undefined, name);
  t.same(store.takeCalls(), []);
});

t.test('a bucket that the key is not for cannot be entered', async (t) => {
  const { fileSystem, store } = await startDrive(['one']);
  store.fail({ call: 'buckets.head', code: 'AccessDenied' });
  t.equal(await errnoOf(fileSystem.getattr('/one')), 'store:AccessDenied');
  store.fail({ call: 'buckets.create', code: 'AccessDenied' });
  t.equal(await errnoOf(fileSystem.mkdir('/two', 0o755)), 'store:AccessDenied');
});

t.test('looking at the buckets opens none of them', async (t) => {
  const { fileSystem, store } = await startDrive(['one', 'two']);
  for (const name of await namesIn(fileSystem, '/')) await fileSystem.getattr(`/${name}`);
  t.notOk(store.takeCalls().includes('objects.watch'));
  await namesIn(fileSystem, '/one');
  t.equal(store.takeCalls().filter((call) => call === 'objects.watch').length, 1);
});

t.test('changes elsewhere are told with the bucket they are in', async (t) => {
  const { fileSystem, store, clock, told } = await startDrive(['one', 'two']);
  await writeFile(fileSystem, '/one/f', '1');
  await clock.advance(1);
  t.ok(fileSystem.isWatched('/one/f'));
  t.notOk(fileSystem.isWatched('/two/f'), 'not in use');
  t.notOk(fileSystem.isWatched('/one'), 'nobody tells of buckets themselves');
  t.same(told.splice(0), ['tree /one/']);
  await store.direct.objects.put({ bucket: 'one', key: 'd/g', body: Buffer.from('g') });
  await store.direct.objects.delete({ bucket: 'one', key: 'f' });
  await clock.advance(1);
  t.same(told, ['changed /one/d/g', 'gone /one/f']);
  t.equal(await errnoOf(fileSystem.getattr('/one/f')), 'ENOENT');
  fileSystem.close();
});

t.test('of many buckets those in use have a watch, and the oldest of the others makes way', async (t) => {
  const names = Array.from({ length: OPEN_COUNT_MAX + 2 }, (_, index) => `bucket-${index}`);
  const { fileSystem, clock, told } = await startDrive(names);
  const held = await fileSystem.create('/bucket-0/f', 0o644, { writable: true });
  await fileSystem.chmod('/bucket-1', 0o700);
  for (const name of names.slice(0, OPEN_COUNT_MAX)) await namesIn(fileSystem, `/${name}`);
  await clock.advance(1);
  told.splice(0);
  t.ok(names.slice(0, OPEN_COUNT_MAX).every((name) => fileSystem.isWatched(`/${name}/f`)));
  await namesIn(fileSystem, `/${names.at(-1)}`);
  await clock.advance(1);
  t.ok(fileSystem.isWatched('/bucket-0/f'), 'has an open file');
  t.notOk(fileSystem.isWatched('/bucket-1/f'));
  t.ok(told.includes('tree /bucket-1/'), 'what was told of it is taken back');
  t.equal((await fileSystem.getattr('/bucket-1')).mode, 0o040700, 'its attributes stay');
  await fileSystem.mkdir('/bucket-1/d', 0o755);
  t.equal((await fileSystem.getattr('/bucket-1')).mode, 0o040700, 'also when it is in use again');
  await held.release();
  fileSystem.close();
});

t.test('when all are in use further ones work without a watch', async (t) => {
  const names = Array.from({ length: OPEN_COUNT_MAX + 1 }, (_, index) => `bucket-${index}`);
  const { fileSystem, store, clock } = await startDrive(names);
  const handles = await Promise.all(
    names.map((name) => fileSystem.create(`/${name}/f`, 0o644, { writable: true }))
  );
  await clock.advance(1);
  t.equal(store.takeCalls().filter((call) => call === 'objects.watch').length, OPEN_COUNT_MAX);
  for (const handle of handles) {
    await handle.write(0, Buffer.from('x'));
    await handle.flush();
    await handle.release();
  }
  t.equal(fileSystem.unstored.length, 0);
  fileSystem.close();
});

t.test('a bucket that nobody uses for a while is closed, unless something in it is open', async (t) => {
  const { fileSystem, store, clock, told, textOf } = await startDrive(['one', 'two']);
  await writeFile(fileSystem, '/one/f', 'old');
  const held = await fileSystem.create('/two/f', 0o644, { writable: true });
  await clock.advance(2 * IDLE_MS_MAX);
  t.notOk(fileSystem.isWatched('/one/f'));
  t.ok(fileSystem.isWatched('/two/f'));
  t.ok(told.includes('tree /one/'), 'what was told of it is taken back');
  await store.direct.objects.put({ bucket: 'one', key: 'f', body: Buffer.from('newer') });
  t.equal((await fileSystem.getattr('/one/f')).size, 5, 'nothing is remembered of it');
  await held.write(0, Buffer.from('x'));
  await held.flush();
  await held.release();
  t.equal(await textOf('two', 'f'), 'x');
  await clock.advance(2 * IDLE_MS_MAX);
  t.notOk(fileSystem.isWatched('/two/f'));
  fileSystem.close();
});

t.test('one without a watch gets that of one that is closed', async (t) => {
  const names = Array.from({ length: OPEN_COUNT_MAX + 1 }, (_, index) => `bucket-${index}`);
  const { fileSystem, clock } = await startDrive(names);
  const handles = await Promise.all(
    names.map((name) => fileSystem.create(`/${name}/f`, 0o644, { writable: true }))
  );
  const last = `/${names.at(-1)}/f`;
  await clock.advance(1);
  t.notOk(fileSystem.isWatched(last));
  for (const handle of handles) await handle.flush();
  for (const handle of handles.slice(0, -1)) await handle.release();
  await clock.advance(IDLE_MS_MAX);
  t.notOk(fileSystem.isWatched(`/${names[0]}/f`));
  t.ok(fileSystem.isWatched(last));
  await handles.at(-1)!.release();
  fileSystem.close();
});

t.test('the limits of memory are those of all buckets together', async (t) => {
  const { fileSystem, store } = await startDrive(['one', 'two'], { writeMemoryBytes: 16 * MIB });
  const handles = [
    await fileSystem.create('/one/f', 0o644, { writable: true }),
    await fileSystem.create('/two/f', 0o644, { writable: true })
  ];
  let most = 0;
  for (let offset = 0; offset < 20 * MIB; offset += MIB)
    for (const handle of handles) {
      await handle.write(offset, Buffer.alloc(MIB, 'a'));
      most = Math.max(most, fileSystem.status.writeMemoryBytes);
    }
  t.ok(most <= 16 * MIB, `${most}`);
  for (const handle of handles) {
    await handle.flush();
    await handle.release();
  }
  for (const bucket of ['one', 'two'])
    t.equal((await store.direct.objects.head({ bucket, key: 'f' })).size, 20 * MIB);
});

t.test('a copy between buckets moves no bytes', async (t) => {
  const { fileSystem, store, textOf } = await startDrive(['one', 'two']);
  const content = Buffer.alloc(3 * MIB, 'x').toString();
  await writeFile(fileSystem, '/one/f', content);
  const source = await fileSystem.open('/one/f');
  const target = await fileSystem.create('/two/g', 0o644, { writable: true });
  store.takeCalls();
  t.equal(await target.cloneFrom(source, { sourceOffset: 0, offset: 0, length: 3 * MIB }), 3 * MIB);
  await target.flush();
  await target.release();
  await source.release();
  t.same(store.takeMutations(), ['uploads.create', 'uploads.copyRange', 'uploads.complete']);
  t.equal(await textOf('two', 'g'), content);
});

t.test('an open file keeps the name a driver gives it when it loses its own', async (t) => {
  const { fileSystem } = await startDrive(['one']);
  for (const alias of ['/\0 77', '/one/.fuse_hidden0000000000000001']) {
    await writeFile(fileSystem, '/one/f', 'kept');
    const handle = await fileSystem.open('/one/f', { writable: true });
    await fileSystem.unlink('/one/f', { alias });
    t.equal((await fileSystem.getattr(alias)).linkCount, 0);
    await fileSystem.truncate(alias, 2);
    t.equal((await fileSystem.getattr(alias)).size, 2);
    await fileSystem.unlink(alias);
    t.equal(await errnoOf(fileSystem.getattr(alias)), 'ENOENT');
    await handle.release();
  }
  const nameless = await fileSystem.createNameless('/one', 0o600, { writable: true });
  fileSystem.keepAlias('/\0 78', nameless);
  t.equal((await fileSystem.getattr('/\0 78')).mode, 0o100600);
  await fileSystem.unlink('/\0 78');
  await nameless.release();
  t.same(await namesIn(fileSystem, '/one'), []);
});

t.test('the numbers of statfs are those of the bucket', async (t) => {
  const { fileSystem, store } = await startDrive(['one', 'two']);
  await store.direct.buckets.configure({ bucket: 'one', settings: { quotaBytes: 10_000 } });
  await writeFile(fileSystem, '/one/f', 'x'.repeat(1000));
  t.match(await fileSystem.statfs('/one/f'), { totalBytes: 10_000, freeBytes: 9000, fileCount: 1 });
  t.ok((await fileSystem.statfs('/two')).freeBytes > 2 ** 40);
  t.ok((await fileSystem.statfs('/')).freeBytes > 2 ** 40);
});

t.test('what is not stored is named with its bucket, and stored with the root', async (t) => {
  const { fileSystem, textOf, store } = await startDrive(['one', 'two']);
  const handles = [
    await fileSystem.create('/one/f', 0o644, { writable: true }),
    await fileSystem.create('/two/d/g', 0o644, { writable: true })
  ];
  for (const handle of handles) await handle.write(0, Buffer.from('abc'));
  t.same(fileSystem.unstored, [
    { path: '/one/f', bytes: 3 },
    { path: '/two/d/g', bytes: 3 }
  ]);
  t.match(fileSystem.status, { openFileCount: 2, dirtyBytes: 6 });
  store.fail({ call: 'objects.put', code: 'InternalError' });
  t.match(await fileSystem.flush(), [{ path: '/one/f' }]);
  await fileSystem.fsyncDirectory('/');
  t.equal(await textOf('one', 'f'), 'abc');
  t.equal(await textOf('two', 'd/g'), 'abc');
  t.same(fileSystem.unstored, []);
  for (const handle of handles) await handle.release();
});

t.test('the attributes of a bucket itself are the times of its names and what they are set to', async (t) => {
  const { fileSystem, clock } = await startDrive(['one']);
  const before = await fileSystem.getattr('/one');
  await clock.advance(5000);
  await writeFile(fileSystem, '/one/f', 'x');
  const after = await fileSystem.getattr('/one');
  t.ok(after.mtime.seconds > before.mtime.seconds);
  await fileSystem.utimens('/one', { seconds: 1, nanoseconds: 0 }, { seconds: 2, nanoseconds: 0 });
  t.match(await fileSystem.getattr('/one'), { atime: { seconds: 1 }, mtime: { seconds: 2 } });
  await clock.advance(5000);
  await fileSystem.unlink('/one/f');
  t.ok((await fileSystem.getattr('/one')).mtime.seconds > 2, 'a name went');
  t.equal(await errnoOf(fileSystem.setxattr('/one', 'user.a', Buffer.from('b'))), 'EOPNOTSUPP');
  t.same(await fileSystem.listxattr('/one'), []);
  t.equal(await fileSystem.findxattr('/', 'user.a'), undefined);
});

t.test('`.stampede` is a name as any other in a bucket', async (t) => {
  const { fileSystem } = await startDrive(['one']);
  await writeFile(fileSystem, '/one/.stampede', 'x');
  t.same(await namesIn(fileSystem, '/one'), ['.stampede']);
});

t.test('locks of the server are those of each bucket', async (t) => {
  let count = 0;
  const locks = { newId: () => `session-or-file-${++count}` };
  const { fileSystem, told, store } = await startDrive(['one', 'two'], { locks });
  const take = async (path: string, owner: string) => {
    const handle = await fileSystem.open(path, { writable: true });
    const request = {
      owner,
      space: 'range',
      mode: 'exclusive',
      start: 0,
      end: 1,
      pid: 1,
      handle: 1
    } as const;
    const waiting = { wait: false, signal: new AbortController().signal };
    return errnoOf(handle.locks!.acquire(handle.state, request, waiting));
  };
  for (const bucket of ['one', 'two']) await writeFile(fileSystem, `/${bucket}/f`, 'f');
  t.equal(await take('/one/f', 'a'), 'ok');
  t.equal(await take('/two/f', 'b'), 'ok');
  t.equal(await take('/one/f', 'b'), 'EAGAIN');
  const ofLocks = told.filter((line) => /^guarded|^refreshed/.test(line));
  t.same(ofLocks, ['guarded /one/f', 'refreshed /one/f', 'guarded /two/f', 'refreshed /two/f']);
  t.same(
    ['/one/f-journal', '/two/f-journal', '/one/g', '/', '/one'].map((path) => fileSystem.isGuarded(path)),
    [true, true, false, false, false]
  );
  store.takeCalls();
  await fileSystem.endLocks();
  t.equal(store.takeCalls().filter((call) => call === 'locks.end').length, 2);
  fileSystem.close();
});
