import { readFileSync, writeFileSync } from 'node:fs';
import { StoreError } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import { FileSystemError, type Mount, type MountOptions } from '@stampede/fs-mount';
import t from 'tap';
import type { StampStartOptions } from '../stamp-start.js';
import { TestWorld, type TestWorldOptions } from '../testing/test-world.js';

/* up, mount and umount, with a store and a drive that only note what is done to them. */

class Fixture implements Disposable {
  readonly calls = memoryStore();
  /** What was opened and closed, in order. */
  readonly events: string[] = [];
  readonly started: StampStartOptions[] = [];
  readonly mounted: MountOptions[] = [];
  readonly world: TestWorld;
  /** What the drive says it could not store. */
  unstored: { readonly path: string; readonly bytes: number }[] = [];
  /** Held while a drive waits for a store that does not answer. */
  isStuck = false;
  endMount = () => {};

  constructor(world: TestWorldOptions['world'] = {}) {
    this.world = new TestWorld({
      calls: this.calls,
      world: {
        startStamp: async (options) => {
          this.started.push(options);
          this.events.push('store opened');
          return {
            calls: this.calls,
            credentials: { accessKey: 'a', secretKey: 's' },
            endpoint: `http://127.0.0.1:${options.port}`,
            close: async () => {
              this.events.push('store closed');
            }
          };
        },
        mount: async (options) => this.#mount(options),
        ...world
      }
    });
    writeFileSync(this.world.path('fuse-device'), '');
  }

  /** Runs a command until it says that it is ready, does something, and gives its result. */
  async runUntilReady(
    words: readonly string[],
    then: () => Promise<void> | void
  ): Promise<Awaited<ReturnType<TestWorld['run']>>> {
    const running = this.world.run(...words);
    // A turn of the loop per step of the start-up; it ends early when the command does.
    let isEnded = false;
    void running.finally(() => {
      isEnded = true;
    });
    while (!isEnded && !this.events.includes('ready')) {
      if (this.world.lastOutput.includes('\n')) this.events.push('ready');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await then();
    return running;
  }

  [Symbol.dispose](): void {
    this.world[Symbol.dispose]();
  }

  #mount(options: MountOptions): Mount {
    this.mounted.push(options);
    this.events.push('drive mounted');
    const ended = new Promise<void>((resolve) => {
      this.endMount = resolve;
    });
    let closeCount = 0;
    let giveUp = () => {};
    const givenUp = new Promise<void>((resolve) => {
      giveUp = resolve;
    });
    const close = async () => {
      closeCount += 1;
      if (closeCount > 1) {
        this.events.push('drive given up');
        giveUp();
      } else if (this.isStuck) await givenUp;
      this.events.push('drive closed');
      return this.unstored;
    };
    return {
      directory: options.directory,
      driver: 'test',
      status: {} as Mount['status'],
      ended,
      close,
      async [Symbol.asyncDispose]() {}
    };
  }
}

t.test('up starts the store, mounts its drive, says so, and closes both in reverse', async (t) => {
  using fixture = new Fixture();
  const { world, events, started, mounted, calls } = fixture;
  const { code, stdout, stderr } = await fixture.runUntilReady(['up', '--mount', 'drive'], () =>
    world.signal()
  );
  t.equal(code, 0);
  t.equal(stderr, '');
  t.same(events, ['store opened', 'drive mounted', 'ready', 'drive closed', 'store closed']);
  const { logger: _logger, ...start } = started[0]!;
  t.same(start, {
    directory: world.path('.stampede'),
    host: '127.0.0.1',
    port: 7070,
    nodeCount: 1,
    durability: 'sync'
  });
  t.match(mounted[0], { bucket: 'drive', directory: world.path('drive') });
  t.equal(mounted[0]!.client, calls, 'no wire between the drive and the store');
  t.equal((await calls.buckets.head({ bucket: 'drive' })).bucket, 'drive');
  t.equal(stdout, readyExample());
});

t.test('up --json prints one line of JSON when it is ready', async (t) => {
  using fixture = new Fixture();
  const { world } = fixture;
  const words = [
    'up',
    '--json',
    '--data',
    'd',
    '--mount',
    'm',
    '--port',
    '7171',
    '--nodes',
    '3',
    '--durability',
    'os'
  ];
  const { code, stdout } = await fixture.runUntilReady(words, () => world.signal());
  t.equal(code, 0);
  t.equal(stdout.trimEnd().split('\n').length, 1);
  t.same(JSON.parse(stdout), {
    endpoint: 'http://127.0.0.1:7171',
    data: world.path('d'),
    mount: world.path('m'),
    bucket: 'drive',
    pid: process.pid
  });
  t.match(fixture.started[0], { port: 7171, nodeCount: 3, durability: 'os' });
});

t.test('up works on a store that has the bucket already', async (t) => {
  using fixture = new Fixture();
  await fixture.calls.buckets.create({ bucket: 'drive' });
  const { code } = await fixture.runUntilReady(['up', '--mount', 'drive'], () => fixture.world.signal());
  t.equal(code, 0);
});

t.test('up without --mount creates and mounts nothing', async (t) => {
  using fixture = new Fixture();
  const { code, stdout } = await fixture.runUntilReady(['up', '--data', 'here'], () =>
    fixture.world.signal()
  );
  t.equal(code, 0);
  t.same(fixture.mounted, []);
  t.same((await fixture.calls.buckets.list()).buckets, []);
  t.match(stdout, /stampede bucket create photos --data \.\/here/);
  t.match(stdout, /^Ctrl-C stops;/m);
});

t.test('up serves without the drive where the machine cannot mount, and says so', async (t) => {
  const cannot = () =>
    Promise.reject(new FileSystemError('EIO', 'drive could not be mounted: is /dev/fuse there?'));
  for (const world of [{ fuseDevice: '/nonexistent/fuse' }, { mount: cannot }]) {
    using fixture = new Fixture(world);
    const words = ['up', '--mount', 'drive', '--json'];
    const { code, stdout, stderr } = await fixture.runUntilReady(words, () => fixture.world.signal());
    t.equal(code, 0);
    t.same(fixture.mounted, []);
    t.match(stderr, /^stampede: .*the store serves without it; "stampede doctor" says what to fix\n$/);
    t.notOk('mount' in JSON.parse(stdout));
  }
});

t.test('up fails when something else is mounted there, and closes the store', async (t) => {
  const busy = () =>
    Promise.reject(new FileSystemError('EBUSY', 'drive is a mount already; unmount it first'));
  using fixture = new Fixture({ mount: busy });
  const { code, stdout, stderr } = await fixture.world.run('up', '--mount', 'drive');
  t.match(
    { code, stdout, stderr },
    { code: 1, stdout: '', stderr: 'stampede: drive is a mount already; unmount it first\n' }
  );
  t.same(fixture.events, ['store opened', 'store closed']);
});

t.test('up says what to do when it cannot start', async (t) => {
  const because = (code: string) =>
    new StoreError('InvalidArgument', 'no', { cause: Object.assign(new Error(code), { code }) });
  for (const [error, pattern] of [
    [
      because('EADDRINUSE'),
      /^stampede: port 7070 is in use; stop what listens there, or choose another with --port\n$/
    ],
    [
      because('LEVEL_LOCKED'),
      /\.stampede is in use by another process; stop that one, or choose another folder with --data\n$/
    ],
    [because('EADDRNOTAVAIL'), /127\.0\.0\.1 is no address of this machine; choose another with --host\n$/]
  ] as const) {
    using world = new TestWorld({ world: { startStamp: () => Promise.reject(error) } });
    const { code, stderr } = await world.run('up');
    t.equal(code, 1);
    t.match(stderr, pattern);
  }
});

t.test('up refuses folders that cannot hold a store', async (t) => {
  using fixture = new Fixture();
  writeFileSync(fixture.world.path('file'), 'mine');
  for (const data of ['file', 'file/below', '/proc/below']) {
    const { code, stderr } = await fixture.world.run('up', '--data', data);
    t.equal(code, 1);
    t.match(stderr, /cannot hold a store: (it is, or lies below, a file|no folder can be made there)/);
  }
  t.equal((await fixture.world.run('up', '--data', 'm/d', '--mount', 'm')).code, 2);
  t.same(fixture.started, []);
  t.equal(readFileSync(fixture.world.path('file'), 'utf8'), 'mine');
});

t.test('up goes on when its drive is unmounted by somebody else', async (t) => {
  using fixture = new Fixture();
  const { code, stderr } = await fixture.runUntilReady(['up', '--mount', 'drive'], async () => {
    fixture.endMount();
    while (!fixture.events.includes('drive closed')) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    t.notOk(fixture.events.includes('store closed'));
    fixture.world.signal();
  });
  t.equal(code, 0);
  t.match(stderr, /the drive at .* was unmounted; the store serves on/);
  t.same(
    fixture.events.filter((event) => event.startsWith('drive')),
    ['drive mounted', 'drive closed']
  );
});

t.test('a second signal gives up what cannot be stored, and says what that is', async (t) => {
  using fixture = new Fixture();
  fixture.isStuck = true;
  fixture.unstored = [
    { path: '/a', bytes: 2048 },
    { path: '/b', bytes: 10 }
  ];
  const { code, stderr } = await fixture.runUntilReady(['up', '--mount', 'drive'], async () => {
    fixture.world.signal();
    await new Promise((resolve) => setImmediate(resolve));
    t.notOk(fixture.events.includes('drive closed'), 'one signal waits');
    fixture.world.signal();
  });
  t.equal(code, 1);
  t.equal(stderr, 'stampede: not stored: /a (2.00 KiB), /b (10 B)\n');
  t.ok(fixture.events.includes('store closed'));
});

t.test('mount shows a prefix of a bucket of a remote store until a signal', async (t) => {
  using fixture = new Fixture();
  const words = ['mount', 'photos/2026', 'm', '--read-only', '--umask', '077', '--read-memory', '64MiB'];
  const { code, stdout } = await fixture.runUntilReady(words, () => fixture.world.signal());
  t.equal(code, 0);
  t.equal(stdout, `photos/2026 is mounted at ${fixture.world.path('m')}. Ctrl-C unmounts it.\n`);
  t.match(fixture.mounted[0], {
    bucket: 'photos',
    prefix: '2026',
    readOnly: true,
    umask: 0o077,
    readMemoryBytes: 64 << 20
  });
  t.same(fixture.events, ['drive mounted', 'ready', 'drive closed']);
});

t.test('mount ends when somebody unmounts it, once everything is stored', async (t) => {
  using fixture = new Fixture();
  const { code, stdout } = await fixture.runUntilReady(['mount', 'st:photos', 'm', '--json'], () =>
    fixture.endMount()
  );
  t.equal(code, 0);
  t.match(JSON.parse(stdout), { bucket: 'photos', prefix: '', mount: fixture.world.path('m') });
  t.equal(fixture.events.at(-1), 'drive closed');
});

/** As the README shows it. */
function readyExample(): string {
  return `Stampede is ready.

  store   ./.stampede
  drive   ./drive            (bucket "drive")
  API     http://127.0.0.1:7070/trpc

Try, in another terminal:
  cp -r docs drive/ && ls -l drive/docs
  stampede ls -r st:drive/

Ctrl-C unmounts and stops; everything is there again with the next start.
`;
}
