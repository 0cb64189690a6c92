import { join } from 'node:path';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { buildFileCalls, runFileCalls } from '../support/exerciser/file-calls.js';
import { type Abilities, operationsOf } from '../support/exerciser/operations.js';
import { missingOf } from '../support/needs.js';
import { scratch } from '../support/store-process.js';

/*
 * Several programs make random calls in one directory at the same time, so nobody knows what they answer. None may hang,
 * none fails for no reason, and what a stamp's drive shows in the end is what is there after the next start.
 */

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const ROUNDS = Number(process.env['DISORDER'] ?? 3);
const PROGRAMS = 5;
const OPERATIONS = 1200;
const ABILITIES: Abilities = {
  renameFlags: true,
  fallocate: true,
  exactTimes: true,
  openInRemoved: true,
  groupOfDirectory: true
};

const withoutCompiler = await missingOf(['cc']);

for (const { driver, store } of DRIVES.filter((one) => one.store === 'stamp' || one.driver === 'linux'))
  t.test(
    `${PROGRAMS} programs in disorder leave a drive of ${driver} on ${store} as it is shown`,
    { skip: withoutDrive(store, driver) || withoutCompiler, timeout: 900_000 },
    async (t) => {
      t.comment(`SEED=${SEED} DISORDER=${ROUNDS}`);
      using folder = scratch();
      const program = buildFileCalls(folder.path);
      const names = Array.from({ length: ROUNDS }, (_, round) => `round-${round}`);
      const call = (directory: string, script: readonly string[]) =>
        runFileCalls({ program, directory, isModel: false, closesFirst: false }, script);
      const trees = (directory: string) =>
        Promise.all(
          names.map(async (name) => (await call(join(directory, name), ['tree\t.'])).join('\n').split('; '))
        );
      await using drive = await startDrive({ store, driver, folder: folder.path });
      for (const [round, name] of names.entries()) {
        const scripts = Array.from({ length: PROGRAMS }, (_, index) =>
          // Who has mapped what another one cuts off is ended by a signal, as anywhere.
          operationsOf(SEED + round * PROGRAMS + index, OPERATIONS, ABILITIES).filter(
            (line) => !line.startsWith('mmap')
          )
        );
        const answers = await Promise.all(scripts.map((script) => call(join(drive.directory, name), script)));
        t.same(
          answers.map(({ length }) => length),
          scripts.map(({ length }) => length),
          `${name}: every call has returned`
        );
        t.same(
          answers.flatMap((lines, index) =>
            lines.flatMap((line, at) => (line.startsWith('EIO') ? [`${line}: ${scripts[index]![at]}`] : []))
          ),
          [],
          `${name}: none failed for no reason`
        );
      }
      t.same(
        drive.events.filter(({ type }) => type === 'bug' || type === 'dataLost'),
        [],
        'the drive found no bug of its own'
      );
      const before = await trees(drive.directory);
      t.equal(await drive.end(), 0);
      if (store === 'memory') return;
      await using again = await startDrive({ store, driver, folder: folder.path });
      t.same(await trees(again.directory), before);
    }
  );
