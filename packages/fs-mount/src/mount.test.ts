import t from 'tap';
import type { Driver } from './drivers/driver.js';
import type { FileSystem } from './file-system.js';
import { type Mount, mount } from './mount.js';
import type { MountOptions } from './mount-options.js';
import { BUCKET, errnoOf, stored } from './testing/drive.js';
import { ObservedStore } from './testing/observed-store.js';
import { VirtualClock } from './testing/virtual-clock.js';

/** A driver without a kernel: the test makes the requests itself, also while the directory is being unmounted. */
class DirectDriver implements Driver {
  readonly name = 'direct';
  readonly hasServerLocks = false;
  fileSystem!: FileSystem;
  onUnmount: () => Promise<void> = async () => undefined;
  #end: () => void = () => undefined;
  readonly #ended = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  async mount(fileSystem: FileSystem) {
    this.fileSystem = fileSystem;
    const unmount = async () => {
      await this.onUnmount();
      this.#end();
    };
    return { ended: this.#ended, unmount };
  }
}

interface Fixture {
  readonly store: ObservedStore;
  readonly clock: VirtualClock;
  readonly driver: DirectDriver;
  readonly drive: Mount;
}

async function startMount(): Promise<Fixture> {
  const store = new ObservedStore();
  await store.direct.buckets.create({ bucket: BUCKET });
  const clock = new VirtualClock();
  const driver = new DirectDriver();
  const options = { client: store.observed, bucket: BUCKET, directory: '/mnt', clock, driver };
  return { store, clock, driver, drive: await mount(options) };
}

async function writeOpen(fileSystem: FileSystem, path: string, text: string): Promise<void> {
  const handle = await fileSystem.create(path, 0o644, { writable: true });
  await handle.write(0, Buffer.from(text));
}

t.test('closing stores what is open, also what is written until the directory is gone', async (t) => {
  const { store, driver, drive } = await startMount();
  await writeOpen(driver.fileSystem, '/early', 'one');
  driver.onUnmount = async () => {
    t.equal(await stored(store, 'early'), 'one', 'before the directory goes');
    await writeOpen(driver.fileSystem, '/late', 'two');
  };
  t.same(await drive.close(), []);
  t.equal(await stored(store, 'late'), 'two');
  await drive.ended;
});

t.test('closing tries until the store takes the data', async (t) => {
  const { store, clock, driver, drive } = await startMount();
  await writeOpen(driver.fileSystem, '/f', 'kept');
  store.fail({ call: 'objects.put', code: 'ServiceUnavailable', times: 5 });
  const closing = drive.close();
  await clock.advance(10_000);
  t.same(await closing, []);
  t.equal(await stored(store, 'f'), 'kept');
});

t.test('a second close gives up and says what was not stored', async (t) => {
  const { store, clock, driver, drive } = await startMount();
  await writeOpen(driver.fileSystem, '/f', 'lost');
  store.fail({ call: 'objects.put', code: 'ServiceUnavailable', times: 1e9 });
  const closing = drive.close();
  await clock.advance(5000);
  t.same(await drive.close(), [{ path: '/f', bytes: 4 }]);
  t.same(await closing, [{ path: '/f', bytes: 4 }]);
});

t.test('a second close does not wait for a store that does not answer', async (t) => {
  const { store, driver, drive } = await startMount();
  await writeOpen(driver.fileSystem, '/f', 'lost');
  const held = store.hold('objects.put');
  const closing = drive.close();
  t.same(await drive.close(), [{ path: '/f', bytes: 4 }]);
  await closing;
  held.release();
});

t.test('closing does not insist on what the store refuses', async (t) => {
  const { store, driver, drive } = await startMount();
  await store.direct.buckets.configure({ bucket: BUCKET, settings: { quotaBytes: 3 } });
  await writeOpen(driver.fileSystem, '/refused', 'much');
  await writeOpen(driver.fileSystem, '/taken', 'y');
  t.same(await drive.close(), [{ path: '/refused', bytes: 4 }]);
  t.equal(await stored(store, 'taken'), 'y');
});

t.test('options are checked before anything is mounted', async (t) => {
  const store = new ObservedStore();
  const base = { client: store.observed, bucket: BUCKET, directory: '/mnt', driver: new DirectDriver() };
  const rows: readonly { name: string; options: Partial<MountOptions>; code: string }[] = [
    { name: 'a bucket that is not there', options: {}, code: 'store:NoSuchBucket' },
    { name: 'a prefix with a leading slash', options: { prefix: '/a' }, code: 'EINVAL' },
    { name: 'a prefix with an empty component', options: { prefix: 'a//b' }, code: 'EINVAL' },
    { name: 'too little memory', options: { writeMemoryBytes: 1 }, code: 'EINVAL' },
    { name: 'memory that is no number', options: { readMemoryBytes: Number.NaN }, code: 'EINVAL' },
    { name: 'a mask beyond permissions', options: { umask: 0o1777 }, code: 'EINVAL' }
  ];
  for (const { name, options, code } of rows)
    t.equal(await errnoOf(mount({ ...base, ...options })), code, name);
});

t.test('a driver that cannot have locks of the server refuses to be told to', async (t) => {
  const { store, driver, drive } = await startMount();
  await drive.close();
  const options = {
    client: store.observed,
    bucket: BUCKET,
    directory: '/mnt',
    driver,
    locks: 'server'
  } as const;
  await t.rejects(mount(options), {
    message: /direct cannot keep locks at the server; use the Linux driver/
  });
});
