import t from 'tap';
import { DiskCache } from './disk-cache/index.js';
import { driveOn, pattern, readFile, startDrive, writeFile } from './testing/drive.js';
import { MemoryCacheDisk } from './testing/memory-cache-disk.js';
import type { ObservedStore } from './testing/observed-store.js';
import { settle, VirtualClock } from './testing/virtual-clock.js';

/* A file system with a disk cache: what it asks the store for, and that it never shows what is no longer stored. */

const MIB = 1024 * 1024;

async function openCache(disk = new MemoryCacheDisk()): Promise<DiskCache> {
  const options = { limitBytes: 256 * MIB, freeShareMin: 0.1, clock: new VirtualClock() };
  return DiskCache.open({ disk, ...options, onEvent: () => undefined });
}

function readCalls(store: ObservedStore): number {
  return store.takeCalls().filter((call) => call === 'objects.read').length;
}

t.test('the next mount asks the store for nothing that was read', async (t) => {
  await using drive = await startDrive();
  const disk = new MemoryCacheDisk();
  const content = Buffer.from(pattern(9 * MIB + 5));
  await writeFile(drive.fileSystem, '/large', content);
  await writeFile(drive.fileSystem, '/small', 'small');
  {
    const diskCache = await openCache(disk);
    await using first = driveOn(drive.store, { diskCache });
    drive.store.takeCalls();
    t.ok((await readFile(first.fileSystem, '/large')).equals(content));
    t.equal((await readFile(first.fileSystem, '/small')).toString(), 'small');
    t.ok(readCalls(drive.store) > 0);
    await settle();
    await diskCache.close();
  }
  const diskCache = await openCache(disk);
  await using second = driveOn(drive.store, { diskCache });
  t.ok((await readFile(second.fileSystem, '/large')).equals(content));
  t.equal((await readFile(second.fileSystem, '/small')).toString(), 'small');
  t.equal(readCalls(drive.store), 0);
  await second.fileSystem.rename('/large', '/renamed');
  t.ok((await readFile(second.fileSystem, '/renamed')).equals(content));
  await drive.store.direct.objects.put({ bucket: 'drive', key: 'small', body: Buffer.from('other') });
  await second.clock.advance(2000);
  t.equal((await readFile(second.fileSystem, '/small')).toString(), 'other');
});

t.test('parts that were read here and there become the whole', async (t) => {
  await using drive = await startDrive({ diskCache: await openCache() });
  const content = Buffer.from(pattern(MIB));
  await drive.store.direct.objects.put({ bucket: 'drive', key: 'f', body: content });
  const handle = await drive.fileSystem.open('/f');
  for (let offset = MIB - 1; offset >= 0; offset -= 16_000) await handle.read(offset, Buffer.alloc(10));
  await settle();
  const file = await drive.fileSystem.diskCache!.openWhole(handle.state.base!);
  const copy = Buffer.alloc(MIB);
  t.equal(await file?.read(0, copy), MIB);
  t.ok(copy.equals(content));
  await file?.close();
  await handle.release();
});
