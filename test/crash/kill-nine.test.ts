import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT, scratch, startStore, withoutFuse } from '../support/store-process.js';
import { type Content, differences, outcomes } from './journal.js';

/*
 * SEMANTICS: nothing acknowledged is lost. Store and drive are one process; it is killed at random moments while another
 * process writes files on the drive. After each restart every file holds what the last completed operation left, or what
 * the one operation in flight would have left: never less, never a mixture.
 */

const KILLS = Number(process.env['KILLS'] ?? 50);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const FILES = 120;

t.test(
  `keeps every closed or fsynced file over ${KILLS} kills`,
  { skip: withoutFuse(), timeout: 900_000 },
  async (t) => {
    t.comment(`seed ${SEED}: SEED=${SEED} KILLS=${KILLS}`);
    using folder = scratch();
    const data = join(folder.path, 'data');
    const drive = join(folder.path, 'drive');
    const journal = join(folder.path, 'journal');
    mkdirSync(drive);
    const expected = new Map<number, Content>();
    let state = SEED >>> 0;
    let operationCount = 0;
    for (let round = 0; round < KILLS; round++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const store = await startStore({ data, mount: drive });
      const writer = spawn(
        process.execPath,
        [join(ROOT, 'test/crash/writer.mjs'), drive, journal, String((state >>> 8) % 1000), String(FILES)],
        { stdio: 'inherit' }
      );
      const writerEnded = new Promise((resolve) => writer.once('exit', resolve));
      await new Promise((resolve) => setTimeout(resolve, 50 + (state % 900)));
      await store.kill();
      await writerEnded;

      const { possible, errors, count } = outcomes(expected, journal);
      operationCount += count;
      t.same(errors, [], `round ${round}: the writer saw no other error than the drive going away`);
      const again = await startStore({ data, mount: drive });
      const wrong = await differences({ drive, fileCount: FILES, possible, expected });
      t.same(wrong, [], `round ${round}: every file is whole and current`);
      if (wrong.length > 0) break;
      await again[Symbol.asyncDispose]();
      t.equal(again.process.exitCode, 0, `round ${round}: ends cleanly`);
      rmSync(journal, { force: true });
    }
    t.comment(`${operationCount} operations were journalled`);
    t.ok(operationCount > KILLS, 'the writer was at work');
  }
);
