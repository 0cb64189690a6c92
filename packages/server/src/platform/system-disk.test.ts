import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { isStoreError } from '../api/index.js';
import { diskError } from './disk-error.js';
import { FaultyDisk } from './faulty-disk.js';
import { flipByte } from './flip-byte.js';
import { seededRandom } from './seeded-random.js';
import { systemDisk } from './system-disk.js';
import { type DiskFixture, diskConformance } from './testing/disk-conformance.js';

t.test('conforms', async (t) => diskConformance(t, openFixture));

t.test('conforms when wrapped without fault rules', async (t) => {
  diskConformance(t, async () => {
    const fixture = await openFixture();
    return { ...fixture, disk: new FaultyDisk(fixture.disk, { random: seededRandom(1) }) };
  });
});

t.test('gives a small file the mode that was asked for', async (t) => {
  await using fixture = await openFixture();
  const path = join(fixture.directory, 'secret');
  // A file that an earlier crash left, open to all.
  await writeFile(`${path}.0.tmp`, 'old and longer than the new content');
  await fixture.disk.writeBytes(path, Buffer.from('new'), 0o600);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.same(await fixture.disk.findBytes(path), Buffer.from('new'));
});

t.test('damages one byte of a file', async (t) => {
  await using fixture = await openFixture();
  const path = join(fixture.directory, 'f');
  await fixture.disk.writeBytes(path, Uint8Array.of(1, 2, 3));
  await flipByte(fixture.disk, path, 1);
  t.same(await fixture.disk.findBytes(path), Buffer.of(1, 253, 3));
});

t.test(
  'says NoSpace when the system has none',
  { skip: existsSync('/dev/full') ? false : 'needs /dev/full' },
  async (t) => {
    const file = (await systemDisk().findFile('/dev/full'))!;
    await t.rejects(file.write([Buffer.from('x')], 0), {
      code: 'NoSpace',
      message: /\/dev\/full.*Free space/
    });
    await file.close();
  }
);

t.test('tells a full disk from a failed one, and names the path and what to do', async (t) => {
  const rows = [
    { code: 'ENOSPC', expected: 'NoSpace', message: /Cannot write \/x: ENOSPC.*Free space/ },
    { code: 'EDQUOT', expected: 'NoSpace', message: /quota/ },
    { code: 'EIO', expected: 'DiskFailed', message: /Cannot write \/x: EIO.*Check the disk/ },
    { code: 'EACCES', expected: 'DiskFailed', message: /right/ },
    { code: 'EMFILE', expected: 'DiskFailed', message: /limit of open files/ },
    { code: 'EROFS', expected: 'DiskFailed', message: /for writing/ }
  ] as const;
  for (const { code, expected, message } of rows) {
    const cause = Object.assign(new Error(`${code}: broken`), { code });
    const error = diskError('write', '/x', cause);
    t.ok(isStoreError(error, expected), code);
    t.match(error.message, message);
    t.equal(error.cause, cause);
  }
});

async function openFixture(): Promise<DiskFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'stampede-disk-'));
  return {
    disk: systemDisk(),
    directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true })
  };
}
