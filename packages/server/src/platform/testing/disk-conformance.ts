import { join } from 'node:path/posix';
import type t from 'tap';
import { type Disk, type DiskFile, SMALL_FILE_BYTES_MAX } from '../disk.js';

/** Anything that subtests can be added to. */
type Test = Pick<typeof t, 'test'>;

/** A disk and an absolute path of an empty directory on it. */
export interface DiskFixture extends AsyncDisposable {
  readonly disk: Disk;
  readonly directory: string;
}

/** What every implementation of `Disk` must do, real and simulated. */
export function diskConformance(t: Test, open: () => Promise<DiskFixture>): void {
  fileTests(t, open);
  nameTests(t, open);
  smallFileTests(t, open);
}

function fileTests(t: Test, open: () => Promise<DiskFixture>): void {
  t.test('reads back what was written at every offset, before and after a sync', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    await file.write([bytesFrom(0, 1000)], 0);
    await file.write(
      [bytesFrom(1000, 500), bytesFrom(1500, 1), new Uint8Array(0), bytesFrom(1501, 99)],
      1000
    );
    t.same(await readAll(file), bytesFrom(0, 1600));
    await file.sync();
    await file.write([new Uint8Array(10)], 100);
    const into = new Uint8Array(20);
    t.equal(await file.read(into, 95), 20);
    t.same(Buffer.from(into), Buffer.concat([bytesFrom(95, 5), new Uint8Array(10), bytesFrom(110, 5)]));
    await file.close();
  });

  t.test('reads short only at the end of the file', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    await file.write([bytesFrom(0, 100)], 0);
    t.equal(await file.read(new Uint8Array(100), 40), 60);
    t.equal(await file.read(new Uint8Array(100), 100), 0);
    t.equal(await file.read(new Uint8Array(100), 1000), 0);
    t.equal(await file.read(new Uint8Array(0), 10), 0);
    await file.close();
  });

  t.test('fills only the view it was given', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    const whole = bytesFrom(0, 100);
    await file.write([whole.subarray(10, 20)], 0);
    const into = new Uint8Array(30).fill(255);
    t.equal(await file.read(into.subarray(10, 20), 0), 10);
    t.same(
      Buffer.from(into),
      Buffer.concat([Buffer.alloc(10, 255), bytesFrom(10, 10), Buffer.alloc(10, 255)])
    );
    await file.close();
  });

  t.test('writes thousands of parts and none at all', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    const whole = bytesFrom(0, 3000 * 7);
    const parts = Array.from({ length: 3000 }, (_, index) => whole.subarray(index * 7, index * 7 + 7));
    await file.write(parts, 5);
    await file.write([], 0);
    await file.write([new Uint8Array(0)], 1_000_000);
    t.equal(await file.size(), 5 + whole.byteLength);
    t.same((await readAll(file)).subarray(5), whole);
    await file.close();
  });

  t.test('keeps concurrent writes apart', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    const whole = bytesFrom(0, 64 * 1024);
    const offsets = Array.from({ length: 64 }, (_, index) => index * 1024);
    await Promise.all(offsets.map((offset) => file.write([whole.subarray(offset, offset + 1024)], offset)));
    await Promise.all([file.sync(), file.sync()]);
    t.same(await readAll(file), whole);
    await file.close();
  });

  t.test('shows zeros where nothing was written, also after cutting and growing', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    await file.write([bytesFrom(1, 10)], 10);
    t.same(await readAll(file), Buffer.concat([new Uint8Array(10), bytesFrom(1, 10)]));
    await file.truncate(15);
    await file.truncate(30);
    t.equal(await file.size(), 30);
    t.same(await readAll(file), Buffer.concat([new Uint8Array(10), bytesFrom(1, 5), new Uint8Array(15)]));
    await file.close();
  });

  t.test('closes twice and refuses use after close', async (t) => {
    await using fixture = await open();
    const file = await fixture.disk.createFile(join(fixture.directory, 'f'));
    await Promise.all([file.close(), file.close()]);
    await file.close();
    const rows: { name: string; use: () => Promise<unknown> }[] = [
      { name: 'read', use: () => file.read(new Uint8Array(1), 0) },
      { name: 'write', use: () => file.write([bytesFrom(0, 1)], 0) },
      { name: 'sync', use: () => file.sync() },
      { name: 'truncate', use: () => file.truncate(0) },
      { name: 'size', use: () => file.size() }
    ];
    for (const { name, use } of rows) await t.rejects(use(), { code: 'DiskFailed' }, name);
  });
}

function nameTests(t: Test, open: () => Promise<DiskFixture>): void {
  t.test('creates a file once and finds it again', async (t) => {
    await using fixture = await open();
    const path = join(fixture.directory, 'f');
    t.equal(await fixture.disk.findFile(path), undefined);
    const file = await fixture.disk.createFile(path);
    await file.write([bytesFrom(0, 10)], 0);
    await file.close();
    await t.rejects(fixture.disk.createFile(path), { code: 'DiskFailed', message: new RegExp(path) });
    const found = (await fixture.disk.findFile(path))!;
    t.same(await readAll(found), bytesFrom(0, 10), 'the failed creation changed nothing');
    await found.write([bytesFrom(10, 10)], 10);
    t.equal(await found.size(), 20);
    await found.close();
  });

  t.test('lists names in order, directories included, and nothing of what is absent', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    t.same(await disk.list(directory), []);
    for (const name of ['b', 'a', 'c-1']) await (await disk.createFile(join(directory, name))).close();
    await disk.createDirectory(join(directory, 'below', 'deeper'));
    t.same(await disk.list(directory), ['a', 'b', 'below', 'c-1']);
    t.same(await disk.list(join(directory, 'below')), ['deeper']);
    t.same(await disk.list(join(directory, 'absent')), []);
  });

  t.test('creates a directory that exists already, and no file below one that is absent', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    await disk.createDirectory(join(directory, 'x', 'y'));
    await disk.createDirectory(join(directory, 'x', 'y'));
    await (await disk.createFile(join(directory, 'x', 'y', 'f'))).close();
    await t.rejects(disk.createFile(join(directory, 'absent', 'f')), { code: 'DiskFailed' });
    await t.rejects(disk.createDirectory(join(directory, 'x', 'y', 'f', 'z')), { code: 'DiskFailed' });
    await t.rejects(disk.syncDirectory(join(directory, 'absent')), { code: 'DiskFailed' });
  });

  t.test('renames over what has the name, and open files stay open', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    const [from, to] = [join(directory, 'from'), join(directory, 'to')];
    const file = await disk.createFile(from);
    await file.write([bytesFrom(0, 10)], 0);
    const replaced = await disk.createFile(to);
    await disk.rename(from, to);
    await disk.syncDirectory(directory);
    t.same(await disk.list(directory), ['to']);
    await file.write([bytesFrom(10, 10)], 10);
    t.same(Buffer.from((await disk.findBytes(to))!), bytesFrom(0, 20));
    t.equal(await replaced.size(), 0);
    await Promise.all([file.close(), replaced.close()]);
    await t.rejects(disk.rename(from, to), { code: 'DiskFailed' }, 'an absent file cannot be renamed');
  });

  t.test('removes files and directories, and is fine with absent ones', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    const path = join(directory, 'x', 'f');
    await disk.createDirectory(join(directory, 'x', 'y'));
    await (await disk.createFile(path)).close();
    await disk.remove(path);
    await disk.remove(path);
    t.equal(await disk.findFile(path), undefined);
    await (await disk.createFile(path)).close();
    await (await disk.createFile(join(directory, 'x', 'y', 'g'))).close();
    await t.rejects(disk.remove(join(directory, 'x')), { code: 'DiskFailed' }, 'a directory is no file');
    await disk.removeDirectory(join(directory, 'x'));
    await disk.removeDirectory(join(directory, 'x'));
    t.same(await disk.list(directory), []);
    await disk.createDirectory(join(directory, 'x'));
    t.same(await disk.list(join(directory, 'x')), [], 'a directory of the same name starts empty');
  });

  t.test('measures the space of a directory', async (t) => {
    await using fixture = await open();
    const { totalBytes, freeBytes } = await fixture.disk.space(fixture.directory);
    t.ok(freeBytes > 0 && freeBytes <= totalBytes);
    await t.rejects(fixture.disk.space(join(fixture.directory, 'absent')), { code: 'DiskFailed' });
  });
}

function smallFileTests(t: Test, open: () => Promise<DiskFixture>): void {
  t.test('replaces a small file whole and leaves nothing beside it', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    const path = join(directory, 'f');
    t.equal(await disk.findBytes(path), undefined);
    await disk.writeBytes(path, bytesFrom(0, 100_000));
    await disk.writeBytes(path, bytesFrom(7, 10), 0o600);
    t.same(Buffer.from((await disk.findBytes(path))!), bytesFrom(7, 10));
    await disk.writeBytes(path, new Uint8Array(0));
    t.equal((await disk.findBytes(path))?.byteLength, 0);
    t.same(await disk.list(directory), ['f']);
    await t.rejects(disk.writeBytes(join(directory, 'absent', 'f'), bytesFrom(0, 1)), { code: 'DiskFailed' });
  });

  t.test('replaces a small file with one of several whole contents when many write at once', async (t) => {
    await using fixture = await open();
    const path = join(fixture.directory, 'f');
    const contents = Array.from({ length: 8 }, (_, index) => Buffer.alloc(10_000 + index, index));
    await Promise.all(contents.map((content) => fixture.disk.writeBytes(path, content)));
    const found = Buffer.from((await fixture.disk.findBytes(path))!);
    t.ok(contents.some((content) => content.equals(found)));
    t.same(await fixture.disk.list(fixture.directory), ['f']);
  });

  t.test('refuses to read a file whole that is not small, and a directory', async (t) => {
    await using fixture = await open();
    const { disk, directory } = fixture;
    const file = await disk.createFile(join(directory, 'f'));
    await file.truncate(SMALL_FILE_BYTES_MAX + 1);
    await file.close();
    await t.rejects(disk.findBytes(join(directory, 'f')), { code: 'DiskFailed' });
    await t.rejects(disk.findBytes(directory), { code: 'DiskFailed' });
  });
}

/** Bytes that tell their position, so that misplaced ones show. */
function bytesFrom(start: number, length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (start + index) % 251));
}

async function readAll(file: DiskFile): Promise<Buffer> {
  const bytes = Buffer.alloc(await file.size());
  const length = await file.read(bytes, 0);
  return bytes.subarray(0, length);
}
