import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DRIVER_NAMES, type DriverName } from '@stampede/fs-mount';
import t from 'tap';
import { DRIVES, type DriveStore, startDrive, withoutDrive } from '../support/drive-process.js';
import { type Difference, findDifference, type Sides, shrink } from '../support/exerciser/compare.js';
import { buildFileCalls } from '../support/exerciser/file-calls.js';
import { type Abilities, operationsOf } from '../support/exerciser/operations.js';
import { missingOf } from '../support/needs.js';
import { scratch } from '../support/store-process.js';

/*
 * Random calls on several files and directories, beside a directory of the local disk: every answer and every tree must be
 * the same. Each episode has a seed and directories of its own; several run at the same time on one drive.
 */

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const OPERATIONS = Number(process.env['EXERCISES'] ?? 200_000);
const EPISODE_OPERATIONS = 2000;
const AT_ONCE = 3;

/** What part of the operations each drive gets: a stamp syncs a disk for most of them. */
const SHARES = { memory: 0.35, slow: 0.05, stamp: 0.1, sink: 0 } as const;
/** Little is remembered and everything is stored soon, so that much goes on behind each call. */
const SLOW_MOUNT = {
  attributeCountMax: 16,
  attributeTtlMs: 0,
  commitIntervalMs: 1,
  readMemoryBytes: 16 * 1024 * 1024,
  writeMemoryBytes: 16 * 1024 * 1024
};
const ABILITIES: Record<'linux' | 'fuse-native', Abilities> = {
  linux: {
    renameFlags: true,
    fallocate: true,
    exactTimes: true,
    openInRemoved: true,
    groupOfDirectory: true
  },
  'fuse-native': {
    renameFlags: false,
    fallocate: false,
    exactTimes: false,
    openInRemoved: false,
    groupOfDirectory: false
  }
};

const withoutCompiler = await missingOf(['cc']);

interface Exercised {
  readonly driver: DriverName;
  readonly store: DriveStore;
  readonly isUser?: boolean;
}

const EXERCISED: readonly Exercised[] = [
  ...DRIVES,
  ...DRIVER_NAMES.map((driver) => ({ driver, store: 'slow' as const })),
  // fuse-native does not know who calls.
  { driver: 'linux', store: 'slow', isUser: true }
];

for (const { driver, store, isUser = false } of EXERCISED) {
  const who = isUser ? 'random calls of a user' : 'random calls';
  const withoutRoot = isUser && process.getuid?.() !== 0 ? 'only root can become somebody else' : false;
  const episodeCount = Math.max(AT_ONCE, Math.ceil((OPERATIONS * SHARES[store]) / EPISODE_OPERATIONS));
  t.test(
    `${episodeCount} episodes of ${who} on a drive of ${driver} over ${store} answer as on a local disk`,
    { skip: withoutDrive(store, driver) || withoutCompiler || withoutRoot, timeout: 900_000 },
    async (t) => {
      t.comment(`SEED=${SEED} EXERCISES=${OPERATIONS}`);
      using folder = scratch();
      const disk = join(folder.path, 'disk');
      mkdirSync(disk);
      await using drive = await startDrive({
        store,
        driver,
        folder: folder.path,
        ...(store === 'slow' && { mount: { ...SLOW_MOUNT, allowOther: isUser } })
      });
      // Which of two reasons a drive refuses with is not compared where a user lacks the right as well.
      const abilities = { ...ABILITIES[driver], ...(isUser && { renameFlags: false }) };
      const sides = {
        program: buildFileCalls(folder.path),
        drive: drive.directory,
        disk,
        closesFirst: !abilities.openInRemoved,
        isUser
      };
      let next = 0;
      let isFailed = false;
      const work = async () => {
        while (next < episodeCount && !isFailed) {
          const seed = SEED + next++;
          const script = operationsOf(seed, EPISODE_OPERATIONS, abilities);
          const difference = await findDifference(sides, `episode-${seed}`, script);
          if (!difference) continue;
          isFailed = true;
          t.fail(`SEED=${seed}: ${describe(difference)}`);
          t.comment(await shortest(sides, seed, script));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      if (isFailed) return;
      t.pass(`${episodeCount * EPISODE_OPERATIONS} calls`);
      t.same(
        drive.events.filter((event) => event.type !== 'watchLive'),
        [],
        'no event of the mount'
      );
      if (store === 'stamp')
        await t.test('and are there after the next start', async (t) => {
          await drive.end();
          await using again = await startDrive({ store, driver, folder: folder.path });
          const sidesAgain = { ...sides, drive: again.directory };
          for (let seed = SEED; seed < SEED + episodeCount; seed++)
            t.equal(await findDifference(sidesAgain, `episode-${seed}`, ['tree\t.']), undefined);
        });
    }
  );
}

async function shortest(sides: Sides, seed: number, script: readonly string[]): Promise<string> {
  let attempt = 0;
  const found = await shrink(script, (shorter) =>
    findDifference(sides, `attempt-${seed}-${attempt++}`, shorter)
  );
  if (!found) return 'the episode fails no more when it is run again by itself';
  return `shortest script:\n${found.script.join('\n')}\n${describe(found.difference)}`;
}

function describe({ index, call, onDrive, onDisk }: Difference): string {
  return `call ${index}, ${call.replaceAll('\t', ' ')}: on the drive\n${onDrive}\non the disk\n${onDisk}`;
}
