import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createStoreClient, type StoreClient } from '@stampede/client';
import { DRIVER_NAMES, type DriverName } from '@stampede/fs-mount';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import {
  COMMAND,
  type CommandProcess,
  credentialsOf,
  scratch,
  startMount,
  startStore
} from '../support/store-process.js';

/*
 * Whatever does not answer, the commands for drives come to an end and say what to do: a stopped process stands for one that
 * is stuck, as what asks it waits in the kernel.
 */

const run = promisify(execFile);
const WAIT_MS_MAX = 30_000;

for (const driver of DRIVER_NAMES) {
  const TEST = { skip: withoutDrive('stamp', driver), timeout: 120_000 };

  t.test(`${driver}: a drive that is stuck is not waited for, and detached by force`, TEST, async (t) => {
    await using fixture = await start(driver);
    const { drive, mounted, store } = fixture;
    await using program = await startProgram(join(drive, 'f'), 'kept');
    mounted.process.kill('SIGSTOP');
    t.match(await fixture.command('umount', drive, '--timeout', '2'), {
      code: 1,
      stderr: /has not answered for 2 s: .*; let that process go on or end it and try again, or .* --force/
    });
    t.match(await fixture.command('mount', 'drive', drive), { code: 1, stderr: /is a mount already/ });
    t.ok(await isMounted(drive));
    t.match(await fixture.command('umount', drive, '--force'), { code: 0, stderr: '' });
    t.notOk(await isMounted(drive));
    mounted.process.kill('SIGCONT');
    await program.end();
    await until(() => mounted.process.exitCode !== null);
    t.equal(mounted.process.exitCode, 0);
    t.equal(await textOf(store, 'f'), 'kept');
  });

  t.test(
    `${driver}: a drive whose process is killed while it is asked ends the question`,
    TEST,
    async (t) => {
      await using fixture = await start(driver);
      const { drive, mounted } = fixture;
      await writeFile(join(drive, 'f'), 'kept');
      mounted.process.kill('SIGSTOP');
      const asked = fixture.command('umount', drive);
      // Who asks waits in the kernel by then, or asks one that is dead: both must end.
      await sleep(500);
      mounted.process.kill('SIGKILL');
      t.match(await asked, { code: 0, stderr: '' });
      t.notOk(await isMounted(drive));
    }
  );
}

interface Program extends AsyncDisposable {
  end(): Promise<void>;
}

/**
 * A program that has a file of the drive open as its descriptor 3, having written to it. A process that starts others
 * must have none open: each of them closes it at first, and so waits for the drive.
 */
async function startProgram(path: string, text: string): Promise<Program> {
  const script = 'exec 3> "$0"; printf "$1" >&3; echo done; read -r _';
  const child = spawn('bash', ['-euc', script, path, text], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  return {
    async end() {
      child.stdin.write('\n');
      await ended;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
    }
  };
}

interface Fixture extends AsyncDisposable {
  readonly drive: string;
  readonly mounted: CommandProcess;
  readonly store: StoreClient;
  command(...words: readonly string[]): Promise<{ code: number; stderr: string }>;
}

async function start(driver: DriverName): Promise<Fixture> {
  const folder = scratch();
  const [data, drive] = [join(folder.path, 'data'), join(folder.path, 'drive')];
  const server = await startStore({ data });
  const { endpoint } = server;
  const store = createStoreClient({ ...credentialsOf(data), endpoint });
  await store.buckets.create({ bucket: 'drive' });
  const mounted = await startMount({ data, endpoint, bucket: 'drive', directory: drive, driver });
  return {
    drive,
    mounted,
    store,
    async command(...words) {
      const connection = words[0] === 'mount' ? ['--data', data, '--endpoint', endpoint] : [];
      try {
        const { stderr } = await run(process.execPath, [COMMAND, ...words, ...connection], { cwd: '/' });
        return { code: 0, stderr };
      } catch (error) {
        const { code, stderr } = error as { code: number; stderr: string };
        return { code, stderr };
      }
    },
    async [Symbol.asyncDispose]() {
      if (mounted.process.exitCode === null) mounted.process.kill('SIGCONT');
      await mounted[Symbol.asyncDispose]();
      if (await isMounted(drive)) await run('umount', ['-c', '-l', drive]);
      await store[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    }
  };
}

async function textOf(store: StoreClient, key: string): Promise<string> {
  return Buffer.from((await store.objects.read({ bucket: 'drive', key })).body).toString();
}

async function isMounted(directory: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${directory} `);
}

async function until(isSo: () => boolean): Promise<void> {
  const endsAtMs = performance.now() + WAIT_MS_MAX;
  while (!isSo()) {
    if (performance.now() > endsAtMs) throw new Error(`still not so: ${isSo}`);
    await sleep(10);
  }
}
