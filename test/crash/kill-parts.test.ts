import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '@stampede/client/testing';
import { DRIVER_NAMES } from '@stampede/fs-mount';
import t from 'tap';
import { withoutDrive } from '../support/drive-process.js';
import { scratch } from '../support/store-process.js';
import { StampInParts, sitIn, Writer } from './stamp-in-parts.js';

/*
 * The store and the drive are two processes here, and either or both are killed while several programs write. A store that
 * comes back in time is a pause for them, nothing else. A drive that is killed ends them; the next one takes its place, also
 * when a program still sits in the old one. In any case every file holds what the last completed operation left, or what
 * the one in flight would have left.
 */

const KILLS = Number(process.env['KILLS_OF_PARTS'] ?? 6);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const WRITERS = 3;
const PARTS = ['store', 'drive', 'both'] as const;

for (const driver of DRIVER_NAMES)
  t.test(
    `keeps every closed or fsynced file over ${KILLS} kills of the store, of a drive of ${driver}, or of both`,
    { skip: withoutDrive('stamp', driver), timeout: 60_000 + KILLS * 30_000 },
    async (t) => {
      t.comment(`SEED=${SEED} KILLS_OF_PARTS=${KILLS}`);
      using folder = scratch();
      const random = seededRandom(SEED);
      await using stamp = new StampInParts(folder.path, driver);
      await stamp.startStore();
      await stamp.createBucket();
      await stamp.startDrive();
      const writers = Array.from(
        { length: WRITERS },
        (_, index) => new Writer(stamp.directory, folder.path, index)
      );
      let operationCount = 0;
      for (let round = 0; round < KILLS; round++) {
        const part = round < PARTS.length ? PARTS[round]! : PARTS[random.integer(PARTS.length)]!;
        const label = `round ${round}, ${part}`;
        for (const writer of writers) writer.start(random.integer(1000));
        const sitting = part === 'store' ? undefined : await sitIn(stamp.directory);
        await sleep(50 + random.integer(900));
        if (part !== 'drive') await stamp.store.kill();
        if (part !== 'store') await stamp.drive.kill();
        await sleep(random.integer(1000));
        if (part !== 'drive') await stamp.startStore();
        if (part === 'store') {
          for (const writer of writers) t.ok(await writer.goesOn(), `${label}: the writer goes on`);
          await Promise.all(writers.map((writer) => writer.stop()));
        } else {
          await Promise.all(writers.map((writer) => writer.ended));
          await stamp.startDrive();
        }
        const wrong = [];
        for (const writer of writers) {
          const { errors, found, count } = await writer.check();
          operationCount += count;
          wrong.push(...errors, ...found);
        }
        t.same(wrong, [], `${label}: every file is whole and current`);
        sitting?.kill('SIGKILL');
        if (wrong.length > 0) break;
      }
      t.equal(await stamp.drive.end(), 0, 'the drive ends cleanly');
      t.equal(await stamp.store.end(), 0, 'the store ends cleanly');
      t.ok(operationCount > KILLS * WRITERS, `${operationCount} operations`);
    }
  );
