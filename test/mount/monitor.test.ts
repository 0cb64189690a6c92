import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { DRIVER_NAMES } from '@stampede/fs-mount';
import t from 'tap';
import { type DriveProcess, startDrive, withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';

/* The folder `.stampede` in the root of a drive: what the mount counts, and what it does as it happens. */

const run = promisify(execFile);

for (const driver of DRIVER_NAMES) {
  const TEST = { skip: withoutDrive('memory', driver), timeout: 60_000 };

  t.test(`${driver}: stats count what programs did, and are read by common programs`, TEST, async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ driver, store: 'memory', folder: folder.path });
    await shell(drive, 'echo hello > f; cat f; cat none 2>/dev/null || true; sync f');
    const text = await shell(drive, 'cat .stampede/stats');
    t.match(
      text,
      `stampede_drive_info{driver="${driver}",bucket="drive",prefix="",pid="${drive.process.pid}"} 1`
    );
    t.match(text, /^stampede_drive_operations_total\{operation="create"\} 1$/m);
    t.match(
      text,
      /^stampede_drive_operation_failures_total\{operation="(lookup|getattr)",code="ENOENT"\} \d+$/m
    );
    t.match(text, /^stampede_drive_written_bytes_total 6$/m);
    t.match(text, /^stampede_drive_store_calls_total\{store_call="objects.put"\} 1$/m);
    t.match(text, /^stampede_drive_open_files \d+$/m);
    const [grep, head, copied] = [
      await shell(drive, 'grep -c "^# TYPE" .stampede/stats'),
      await shell(drive, 'head -n 1 .stampede/stats'),
      await shell(drive, 'cp .stampede/stats copy; tail -n 1 copy')
    ];
    t.ok(Number(grep) > 10);
    t.match(head, '# HELP stampede_drive_info');
    t.match(copied, /^stampede_drive_resident_bytes \d+$/m);
  });

  t.test(`${driver}: the folder is in no listing, and nothing in it can be changed`, TEST, async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ driver, store: 'memory', folder: folder.path });
    t.equal(await shell(drive, 'mkdir d; ls -A; find . -name "*stats*"'), 'd\n');
    t.equal(await shell(drive, 'ls -A .stampede; stat -c %A .stampede'), 'log\nstats\ndr-xr-xr-x\n');
    for (const script of [
      'mkdir .stampede',
      'rmdir .stampede',
      'touch .stampede/new',
      'rm .stampede/log',
      'echo x > .stampede/stats',
      'mv .stampede other',
      'mv -T d .stampede',
      'mkdir .stampede/d',
      'cat .stampede/none',
      'ln -s x .stampede/l'
    ])
      await t.rejects(shell(drive, script), script);
    t.equal(await shell(drive, 'ls -A; ls -A .stampede'), 'd\nlog\nstats\n');
    t.equal(await shell(drive, 'rm -rf ./*; ls -A'), '');
  });
}

t.test(
  'linux: the log shows operations as they happen',
  { skip: withoutDrive('memory', 'linux'), timeout: 30_000 },
  async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ driver: 'linux', store: 'memory', folder: folder.path });
    const cat = spawn('cat', ['.stampede/log'], {
      cwd: drive.directory,
      stdio: ['ignore', 'pipe', 'inherit']
    });
    const lines = createInterface(cat.stdout)[Symbol.asyncIterator]();
    const until = async (pattern: RegExp) => {
      for (;;) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`the log ended before ${pattern}`);
        if (pattern.test(value)) return value as string;
      }
    };
    // The program may not have opened the log yet: it is asked for until it says something.
    const asking = setInterval(
      () => void run('stat', [`${drive.directory}/none`]).catch(() => undefined),
      50
    );
    await until(/ lookup "\/none" uid=\d+ ENOENT \d+\.\d+ms$/);
    clearInterval(asking);
    await shell(drive, 'echo secret > "a b"; mv "a b" c; cat c');
    t.match(await until(/ write /), /^\d{4}-\d\d-\d\dT[\d:.]+Z write "\/a b" 0\+7 uid=\d+ ok \d+\.\d+ms$/);
    t.match(await until(/ rename2? /), / "\/a b" to="\/c" uid=\d+ ok /);
    t.match(await until(/ read /), / read "\/c" 0\+\d+ uid=\d+ ok /);
    cat.kill('SIGINT');
    await once(cat, 'exit');
    const text = await shell(drive, 'cat .stampede/stats');
    t.match(text, /^stampede_drive_log_readers 0$/m);
  }
);

t.test(
  'linux: who reads the log does not keep the drive from ending',
  { skip: withoutDrive('memory', 'linux'), timeout: 30_000 },
  async (t) => {
    using folder = scratch();
    const drive = await startDrive({ driver: 'linux', store: 'memory', folder: folder.path });
    const cat = spawn('cat', ['.stampede/log'], {
      cwd: drive.directory,
      stdio: ['ignore', 'pipe', 'inherit']
    });
    const asking = setInterval(
      () => void run('stat', [`${drive.directory}/none`]).catch(() => undefined),
      50
    );
    await once(cat.stdout, 'data');
    clearInterval(asking);
    const catEnded = once(cat, 'exit');
    cat.stdout.resume();
    t.equal(await drive.end(), 0);
    await catEnded;
  }
);

t.test(
  'fuse-native: the log is what happened since it was read',
  { skip: withoutDrive('memory', 'fuse-native'), timeout: 30_000 },
  async (t) => {
    using folder = scratch();
    await using drive = await startDrive({ driver: 'fuse-native', store: 'memory', folder: folder.path });
    await shell(drive, 'cat .stampede/log > /dev/null; echo x > f');
    const text = await shell(drive, 'cat .stampede/log');
    t.match(text, /^[\dTZ:.-]+ write "\/f" 0\+2 ok \d+\.\d+ms$/m);
    t.notMatch(await shell(drive, 'cat .stampede/log'), / write /);
  }
);

async function shell(drive: DriveProcess, script: string): Promise<string> {
  return (await run('bash', ['-euc', script], { cwd: drive.directory })).stdout;
}
