import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ROOT, scratch, startStore, withoutFuse } from '../support/store-process.js';
import { contentOf, sizeOf } from './content.mjs';

/*
 * SEMANTICS: nothing acknowledged is lost. Store and drive are one process; it is killed at random moments while another
 * process writes files on the drive. After each restart every file holds what the last completed operation left, or what
 * the one operation in flight would have left: never less, never a mixture.
 */

const KILLS = Number(process.env['KILLS'] ?? 50);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const FILES = 120;

/** What a file may hold: absent, or these bytes. */
type Content = Buffer | undefined;
interface JournalLine {
  readonly begin?: 'overwrite' | 'replace' | 'append' | 'delete';
  readonly file: number;
  readonly version: number;
  readonly error?: string;
}

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
      const wrong: string[] = [];
      for (let file = 0; file < FILES; file++) {
        const found = await contentAt(join(drive, `dir-${file % 7}`, `file-${file}`));
        const allowed = possible.get(file) ?? [undefined];
        if (!allowed.some((content) => isSame(content, found)))
          wrong.push(`file ${file}: ${describe(found)} is none of ${allowed.map(describe).join(', ')}`);
        expected.set(file, found);
      }
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

/** What each file may hold after the journal, given what it held before. Only the last operation may be half known. */
function outcomes(
  before: ReadonlyMap<number, Content>,
  journal: string
): { possible: Map<number, Content[]>; errors: string[]; count: number } {
  const possible = new Map<number, Content[]>([...before].map(([file, content]) => [file, [content]]));
  const errors: string[] = [];
  let count = 0;
  const lines = existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [];
  let begun: JournalLine | undefined;
  for (const text of lines) {
    const line = JSON.parse(text) as JournalLine;
    if (line.error) errors.push(line.error);
    else if (line.begin) begun = line;
    else if (begun) {
      possible.set(begun.file, [after(begun, possible.get(begun.file)?.[0])]);
      begun = undefined;
      count += 1;
    }
  }
  if (begun)
    possible.set(begun.file, [
      possible.get(begun.file)?.[0],
      ...halfway(begun, possible.get(begun.file)?.[0])
    ]);
  return { possible, errors, count };
}

function after({ begin, file, version }: JournalLine, before: Content): Content {
  if (begin === 'delete') return undefined;
  const content = contentOf(file, version);
  return begin === 'append'
    ? Buffer.concat([before ?? Buffer.alloc(0), content.subarray(0, Math.min(sizeOf(file, version), 20_000))])
    : content;
}

/** An append may create the file in one step and fill it in the next. */
function halfway(line: JournalLine, before: Content): Content[] {
  return line.begin === 'append' && before === undefined
    ? [Buffer.alloc(0), after(line, before)]
    : [after(line, before)];
}

async function contentAt(path: string): Promise<Content> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isSame(a: Content, b: Content): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}

function describe(content: Content): string {
  return content === undefined
    ? 'absent'
    : `${content.length} bytes from ${content.subarray(0, 4).toString('hex')}`;
}
