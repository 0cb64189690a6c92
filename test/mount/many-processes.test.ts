import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { DRIVES, startDrive, withoutDrive } from '../support/drive-process.js';
import { ROOT, scratch } from '../support/store-process.js';

/* Several programs that use the same names and files of one drive at the same time. */

const PROCESSES = 8;

for (const { driver, store } of DRIVES)
  t.test(
    `${PROCESSES} programs share a drive of ${driver} over ${store}`,
    { skip: withoutDrive(store, driver), timeout: 300_000 },
    async (t) => {
      using folder = scratch();
      await using drive = await startDrive({ store, driver, folder: folder.path });
      const { directory } = drive;

      await t.test(
        'all append to one file and every line is whole, in the order of its writer',
        async (t) => {
          const lineCount = 100;
          t.same(errorsOf(await race('append', directory, lineCount)), []);
          const lines = (await readFile(join(directory, 'log'), 'utf8')).trimEnd().split('\n');
          t.equal(lines.length, PROCESSES * lineCount);
          const next = new Map<string, number>();
          const wrong = lines.filter((line) => {
            const [writer = '', number = '', rest = ''] = line.split(' ');
            const length = (Number(number) * 37 + Number(writer) * 101) % 3000;
            const expected = next.get(writer) ?? 0;
            next.set(writer, expected + 1);
            return expected !== Number(number) || rest !== 'x'.repeat(length);
          });
          t.same(wrong, []);
        }
      );

      await t.test('only one of them makes a file, a directory or a link', async (t) => {
        const answers = await race('exclusive', directory, 15);
        t.same(errorsOf(answers), []);
        const won = answers.flatMap(({ result }) => result as string[]);
        t.equal(won.length, 45);
        t.equal(new Set(won).size, 45);
      });

      await t.test('who reads a file that is replaced by renaming finds one version whole', async (t) => {
        const first = Buffer.alloc(4);
        await writeFile(join(directory, 'current'), first);
        // libfuse first moves an open file away and then the new one to its place.
        const kind = driver === 'linux' ? 'replace' : 'replaceWithGaps';
        const answers = await race(kind, directory, 60);
        t.same(errorsOf(answers), []);
        t.comment(`versions seen: ${answers.map(({ result }) => result).join(' ')}`);
      });

      await t.test('all write records side by side and every last one is there', async (t) => {
        await writeFile(join(directory, 'table'), '');
        t.same(errorsOf(await race('regions', directory, 20)), []);
        const table = await readFile(join(directory, 'table'));
        t.equal(table.length, 20 * PROCESSES * 997);
        const expected = (at: number) => {
          const [row, writer] = [Math.floor(at / 8), at % 8];
          return (19 * 7 + row * 3 + writer) % 251;
        };
        t.notOk(table.some((byte, position) => byte !== expected(Math.floor(position / 997))));
      });

      await t.test('a directory is not removed under a file that was made in it', async (t) => {
        const answers = await race('nest', directory, 60);
        t.same(errorsOf(answers), []);
        t.comment(`files made: ${answers.map(({ result }) => result).join(' ')}`);
      });

      await t.test('a file that all try to move has one name at a time', async (t) => {
        const place = join(directory, 'steal');
        await mkdir(place);
        await writeFile(join(place, 'prize'), '0');
        const answers = await race('steal', place, 60);
        t.same(errorsOf(answers), []);
        t.same(await readdir(place), ['prize']);
        const sum = answers.reduce((total, { result }) => total + (result as number), 0);
        t.equal(await readFile(join(place, 'prize'), 'utf8'), String(sum));
      });

      t.same(
        drive.events.filter((event) => event.type !== 'watchLive'),
        [],
        'no event of the mount'
      );
    }
  );

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
}

function errorsOf(answers: readonly Answer[]): string[] {
  return answers.flatMap(({ error }) => (error === undefined ? [] : [error]));
}

/** Starts the programs, lets them go together and returns what each found. */
async function race(kind: string, directory: string, count: number): Promise<Answer[]> {
  const program = join(ROOT, 'test/support/race-program.mjs');
  const racers = Array.from({ length: PROCESSES }, (_, index) => {
    const child = spawn(process.execPath, [program, kind, directory, String(index), String(count)], {
      stdio: ['pipe', 'pipe', 'inherit']
    });
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  });
  await Promise.all(racers.map(({ lines }) => lines.next()));
  for (const { child } of racers) child.stdin.write('\n');
  return Promise.all(racers.map(({ child, lines }) => answerOf(child, lines)));
}

async function answerOf(child: ChildProcess, lines: AsyncIterator<string>): Promise<Answer> {
  const { value } = await lines.next();
  return value === undefined
    ? { error: `ended with ${child.exitCode ?? child.signalCode}` }
    : (JSON.parse(value) as Answer);
}
