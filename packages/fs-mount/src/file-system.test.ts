import t from 'tap';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './attributes.js';
import {
  BUCKET,
  driveOn,
  errnoOf,
  namesIn,
  pattern,
  readFile,
  startDrive,
  stored,
  writeFile
} from './testing/drive.js';

const text = (content: Uint8Array) => Buffer.from(content).toString();

t.test('what is written is read back, here and through other faces', async (t) => {
  await using drive = await startDrive();
  await writeFile(drive.fileSystem, '/a.txt', 'hello');
  t.equal(text(await readFile(drive.fileSystem, '/a.txt')), 'hello');
  t.equal(await stored(drive.store, 'a.txt'), 'hello');
  const { mode, size, uid } = await drive.fileSystem.getattr('/a.txt');
  t.same({ mode, size, uid }, { mode: S_IFREG | 0o644, size: 5, uid: 1000 });
});

t.test('objects of other faces are files with the attributes of the mount', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await store.direct.objects.put({ bucket: BUCKET, key: 'dir/file', body: Buffer.from('abc') });
  t.same(await namesIn(fileSystem, '/'), ['dir']);
  t.same(await namesIn(fileSystem, '/dir'), ['file']);
  t.equal((await fileSystem.getattr('/dir')).mode, S_IFDIR | 0o755);
  t.equal((await fileSystem.getattr('/dir/file')).mode, S_IFREG | 0o644);
});

t.test('a prefix is the root of its mount', async (t) => {
  await using drive = await startDrive({ prefix: 'in/here/' });
  const { fileSystem, store } = drive;
  await writeFile(fileSystem, '/f', '1');
  await fileSystem.mkdir('/d', 0o755);
  t.equal(await stored(store, 'in/here/f'), '1');
  t.same(await namesIn(fileSystem, '/'), ['d', 'f']);
  t.equal(await errnoOf(fileSystem.getattr('/')), 'ok');
  await fileSystem.unlink('/f');
  await fileSystem.rmdir('/d');
  t.same(await namesIn(fileSystem, '/'), []);
});

t.test('operations fail as POSIX says', async (t) => {
  const rows: readonly {
    readonly name: string;
    readonly run: (drive: Fixture) => Promise<unknown>;
    readonly code: string;
  }[] = [
    { name: 'stat of nothing', run: (fs) => fs.getattr('/none'), code: 'ENOENT' },
    { name: 'open of nothing', run: (fs) => fs.open('/none'), code: 'ENOENT' },
    { name: 'open of a directory', run: (fs) => fs.open('/dir'), code: 'EISDIR' },
    { name: 'listing of a file', run: (fs) => namesIn(fs, '/file'), code: 'ENOTDIR' },
    { name: 'mkdir over a file', run: (fs) => fs.mkdir('/file', 0o755), code: 'EEXIST' },
    { name: 'mkdir over a directory', run: (fs) => fs.mkdir('/dir', 0o755), code: 'EEXIST' },
    { name: 'symlink over a file', run: (fs) => fs.symlink('/file', 'x'), code: 'EEXIST' },
    {
      name: 'exclusive create over a file',
      run: (fs) => fs.create('/file', 0o644, { exclusive: true }),
      code: 'EEXIST'
    },
    { name: 'unlink of nothing', run: (fs) => fs.unlink('/none'), code: 'ENOENT' },
    { name: 'unlink of a directory', run: (fs) => fs.unlink('/dir'), code: 'EISDIR' },
    { name: 'rmdir of a file', run: (fs) => fs.rmdir('/file'), code: 'ENOTDIR' },
    { name: 'rmdir of nothing', run: (fs) => fs.rmdir('/none'), code: 'ENOENT' },
    { name: 'rmdir of a full directory', run: (fs) => fs.rmdir('/dir'), code: 'store:PrefixNotEmpty' },
    { name: 'rename of nothing', run: (fs) => fs.rename('/none', '/x'), code: 'ENOENT' },
    { name: 'rename of a file over a directory', run: (fs) => fs.rename('/file', '/dir'), code: 'EISDIR' },
    { name: 'rename of a directory over a file', run: (fs) => fs.rename('/dir', '/file'), code: 'ENOTDIR' },
    {
      name: 'rename of a directory over a full one',
      run: (fs) => fs.rename('/empty', '/dir'),
      code: 'store:PrefixNotEmpty'
    },
    { name: 'rename of a directory into itself', run: (fs) => fs.rename('/dir', '/dir/x'), code: 'EINVAL' },
    {
      name: 'rename over a file that must not be replaced',
      run: (fs) => fs.rename('/file', '/dir/inner', { noReplace: true }),
      code: 'EEXIST'
    },
    { name: 'rename to itself', run: (fs) => fs.rename('/file', '/file'), code: 'ok' },
    { name: 'rename of a directory over an empty one', run: (fs) => fs.rename('/dir', '/empty'), code: 'ok' },
    { name: 'hard link', run: (fs) => fs.link('/file', '/hard'), code: 'EPERM' },
    { name: 'readlink of a file', run: (fs) => fs.readlink('/file'), code: 'EINVAL' },
    { name: 'truncate of a directory', run: (fs) => fs.truncate('/dir', 0), code: 'EISDIR' },
    {
      name: 'a name of 256 bytes',
      run: (fs) => fs.mkdir(`/${'n'.repeat(256)}`, 0o755),
      code: 'ENAMETOOLONG'
    },
    { name: 'a name of 255 bytes', run: (fs) => fs.mkdir(`/${'n'.repeat(255)}`, 0o755), code: 'ok' },
    {
      name: 'a key of more than 1024 bytes',
      run: (fs) => fs.mkdir(`/${'d/'.repeat(520)}x`, 0o755),
      code: 'ENAMETOOLONG'
    },
    { name: 'a name that is not UTF-8', run: (fs) => fs.create('/caf\ufffd', 0o644), code: 'EILSEQ' },
    {
      name: 'an access list, which no file has',
      run: (fs) => fs.getxattr('/file', 'system.posix_acl_access'),
      code: 'ENOTSUP'
    },
    { name: 'a security label', run: (fs) => fs.getxattr('/file', 'security.selinux'), code: 'ENOTSUP' },
    { name: 'an xattr that is not there', run: (fs) => fs.getxattr('/file', 'user.x'), code: 'ENODATA' },
    {
      name: 'replacing an xattr that is not there',
      run: (fs) => fs.setxattr('/file', 'user.x', pattern(1), 'replace'),
      code: 'ENODATA'
    },
    {
      name: 'an access control list',
      run: (fs) => fs.setxattr('/file', 'system.posix_acl_access', pattern(4)),
      code: 'ENOTSUP'
    },
    {
      name: 'an xattr of 64 KiB',
      run: (fs) => fs.setxattr('/file', 'user.x', pattern(65536)),
      code: 'ENOSPC'
    },
    { name: 'access to nothing', run: (fs) => fs.access('/none', 4), code: 'ENOENT' },
    { name: 'rmdir of the root', run: (fs) => fs.rmdir('/'), code: 'EBUSY' },
    { name: 'a size beyond the largest object', run: (fs) => fs.truncate('/file', 2 ** 50), code: 'EFBIG' }
  ];
  for (const { name, run, code } of rows) {
    await using drive = await startDrive();
    const { fileSystem } = drive;
    await writeFile(fileSystem, '/file', 'f');
    await fileSystem.mkdir('/dir', 0o755);
    await fileSystem.mkdir('/empty', 0o755);
    await writeFile(fileSystem, '/dir/inner', 'i');
    t.equal(await errnoOf(run(fileSystem)), code, name);
  }
});

t.test('a read-only mount changes nothing', async (t) => {
  await using drive = await startDrive({ readOnly: true });
  const { fileSystem, store } = drive;
  await store.direct.objects.put({ bucket: BUCKET, key: 'f', body: Buffer.from('x') });
  const refused = [
    fileSystem.create('/g', 0o644),
    fileSystem.open('/f', { writable: true }),
    fileSystem.unlink('/f'),
    fileSystem.mkdir('/d', 0o755),
    fileSystem.rename('/f', '/g'),
    fileSystem.chmod('/f', 0o600),
    fileSystem.utimens('/f', undefined, undefined),
    fileSystem.truncate('/f', 0),
    fileSystem.symlink('/l', 'f'),
    fileSystem.access('/f', 2)
  ];
  t.same(new Set(await Promise.all(refused.map(errnoOf))), new Set(['EROFS']));
  t.equal(text(await readFile(fileSystem, '/f')), 'x');
  t.same(store.takeMutations(), []);
});

t.test('handles of a file share its bytes and size before anything is stored', async (t) => {
  await using drive = await startDrive();
  const writer = await drive.fileSystem.create('/f', 0o644, { writable: true });
  const reader = await drive.fileSystem.open('/f');
  await writer.write(0, Buffer.from('abcdef'));
  await writer.write(2, Buffer.from('XY'));
  const seen = Buffer.alloc(10);
  t.equal(await reader.read(1, seen), 5);
  t.equal(text(seen.subarray(0, 5)), 'bXYef');
  t.equal(reader.attributes().size, 6);
  t.equal((await drive.fileSystem.getattr('/f')).size, 6);
  t.same(await namesIn(drive.fileSystem, '/'), ['f']);
  t.equal(await stored(drive.store, 'f'), undefined);
});

t.test('appending handles write at the end whatever else writes', async (t) => {
  await using drive = await startDrive();
  await writeFile(drive.fileSystem, '/log', 'one\n');
  const [a, b] = await Promise.all(
    [1, 2].map(() => drive.fileSystem.open('/log', { writable: true, append: true }))
  );
  await Promise.all([a!.write(0, Buffer.from('two\n')), b!.write(0, Buffer.from('three\n'))]);
  await Promise.all([a!.flush(), b!.flush()]);
  t.equal(await stored(drive.store, 'log'), 'one\ntwo\nthree\n');
});

t.test('pages of a mapping go where they belong, also through a handle that appends', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  await writeFile(fileSystem, '/f', 'one two');
  const handle = await fileSystem.open('/f', { writable: true, append: true });
  await handle.writeBack(4, Buffer.from('six'));
  await handle.write(0, Buffer.from('!'));
  await handle.flush();
  t.equal((await readFile(fileSystem, '/f')).toString(), 'one six!');
  await handle.release();
});

t.test('lines appended by two mounts are both kept', async (t) => {
  await using drive = await startDrive();
  await using other = driveOn(drive.store);
  await writeFile(drive.fileSystem, '/log', 'start\n');
  const handles = [drive, other].map(({ fileSystem }) =>
    fileSystem.open('/log', { writable: true, append: true })
  );
  const [a, b] = await Promise.all(handles);
  await a!.write(0, Buffer.from('from a\n'));
  await b!.write(0, Buffer.from('from b\n'));
  await a!.flush();
  await b!.flush();
  t.equal(await stored(drive.store, 'log'), 'start\nfrom a\nfrom b\n');
});

t.test('two mounts that write different ranges of a file keep what the other wrote', async (t) => {
  await using drive = await startDrive();
  await using other = driveOn(drive.store);
  await writeFile(drive.fileSystem, '/f', '0123456789');
  const [a, b] = await Promise.all(
    [drive, other].map(({ fileSystem }) => fileSystem.open('/f', { writable: true }))
  );
  await a!.write(0, Buffer.from('AA'));
  await b!.write(8, Buffer.from('BB'));
  await a!.flush();
  await b!.flush();
  t.equal(await stored(drive.store, 'f'), 'AA234567BB');
});

t.test('only one of two mounts creates a file exclusively', async (t) => {
  await using drive = await startDrive();
  await using other = driveOn(drive.store);
  // Both have seen that it is not there.
  await Promise.all([drive, other].map(({ fileSystem }) => errnoOf(fileSystem.getattr('/lock'))));
  const results = await Promise.all(
    [drive, other].map(({ fileSystem }) => errnoOf(fileSystem.create('/lock', 0o644, { exclusive: true })))
  );
  t.same(results.sort(), ['EEXIST', 'ok']);
});

t.test('only one of two mounts makes a directory', async (t) => {
  await using drive = await startDrive();
  await using other = driveOn(drive.store);
  await Promise.all([drive, other].map(({ fileSystem }) => errnoOf(fileSystem.getattr('/d'))));
  const results = await Promise.all(
    [drive, other].map(({ fileSystem }) => errnoOf(fileSystem.mkdir('/d', 0o755)))
  );
  t.same(results.sort(), ['EEXIST', 'ok']);
});

t.test('truncation cuts, and extends with zeros', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await writeFile(fileSystem, '/f', 'abcdef');
  await fileSystem.truncate('/f', 3);
  t.equal(await stored(store, 'f'), 'abc');
  await fileSystem.truncate('/f', 5);
  t.equal(await stored(store, 'f'), 'abc\0\0');
  const handle = await fileSystem.open('/f', { writable: true });
  await handle.truncate(1);
  await handle.truncate(4);
  await handle.write(3, Buffer.from('Z'));
  const seen = Buffer.alloc(10);
  t.equal(text(seen.subarray(0, await handle.read(0, seen))), 'a\0\0Z', 'before it is stored');
  await handle.flush();
  t.equal(await stored(store, 'f'), 'a\0\0Z');
});

t.test('a hole between two writes reads as zeros and is stored', async (t) => {
  await using drive = await startDrive();
  const handle = await drive.fileSystem.create('/sparse', 0o644, { writable: true });
  await handle.write(100_000_000, Buffer.from('end'));
  const seen = Buffer.alloc(10, 1);
  t.equal(await handle.read(99_999_993, seen), 10);
  t.same(seen, Buffer.from('\0\0\0\0\0\0\0end'));
  await handle.flush();
  const head = await drive.store.direct.objects.head({ bucket: BUCKET, key: 'sparse' });
  t.equal(head.size, 100_000_003);
  t.same(drive.store.takeMutations(), ['objects.edit'], 'without sending the hole');
});

t.test('a removed file stays readable and writable for those who have it open', async (t) => {
  for (const state of ['stored', 'unstored', 'changed'] as const) {
    await using drive = await startDrive();
    const { fileSystem, store } = drive;
    const handle = await fileSystem.create('/f', 0o644, { writable: true });
    await handle.write(0, Buffer.from('0123456789'));
    if (state !== 'unstored') await handle.flush();
    if (state === 'changed') await handle.write(5, Buffer.from('five'));
    await fileSystem.unlink('/f');
    t.equal(await errnoOf(fileSystem.getattr('/f')), 'ENOENT');
    t.same(await namesIn(fileSystem, '/'), []);
    t.equal(await stored(store, 'f'), undefined);
    await handle.write(8, Buffer.from('XYZ'));
    const seen = Buffer.alloc(20);
    const count = await handle.read(0, seen);
    t.equal(text(seen.subarray(0, count)), state === 'changed' ? '01234fivXYZ' : '01234567XYZ', state);
    t.equal(handle.attributes().linkCount, 0);
    await handle.flush();
    await handle.release();
    t.equal(await stored(store, 'f'), undefined, 'nothing comes back');
    t.equal(fileSystem.status.dirtyBytes, 0);
  }
});

t.test('a name can be used again while the removed file is open', async (t) => {
  await using drive = await startDrive();
  const old = await drive.fileSystem.create('/f', 0o644, { writable: true });
  await old.write(0, Buffer.from('old'));
  await old.flush();
  await drive.fileSystem.unlink('/f');
  await writeFile(drive.fileSystem, '/f', 'new');
  await old.write(3, Buffer.from('er'));
  await old.flush();
  const seen = Buffer.alloc(9);
  t.equal(text(seen.subarray(0, await old.read(0, seen))), 'older');
  await old.release();
  t.equal(await stored(drive.store, 'f'), 'new');
});

t.test('a driver may speak of a removed file by a name of its own, which the store never sees', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'content');
  const handle = await fileSystem.open('/f', { writable: true });
  await fileSystem.unlink('/f', { alias: '/.hidden1', mayBeReplaced: true });
  t.equal(await errnoOf(fileSystem.getattr('/f')), 'ENOENT', 'gone here at once');
  t.equal((await fileSystem.getattr('/.hidden1')).size, 7);
  await fileSystem.chmod('/.hidden1', 0o600);
  t.equal((await fileSystem.getattr('/.hidden1')).mode & 0o777, 0o600);
  await clock.advance(100);
  t.equal(await stored(store, 'f'), undefined, 'gone in the store a moment later');
  t.same(await namesIn(fileSystem, '/'), []);
  await fileSystem.unlink('/.hidden1');
  await handle.release();
  t.equal(await errnoOf(fileSystem.getattr('/.hidden1')), 'ENOENT');
  const { objects } = await store.direct.objects.list({ bucket: BUCKET });
  t.same(objects, []);
});

t.test('an open file that is replaced by a rename is replaced in one step', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'old');
  await writeFile(fileSystem, '/new', 'new');
  const handle = await fileSystem.open('/f');
  store.takeCalls();
  await fileSystem.unlink('/f', { alias: '/.hidden1', mayBeReplaced: true });
  await fileSystem.rename('/new', '/f');
  await clock.advance(1000);
  t.same(store.takeMutations(), ['objects.rename']);
  t.equal(await stored(store, 'f'), 'new');
  const seen = Buffer.alloc(3);
  await handle.read(0, seen);
  t.equal(text(seen), 'old');
  await handle.release();
});

t.test('renaming a file that is open keeps what is written going to the new name', async (t) => {
  for (const isStored of [true, false]) {
    await using drive = await startDrive();
    const { fileSystem, store } = drive;
    const handle = await fileSystem.create('/tmp', 0o644, { writable: true });
    await handle.write(0, Buffer.from('abc'));
    if (isStored) await handle.flush();
    await writeFile(fileSystem, '/f', 'replaced');
    await fileSystem.rename('/tmp', '/f');
    await handle.write(3, Buffer.from('def'));
    await handle.flush();
    await handle.release();
    t.equal(await stored(store, 'f'), 'abcdef');
    t.equal(await stored(store, 'tmp'), undefined);
    t.same(await namesIn(fileSystem, '/'), ['f']);
  }
});

t.test('renaming a directory takes open files along', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  await fileSystem.mkdir('/a', 0o755);
  await fileSystem.mkdir('/a/b', 0o755);
  const handle = await fileSystem.create('/a/b/f', 0o644, { writable: true });
  await handle.write(0, Buffer.from('one'));
  await fileSystem.rename('/a', '/z');
  await handle.write(3, Buffer.from('two'));
  await handle.flush();
  await handle.release();
  t.equal(await stored(store, 'z/b/f'), 'onetwo');
  t.equal(await errnoOf(fileSystem.getattr('/a')), 'ENOENT');
  t.same(await namesIn(fileSystem, '/z/b'), ['f']);
});

t.test('a removed file is found under its own name also when its directory is moved', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  await fileSystem.mkdir('/a', 0o755);
  const handle = await fileSystem.create('/a/f', 0o644, { writable: true });
  await fileSystem.unlink('/a/f', { alias: '/a/.hidden1' });
  await handle.write(0, Buffer.from('one'));
  await fileSystem.rename('/a', '/z');
  t.equal((await fileSystem.getattr('/z/.hidden1')).size, 3);
  t.equal(await errnoOf(fileSystem.getattr('/a/.hidden1')), 'ENOENT');
  await fileSystem.unlink('/z/.hidden1');
  await handle.release();
  t.equal(await errnoOf(fileSystem.getattr('/z/.hidden1')), 'ENOENT');
});

t.test('a directory stays when its last file is removed or moved away', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  for (const key of ['implied/x', 'moved/x', 'deep/er/x'])
    await store.direct.objects.put({ bucket: BUCKET, key, body: Buffer.from('1') });
  await fileSystem.unlink('/implied/x');
  await fileSystem.rename('/moved/x', '/x');
  await fileSystem.unlink('/deep/er/x');
  await fileSystem.rmdir('/deep/er');
  t.same(await namesIn(fileSystem, '/'), ['deep', 'implied', 'moved', 'x']);
  await fileSystem.rmdir('/implied');
  t.same(await namesIn(fileSystem, '/'), ['deep', 'moved', 'x']);
});

t.test('symbolic links and special files are kept with their kind', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  await fileSystem.symlink('/link', 'some/where');
  await fileSystem.mknod('/fifo', 0o010644, 0);
  t.equal(await fileSystem.readlink('/link'), 'some/where');
  const link = await fileSystem.getattr('/link');
  t.same([link.mode & S_IFMT, link.size], [S_IFLNK, 10]);
  t.equal((await fileSystem.getattr('/fifo')).mode & S_IFMT, 0o010000);
  const kinds: Record<string, number> = {};
  for await (const page of fileSystem.readdir('/')) for (const { name, type } of page) kinds[name] = type;
  t.same(kinds, { link: S_IFLNK, fifo: 0o010000 });
});

t.test('the bytes of an extended attribute are free to change when the call has begun', async (t) => {
  await using drive = await startDrive();
  const { fileSystem } = drive;
  const handle = await fileSystem.create('/f', 0o644, { writable: true });
  const value = Buffer.from('kept');
  await fileSystem.setxattr('/f', 'user.a', value);
  value.fill(0);
  t.equal(Buffer.from(await fileSystem.getxattr('/f', 'user.a')).toString(), 'kept');
  await handle.release();
});

t.test('attributes are changed, kept and seen by other mounts', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, clock, store } = drive;
  const mtime = { seconds: 981_173_106, nanoseconds: 123_456_789 };
  const atime = { seconds: -86_400, nanoseconds: 0 };
  await fileSystem.mkdir('/d', 0o700);
  await writeFile(fileSystem, '/f', 'x');
  for (const path of ['/f', '/d']) {
    await fileSystem.chmod(path, 0o640);
    await fileSystem.chown(path, 7, undefined);
    await fileSystem.utimens(path, atime, mtime);
    await fileSystem.setxattr(path, 'user.a', Buffer.from('1'));
    await fileSystem.setxattr(path, 'user.b', Buffer.from('2'));
    await fileSystem.removexattr(path, 'user.a');
  }
  await clock.advance(100);
  await using other = driveOn(store, { gid: 5 });
  for (const { fileSystem: seen } of [drive, other]) {
    for (const path of ['/f', '/d']) {
      const attributes = await seen.getattr(path);
      t.equal(attributes.mode & 0o7777, 0o640);
      t.equal(attributes.uid, 7);
      t.same([attributes.atime, attributes.mtime], [atime, mtime]);
      t.same(await seen.listxattr(path), ['user.b']);
      t.equal(text(await seen.getxattr(path, 'user.b')), '2');
    }
  }
  t.equal((await other.fileSystem.getattr('/f')).gid, 5, 'what was not set is the default of each mount');
});

t.test('writing moves mtime, reading does not', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, clock } = drive;
  await writeFile(fileSystem, '/f', 'x');
  const before = (await fileSystem.getattr('/f')).mtime;
  await clock.advance(10_000);
  await readFile(fileSystem, '/f');
  t.same((await fileSystem.getattr('/f')).mtime, before);
  const handle = await fileSystem.open('/f', { writable: true });
  await handle.write(0, Buffer.from('y'));
  t.equal((await fileSystem.getattr('/f')).mtime.seconds, before.seconds + 10);
  await handle.flush();
  t.equal((await fileSystem.getattr('/f')).mtime.seconds, before.seconds + 10);
});

t.test('a directory shows when names came and went, until its times are set', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, clock } = drive;
  const old = { seconds: 5, nanoseconds: 6 };
  const steps: readonly (() => Promise<unknown>)[] = [
    () => writeFile(fileSystem, '/d/f', 'x'),
    () => fileSystem.rename('/d/f', '/d/g'),
    () => fileSystem.unlink('/d/g'),
    () => fileSystem.mkdir('/d/sub', 0o755),
    () => fileSystem.rmdir('/d/sub'),
    () => fileSystem.symlink('/d/link', 'g')
  ];
  await fileSystem.mkdir('/d', 0o755);
  for (const step of steps) {
    await fileSystem.utimens('/d', old, old);
    t.same((await fileSystem.getattr('/d')).mtime, old);
    await clock.advance(1000);
    await step();
    t.equal((await fileSystem.getattr('/d')).mtime.seconds, Math.floor(clock.nowMs() / 1000));
  }
  await fileSystem.utimens('/d', old, old);
  await writeFile(fileSystem, '/d/link', 'other bytes of a file that is there');
  t.same((await fileSystem.getattr('/d')).mtime, old);
});

t.test('cutting an empty file to nothing moves its mtime, as a stamp file of make needs', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, clock, store } = drive;
  await writeFile(fileSystem, '/f', '');
  const before = (await fileSystem.getattr('/f')).mtime;
  await clock.advance(10_000);
  const handle = await fileSystem.open('/f', { writable: true, truncate: true });
  await handle.flush();
  await handle.release();
  t.equal((await fileSystem.getattr('/f')).mtime.seconds, before.seconds + 10);
  const { attributes } = await store.direct.objects.head({ bucket: BUCKET, key: 'f' });
  t.equal(attributes.mtime?.seconds, before.seconds + 10, 'in the store as well');
});

t.test('keys that no path can spell are shown under other names and can be used', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store } = drive;
  const long = 'l'.repeat(300);
  const keys = [
    'a',
    'a/b',
    'x//y',
    './z',
    '../w',
    'marked/',
    'marked/in',
    `${long}`,
    `d/${long}/f`,
    '%=dot',
    'n\0ul'
  ];
  for (const key of keys) await store.direct.objects.put({ bucket: BUCKET, key, body: Buffer.from(key) });
  const found: string[] = [];
  const walk = async (path: string): Promise<void> => {
    for await (const page of fileSystem.readdir(path)) {
      for (const { name, type } of page) {
        t.ok(Buffer.byteLength(name) <= 255 && !name.includes('/') && name !== '.' && name !== '..', name);
        const inner = path === '/' ? `/${name}` : `${path}/${name}`;
        t.equal((await fileSystem.getattr(inner)).mode & S_IFMT, type, inner);
        if (type === S_IFDIR) await walk(inner);
        else found.push(text(await readFile(fileSystem, inner)));
      }
    }
  };
  await walk('/');
  t.same(found.sort(), keys.sort());
  await fileSystem.unlink('/%=file=a');
  await fileSystem.unlink('/x/%=empty/y');
  t.equal(await stored(store, 'a'), undefined);
  t.equal(await stored(store, 'x//y'), undefined);
  t.equal(await stored(store, 'a/b'), 'a/b');
});

t.test('the numbers of statfs are the quota of the bucket', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'x'.repeat(1000));
  t.ok((await fileSystem.statfs()).freeBytes > 2 ** 40, 'none: the space of the store');
  await store.direct.buckets.configure({ bucket: BUCKET, settings: { quotaBytes: 10_000 } });
  await clock.advance(5000);
  const { totalBytes, freeBytes, fileCount } = await fileSystem.statfs();
  t.same({ totalBytes, freeBytes, fileCount }, { totalBytes: 10_000, freeBytes: 9000, fileCount: 1 });
});

t.test('a change made elsewhere shows after the TTL, or at once when the watch is live', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'one');
  await store.direct.objects.put({ bucket: BUCKET, key: 'f', body: Buffer.from('longer') });
  t.equal((await fileSystem.getattr('/f')).size, 3, 'remembered');
  await clock.advance(1001);
  t.equal((await fileSystem.getattr('/f')).size, 6);
  fileSystem.start();
  await clock.advance(1);
  // The first event proves that the watch works.
  await store.direct.objects.put({ bucket: BUCKET, key: 'other', body: Buffer.from('') });
  await clock.advance(1);
  t.ok(fileSystem.status.watchIsLive);
  t.equal((await fileSystem.getattr('/f')).size, 6);
  store.takeCalls();
  await clock.advance(100_000);
  t.equal((await fileSystem.getattr('/f')).size, 6);
  t.same(store.takeCalls(), [], 'holds as long as nothing changes');
  await store.direct.objects.put({ bucket: BUCKET, key: 'f', body: Buffer.from('longest now') });
  await clock.advance(1);
  t.equal((await fileSystem.getattr('/f')).size, 11);
  await store.direct.objects.put({ bucket: BUCKET, key: 'new/dir/x', body: Buffer.from('') });
  t.equal(await errnoOf(fileSystem.getattr('/new')), 'ok');
});

t.test('an open file goes on with the version another mount has made', async (t) => {
  await using drive = await startDrive();
  const { fileSystem, store, clock } = drive;
  await writeFile(fileSystem, '/f', 'first version');
  const handle = await fileSystem.open('/f');
  await store.direct.objects.put({ bucket: BUCKET, key: 'f', body: Buffer.from('second') });
  await clock.advance(2000);
  await fileSystem.getattr('/f');
  const seen = Buffer.alloc(20);
  t.equal(text(seen.subarray(0, await handle.read(0, seen))), 'second');
  await handle.release();
});

type Fixture = Awaited<ReturnType<typeof startDrive>>['fileSystem'];
