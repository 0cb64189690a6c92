import { execFile } from 'node:child_process';
import {
  appendFile,
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  writeFile
} from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { CutProxy } from '../support/cut-proxy.js';
import { withoutDrive } from '../support/drive-process.js';
import { COMMAND, scratch, startMount, startStore } from '../support/store-process.js';

/*
 * Two mounts of one store, each a process of its own. The kernel may believe what it was told for an hour: what changes
 * in the other mount is seen because it was told, or the test ends by its limit.
 */

const run = promisify(execFile);
const TEST = { skip: withoutDrive('stamp', 'linux'), timeout: 120_000 };
const POLL_MS = 2;
const LINE_COUNT = 25;
const FILE_COUNT = 20;

type Mounts = Awaited<ReturnType<typeof twoMounts>>;
type Test = Parameters<Parameters<typeof t.test>[0]>[0];

async function twoMounts() {
  const folder = scratch();
  const data = join(folder.path, 'data');
  const first = await startStore({ data });
  const port = Number(new URL(first.endpoint).port);
  const proxy = await CutProxy.open(port);
  await run(process.execPath, [COMMAND, 'bucket', 'create', 'drive', '--data', data]);
  const at = (name: string, endpoint: string) =>
    startMount({ data, endpoint, bucket: 'drive', directory: join(folder.path, name), driver: 'linux' });
  const [a, b] = await Promise.all([at('a', first.endpoint), at('b', `http://127.0.0.1:${proxy.port}`)]);
  let store = first;
  return {
    data,
    a: (path: string) => join(folder.path, 'a', path),
    b: (path: string) => join(folder.path, 'b', path),
    proxy,
    async restartStore(whileAway: () => Promise<void>) {
      await store.kill();
      await whileAway();
      store = await startStore({ data, port });
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
      await proxy[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    }
  };
}

t.test('two mounts of one store', TEST, async (t) => {
  await using mounts = await twoMounts();
  await t.test('a mount sees at once what the other one makes, changes, moves and removes', (t) =>
    seesChanges(t, mounts)
  );
  await t.test('also under names that are not UTF-8', (t) => seesNamesOfBytes(t, mounts));
  await t.test('who opens a file after it was closed in the other mount reads what was written', (t) =>
    readsWhatWasClosed(t, mounts)
  );
  await t.test('eight writers over two mounts append whole lines, and each file has one creator', (t) =>
    appendAndCreate(t, mounts)
  );
  await t.test('a file that is replaced is the old one or the new one to all readers', (t) =>
    replaces(t, mounts)
  );
  await t.test('both edits of one file are kept, each where it was made', (t) => bothEdit(t, mounts));
  await t.test('a store that restarts and a connection that breaks are pauses', (t) => pauses(t, mounts));
});

async function seesChanges(t: Test, mounts: Mounts): Promise<void> {
  for (const [one, other] of [
    [mounts.a, mounts.b],
    [mounts.b, mounts.a]
  ] as const) {
    await mkdir(one('d'));
    // What is asked before each change is what the other kernel remembers.
    const sees = async (what: string, change: () => Promise<unknown>, isSeen: () => Promise<boolean>) => {
      for (let count = 0; count < 3; count++) t.notOk(await isSeen(), `${what}: not before`);
      await change();
      await eventually(isSeen);
      t.pass(what);
    };
    const isThere = (path: string) => () => exists(other(path));
    const isGone = (path: string) => async () => !(await exists(other(path)));
    await eventually(isThere('d'));
    await sees('a new file', () => writeFile(one('d/f'), 'one'), isThere('d/f'));
    await sees('a new directory', () => mkdir(one('d/e')), isThere('d/e'));
    await sees('a file in it', () => writeFile(one('d/e/g'), 'x'), isThere('d/e/g'));
    await sees('a symbolic link', () => symlink('f', one('d/l')), isThere('d/l'));
    await sees(
      'another size',
      () => appendFile(one('d/f'), 'two'),
      async () => (await stat(other('d/f'))).size === 6
    );
    await sees(
      'a mode',
      () => chmod(one('d/f'), 0o600),
      async () => ((await stat(other('d/f'))).mode & 0o777) === 0o600
    );
    await sees(
      'names of a directory',
      () => writeFile(one('d/z'), ''),
      async () => (await readdir(other('d'))).includes('z')
    );
    await sees('a new name', () => rename(one('d/f'), one('d/h')), isThere('d/h'));
    t.notOk(await isThere('d/f')(), 'without the old one');
    await sees('a file in the place of another', () => rename(one('d/z'), one('d/h')), isGone('d/z'));
    t.equal((await stat(other('d/h'))).size, 0);
    await sees('a moved directory', () => rename(one('d/e'), one('e')), isThere('e/g'));
    await eventually(isGone('d/e'));
    await sees('a removed file', () => unlink(one('d/h')), isGone('d/h'));
    await sees('a removed directory', () => rm(one('e'), { recursive: true }), isGone('e'));
    await sees(
      'a directory in the place of a file',
      () => rm(one('d/l')).then(() => mkdir(one('d/l'))),
      async () => (await stat(other('d/l')).catch(() => undefined))?.isDirectory() ?? false
    );
    await sees(
      'a file in the place of a directory',
      () => rmdir(one('d/l')).then(() => writeFile(one('d/l'), '')),
      async () => (await stat(other('d/l')).catch(() => undefined))?.isFile() ?? false
    );
    await rm(one('d'), { recursive: true });
    await eventually(isGone('d'));
  }
}

async function seesNamesOfBytes(t: Test, mounts: Mounts): Promise<void> {
  await mkdir(mounts.a('bytes'));
  await eventually(() => exists(mounts.b('bytes')));
  const named = (side: (path: string) => string, name: readonly number[]) =>
    Buffer.concat([Buffer.from(side('bytes/')), Buffer.from(name)]);
  const [short, long] = [[0x63, 0x61, 0x66, 0xe9], new Array<number>(255).fill(0xe9)];
  for (const [one, other] of [
    [mounts.a, mounts.b],
    [mounts.b, mounts.a]
  ] as const) {
    const sizeOf = async (name: readonly number[]) =>
      (await stat(named(other, name)).catch(() => undefined))?.size;
    const sees = async (change: () => Promise<unknown>, sizes: readonly (number | undefined)[]) => {
      await change();
      await eventually(async () => (await sizeOf(short)) === sizes[0] && (await sizeOf(long)) === sizes[1]);
    };
    await sees(async () => undefined, [undefined, undefined]);
    await sees(() => writeFile(named(one, short), 'one'), [3, undefined]);
    t.same(await readdir(other('bytes'), 'buffer'), [Buffer.from(short)]);
    await sees(() => appendFile(named(one, short), 'two'), [6, undefined]);
    await sees(() => rename(named(one, short), named(one, long)), [undefined, 6]);
    await sees(() => writeFile(named(one, long), ''), [undefined, 0]);
    await sees(() => unlink(named(one, long)), [undefined, undefined]);
  }
}

async function readsWhatWasClosed(t: Test, mounts: Mounts): Promise<void> {
  await writeFile(mounts.a('f'), 'begin');
  t.equal(await readFile(mounts.b('f'), 'utf8'), 'begin');
  for (let round = 0; round < 100; round++) {
    const [one, other] = round % 2 === 0 ? [mounts.a, mounts.b] : [mounts.b, mounts.a];
    const text = `${round} `.repeat(1 + ((round * 7919) % 3000));
    if (round % 5 === 0) {
      await writeFile(one('new'), text);
      await rename(one('new'), one('f'));
    } else await writeFile(one('f'), text);
    // No waiting: the very next open.
    const read = await readFile(other('f'), 'utf8');
    if (read !== text)
      t.equal(read.slice(0, 100), text.slice(0, 100), `round ${round}, ${read.length} of ${text.length}`);
    if ((await stat(one('f'))).size !== text.length) t.fail(`own size in round ${round}`);
  }
  t.pass('100 rounds');
}

async function appendAndCreate(t: Test, mounts: Mounts): Promise<void> {
  const sides = [mounts.a, mounts.b];
  const writers = Array.from({ length: 8 }, (_, index) => ({ index, path: sides[index % 2]! }));
  await Promise.all(
    writers.map(async ({ index, path }) => {
      for (let line = 0; line < LINE_COUNT; line++)
        await appendFile(path('log'), `${index}:${line}:${'x'.repeat((index * 37 + line * 11) % 200)}.\n`);
    })
  );
  for (const path of sides) {
    const lines = (await readFile(path('log'), 'utf8')).split('\n').slice(0, -1);
    t.equal(lines.length, 8 * LINE_COUNT);
    t.same(
      lines.filter((line) => !/^\d:\d+:x*\.$/.test(line)),
      [],
      'whole'
    );
    t.equal(new Set(lines.map((line) => line.split(':', 2).join(':'))).size, 8 * LINE_COUNT, 'each once');
  }
  const counts = await Promise.all(writers.map(({ path }) => createOnce(path)));
  t.equal(
    counts.reduce((sum, count) => sum + count),
    FILE_COUNT,
    'each was created once'
  );
}

async function replaces(t: Test, mounts: Mounts): Promise<void> {
  const sides = [mounts.a, mounts.b];
  await writeFile(mounts.a('target'), '0'.repeat(1000));
  await eventually(() => exists(mounts.b('target')));
  let isDone = false;
  const read = async (path: (name: string) => string) => {
    let count = 0;
    for (; !isDone; count++) {
      const text = await readFile(path('target'), 'utf8').catch(String);
      if (text.length !== 1000 || text !== text[0]!.repeat(1000)) t.fail(`neither: ${text.slice(0, 50)}`);
    }
    return count;
  };
  const readers = sides.flatMap((path) => [read(path), read(path)]);
  for (let round = 1; round <= 60; round++) {
    const path = sides[round % 2]!;
    await writeFile(path(`draft${round}`), String(round % 10).repeat(1000));
    await rename(path(`draft${round}`), path('target'));
  }
  isDone = true;
  for (const count of await Promise.all(readers)) t.ok(count > 10, `${count} reads meanwhile`);
}

async function bothEdit(t: Test, mounts: Mounts): Promise<void> {
  await writeFile(mounts.a('edited'), '.'.repeat(100_000));
  const handles = await Promise.all([mounts.a, mounts.b].map((path) => open(path('edited'), 'r+')));
  for (const [index, handle] of handles.entries())
    for (let place = index; place < 1000; place += 2) await handle.write(String(index), place * 100);
  await Promise.all(handles.map((handle) => handle.sync()));
  for (const handle of handles) await handle.close();
  const expected = Buffer.from('.'.repeat(100_000));
  for (let place = 0; place < 1000; place++) expected.write(String(place % 2), place * 100);
  for (const path of [mounts.a, mounts.b]) t.ok(expected.equals(await readFile(path('edited'))));
}

async function pauses(t: Test, mounts: Mounts): Promise<void> {
  const { a, b, proxy } = mounts;
  const both = async (path: string, text: string) => {
    for (const side of [a, b])
      await eventually(async () => (await readFile(side(path), 'utf8').catch(() => '')) === text);
    for (const side of [a, b]) await eventually(async () => (await stat(side(path))).size === text.length);
  };
  await writeFile(a('pf'), 'before');
  await both('pf', 'before');
  await stat(b('pnone')).catch(() => undefined);
  let writing: Promise<void> | undefined;
  await mounts.restartStore(async () => {
    writing = writeFile(a('pf'), 'written while it was away');
    await setTimeout(300);
  });
  await writing;
  await both('pf', 'written while it was away');
  await writeFile(a('pnone'), 'there');
  await both('pnone', 'there');
  for (let round = 0; round < 5; round++) {
    proxy.restore();
    await Promise.all([writeFile(a('pf'), `round ${round}`), writeFile(a(`new${round}`), 'x')]);
    await both('pf', `round ${round}`);
    await both(`new${round}`, 'x');
    await unlink(a(`new${round}`));
    await eventually(async () => !(await exists(b(`new${round}`))));
  }
  t.pass('coherent');
}

/** How many of the files it was that created them. */
async function createOnce(path: (name: string) => string): Promise<number> {
  let count = 0;
  for (let name = 0; name < FILE_COUNT; name++) {
    try {
      await writeFile(path(`once${name}`), 'x', { flag: 'wx' });
      count++;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  return count;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  );
}

/** Waits for something that becomes true by itself; the test's own limit ends it otherwise. */
async function eventually(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await setTimeout(POLL_MS);
}
