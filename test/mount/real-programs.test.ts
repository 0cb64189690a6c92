import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { buildFileCalls, runFileCalls } from '../support/exerciser/file-calls.js';
import { missingOf } from '../support/needs.js';
import { scratch } from '../support/store-process.js';
import { REAL_PROGRAM_SCRIPTS } from './real-program-scripts.js';

/*
 * Larger programs on the drive and on the local disk: what they print and the trees they leave must be the same: names,
 * types, modes, sizes, times, targets of links, extended attributes and bytes.
 */

const run = promisify(execFile);
const folder = scratch();
const disk = join(folder.path, 'disk');
mkdirSync(disk);
const withoutCompiler = await missingOf(['cc']);
const program = withoutCompiler ? undefined : buildFileCalls(folder.path);
/** What scripts leave on the local disk is the same for every drive. */
const expected = new Map<string, Promise<readonly string[]>>();
t.teardown(() => folder[Symbol.dispose]());

for (const { driver, store } of DRIVES)
  t.test(
    `real programs do on a drive of ${driver} over ${store} what they do on a local disk`,
    { skip: withoutDrive(store, driver) || withoutCompiler, timeout: 900_000 },
    async (t) => {
      await using drive = await startDrive({
        store,
        driver,
        folder: join(folder.path, `${driver}-${store}`)
      });
      for (const { name, script, needs, isForLinuxOnly } of REAL_PROGRAM_SCRIPTS) {
        const skip =
          isForLinuxOnly && driver !== 'linux' ? 'not with this driver' : await missingOf([...needs, 'bash']);
        await t.test(name, { skip }, async (t) => {
          const directory = `case-${REAL_PROGRAM_SCRIPTS.findIndex((one) => one.name === name)}`;
          const onDisk = expected.get(name) ?? resultOf(join(disk, directory), script);
          expected.set(name, onDisk);
          const onDrive = await resultOf(join(drive.directory, directory), script);
          const shown = (lines: readonly string[]) =>
            driver === 'linux' ? lines : lines.map(withoutMicroseconds);
          t.notMatch((await onDisk)[0], /^Command failed/, 'the script works at all');
          t.same(shown(onDrive), shown(await onDisk));
        });
      }
      t.same(
        drive.events.filter((event) => event.type !== 'watchLive'),
        [],
        'no event of the mount'
      );
    }
  );

/** What a script printed, and then the tree it left, a line for each file. */
async function resultOf(directory: string, script: string): Promise<readonly string[]> {
  const { stdout } = await run(
    'bash',
    ['-euc', `mkdir -p "$0/root"; cd "$0/root"; umask 022; ${script}`, directory],
    {
      maxBuffer: 1 << 26,
      timeout: 300_000
    }
  ).catch((error: Error & { stderr?: string; stdout?: string }) => ({
    stdout: `${error.message}\n${error.stdout ?? ''}\n${error.stderr ?? ''}`
  }));
  const options = { program: program!, directory, isModel: false, closesFirst: false };
  const [tree = ''] = await runFileCalls(options, ['tree\t.\ttimes']);
  return [...stdout.replaceAll(directory, 'DIR').split('\n'), ...tree.split('; ')];
}

/** What fuse-native keeps of times. */
function withoutMicroseconds(line: string): string {
  return line.replaceAll(/(mtime=-?\d+\.\d{3})\d{6}/g, '$1');
}
