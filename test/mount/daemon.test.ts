import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createStoreClient } from '@stampede/client';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import { COMMAND, credentialsOf, type StoreProcess, scratch, startStore } from '../support/store-process.js';

/* Drives in the background, as `stampede mount --daemon` leaves them: how they begin, end and outlive their store. */

const run = promisify(execFile);
const TEST = { skip: withoutDrive('stamp'), timeout: 120_000 };

t.test(
  'the command returns when the drive can be used; SIGTERM stores, unmounts and ends it',
  TEST,
  async (t) => {
    await using fixture = await start();
    const { drive, pidFile } = fixture;
    const said = await fixture.mount('--json');
    const { pid } = JSON.parse(said.stdout);
    t.same(JSON.parse(said.stdout), { mount: drive, pid, pidFile, logFile: fixture.logFile });
    await writeFile(join(drive, 'f'), 'content');
    t.equal(readFileSync(pidFile, 'utf8'), `${pid}\n`);
    t.equal(
      (await run('ps', ['-o', 'sid=', '-p', String(pid)])).stdout.trim(),
      String(pid),
      'a session of its own'
    );
    await run(
      'bash',
      [
        '-c',
        'exec 3> open; echo written >&3; kill -TERM $0; while kill -0 $0 2>/dev/null; do sleep 0.05; done',
        String(pid)
      ],
      {
        cwd: drive
      }
    );
    t.notOk(await isMounted(drive));
    t.notOk(existsSync(pidFile));
    t.equal(await fixture.stored('open'), 'written\n');
    t.equal(await fixture.stored('f'), 'content');
  }
);

t.test('what keeps the drive from being mounted is said by the command that was run', TEST, async (t) => {
  await using fixture = await start();
  const failure = await fixture.mount('--bucket=none').catch((error) => error);
  t.equal(failure.code, 1);
  t.match(failure.stderr, /^stampede: .*(none).*NoSuchBucket.*\n$/);
  t.notOk(existsSync(fixture.pidFile));
  await fixture.mount();
  const second = await fixture.mount().catch((error) => error);
  t.equal(second.code, 1);
  t.match(second.stderr, /^stampede: .* is a mount already/);
  t.ok(existsSync(fixture.pidFile), 'of the first one');
  t.equal(
    (await fixture.run('mount', 'drive', fixture.drive, '--log-file', 'x').catch((error) => error)).code,
    2
  );
});

t.test('what a killed daemon left is unmounted, or cleared by the next one', TEST, async (t) => {
  await using fixture = await start();
  const { drive } = fixture;
  for (const last of ['umount', 'mount']) {
    await fixture.mount();
    process.kill(fixture.pid(), 'SIGKILL');
    await t.rejects(run('stat', ['-f', drive]), /not connected|connection abort/);
    if (last === 'umount') {
      await fixture.run('umount', drive);
      t.notOk(await isMounted(drive));
    }
  }
  await fixture.mount();
  await writeFile(join(drive, 'f'), 'again');
  await fixture.run('umount', drive);
  t.equal(await fixture.stored('f'), 'again', 'durable when umount has returned');
});

t.test('a store that is killed and comes back is a pause for programs', TEST, async (t) => {
  await using fixture = await start();
  const { drive } = fixture;
  await fixture.mount();
  await writeFile(join(drive, 'before'), 'kept');
  // Appends and reads back a line at a time, each durable; ends with the first error.
  const script = `exec 3>> log
    for i in $(seq 1 150); do echo "line $i" >&3; sync log; test "$(tail -n 1 log)" = "line $i"; echo $i; sleep 0.005; done`;
  const writer = execFile('bash', ['-euc', script], { cwd: drive });
  let progress = 0;
  writer.stdout!.on('data', (text: string) => {
    progress = Number(text.trim().split('\n').at(-1));
  });
  const ended = new Promise((resolve) => writer.once('close', resolve));
  for (const count of [20, 60]) {
    while (progress < count) await sleep(5);
    await fixture.restartStore();
  }
  t.equal(await ended, 0);
  const lines = (await readFile(join(drive, 'log'), 'utf8')).trimEnd().split('\n');
  t.same(
    lines,
    Array.from({ length: 150 }, (_, index) => `line ${index + 1}`)
  );
  t.equal(await readFile(join(drive, 'before'), 'utf8'), 'kept');
});

interface Fixture extends AsyncDisposable {
  readonly drive: string;
  readonly pidFile: string;
  readonly logFile: string;
  run(...words: readonly string[]): Promise<{ stdout: string; stderr: string }>;
  /** `mount --daemon`. */
  mount(...words: readonly string[]): Promise<{ stdout: string; stderr: string }>;
  pid(): number;
  restartStore(): Promise<void>;
  stored(key: string): Promise<string>;
}

async function start(): Promise<Fixture> {
  const folder = scratch();
  const data = join(folder.path, 'data');
  const drive = join(folder.path, 'drive');
  const [pidFile, logFile] = [join(folder.path, 'run/drive.pid'), join(folder.path, 'log/drive.log')];
  let store: StoreProcess = await startStore({ data });
  const client = () => createStoreClient({ ...credentialsOf(data), endpoint: store.endpoint });
  {
    await using made = client();
    await made.buckets.create({ bucket: 'drive' });
  }
  const command = (...words: readonly string[]) =>
    run(process.execPath, [COMMAND, ...words], { cwd: folder.path });
  return {
    drive,
    pidFile,
    logFile,
    run: command,
    mount(...words) {
      const bucket = words.includes('--bucket=none') ? 'none' : 'drive';
      const others = words.filter((word) => !word.startsWith('--bucket'));
      const files = ['--pid-file', pidFile, '--log-file', logFile];
      return command(
        'mount',
        '--daemon',
        bucket,
        drive,
        '--data',
        data,
        '--endpoint',
        store.endpoint,
        ...files,
        ...others
      );
    },
    pid: () => Number(readFileSync(pidFile, 'utf8')),
    async restartStore() {
      await store.kill();
      store = await startStore({ data, port: Number(new URL(store.endpoint).port) });
    },
    async stored(key) {
      await using reader = client();
      return Buffer.from((await reader.objects.read({ bucket: 'drive', key })).body).toString();
    },
    async [Symbol.asyncDispose]() {
      if (await isMounted(drive)) await command('umount', '--force', drive).catch(() => undefined);
      // It ends by itself when it has stored everything.
      for (let left = 200; left > 0 && existsSync(pidFile) && isRunning(pidFile); left--) await sleep(50);
      await store[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    }
  };
}

function isRunning(pidFile: string): boolean {
  try {
    return process.kill(Number(readFileSync(pidFile, 'utf8')), 0);
  } catch {
    return false;
  }
}

async function isMounted(directory: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${directory} `);
}
