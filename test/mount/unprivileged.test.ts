import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import { ROOT, scratch } from '../support/store-process.js';

/*
 * A drive that an ordinary user mounts, through fusermount3. It runs in a mount namespace of its own, with a /dev/fuse that
 * is open to everybody, as on most systems, and a /etc/fuse.conf of the test.
 */

const run = promisify(execFile);
const USER = 65534;
const OTHER = 1234;
const TEST = { skip: withoutDrive('memory', 'linux') || withoutRights(), timeout: 60_000 };

interface UserDrive extends AsyncDisposable {
  readonly directory: string;
  readonly ended: Promise<number | null>;
  readonly output: string;
  end(): void;
  /** Runs a script in the drive as somebody. */
  as(uid: number, script: string): Promise<string>;
}

class NamespacedDrive implements UserDrive {
  readonly directory: string;
  readonly ended: Promise<number | null>;
  readonly ready: Promise<void>;
  readonly #process: ChildProcess;
  output = '';

  constructor(child: ChildProcess, directory: string) {
    this.#process = child;
    this.directory = directory;
    this.ended = new Promise((resolve) => child.once('close', resolve));
    let complaints = '';
    child.stderr!.on('data', (text) => {
      complaints += text;
    });
    this.ready = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        this.output += line;
        if (line.includes('"ready"')) resolve();
      });
      void this.ended.then(() => reject(new Error(complaints)));
    });
  }

  end(): void {
    this.#process.kill('SIGTERM');
  }

  async as(uid: number, script: string): Promise<string> {
    const namespace = ['-m', '-t', String(this.#process.pid)];
    const user = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    const shell = ['bash', '-euc', `cd "$0"; umask 022; ${script}`, this.directory];
    return (await run('nsenter', [...namespace, ...user, ...shell])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
    await this.ended;
  }
}

t.test('an ordinary user mounts, uses and unmounts a drive that nobody else may enter', TEST, async (t) => {
  using folder = scratch();
  await using drive = await start(folder.path, {});
  t.equal(
    await drive.as(USER, 'echo mine > f; mkdir d; mv f d/g; cat d/g; stat -c %U d/g'),
    'mine\nnobody\n'
  );
  await t.rejects(drive.as(OTHER, 'cat d/g'), { message: /Permission denied/ });
  await t.rejects(drive.as(0, 'cat d/g'), { message: /Permission denied/ }, 'nor root');
  await drive.as(USER, `cd /; fusermount3 -u '${drive.directory}'`);
  t.equal(await drive.ended, 0);
  t.match(drive.output, /"contents":\{"d\/":"","d\/g":"mine\\n"\}/);
});

t.test('the drive of an ordinary user ends with its process', TEST, async (t) => {
  using folder = scratch();
  await using drive = await start(folder.path, {});
  await drive.as(USER, 'echo kept > f');
  drive.end();
  t.equal(await drive.ended, 0);
  t.match(drive.output, /"f":"kept\\n"/);
});

t.test('others enter only where the system lets users allow it', TEST, async (t) => {
  using folder = scratch();
  const refused = start(join(folder.path, 'refused'), { allowOther: true });
  await t.rejects(refused, { message: /user_allow_other/ });
  await using drive = await start(join(folder.path, 'allowed'), { allowOther: true, allowed: true });
  await drive.as(USER, 'echo x > open; echo x > closed; chmod 600 closed; mkdir d; chmod 777 d');
  t.equal(await drive.as(OTHER, 'cat open; echo mine > d/f; stat -c %u d/f'), `x\n${OTHER}\n`);
  await t.rejects(drive.as(OTHER, 'cat closed'), { message: /Permission denied/ });
  await t.rejects(drive.as(OTHER, 'echo y > open'), { message: /Permission denied/ });
});

async function start(
  folder: string,
  { allowOther = false, allowed = false }: { readonly allowOther?: boolean; readonly allowed?: boolean }
): Promise<UserDrive> {
  mkdirSync(folder, { recursive: true });
  for (const each of [dirname(folder), folder]) if (each !== tmpdir()) chmodSync(each, 0o755);
  const directory = join(folder, 'drive');
  mkdirSync(directory);
  chownSync(directory, USER, USER);
  writeFileSync(join(folder, 'fuse.conf'), allowed ? 'user_allow_other\n' : '');
  const options = JSON.stringify({ driver: 'linux', allowOther });
  const script = `mount --make-rprivate /; mknod -m 666 "$1/fuse" c 10 229; mount --bind "$1/fuse" /dev/fuse
mount --bind "$1/fuse.conf" /etc/fuse.conf
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups ${process.execPath} --import=tsx --conditions=stampede-source test/support/memory-drive.ts --directory "$2" --options "$3"`;
  const child = spawn('unshare', ['-m', 'bash', '-ec', script, 'bash', folder, directory, options], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe']
  });
  const drive = new NamespacedDrive(child, directory);
  await drive.ready;
  return drive;
}

function withoutRights(): string | false {
  if (process.getuid?.() !== 0) return 'only root can become somebody else';
  const reading = ['--reuid', String(USER), '--clear-groups', 'test', '-r', join(ROOT, 'package.json')];
  const { status } = spawnSync('setpriv', reading);
  return status === 0 ? false : 'an ordinary user cannot read this checkout';
}
