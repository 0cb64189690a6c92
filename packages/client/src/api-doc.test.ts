import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, LIMITS, publicCodeOf } from '@stampede/server/api';
import t from 'tap';
import { callsOver, type Invoker } from './call-table.js';

/* docs/API.md says what is true, and its examples compile. */

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const read = (file: string) => readFile(join(ROOT, file), 'utf8');

const NOBODY: Invoker = {
  call: () => Promise.reject(new Error('nobody answers')),
  watch: () => {
    throw new Error('nobody answers');
  }
};

t.test('the tables of calls name every call and no other', async (t) => {
  const documented = [...(await read('docs/API.md')).matchAll(/^\| `(\w+\.\w+)` \|/gm)].map(
    ([, name]) => name
  );
  const calls = Object.entries(callsOver(NOBODY)).flatMap(([group, names]) =>
    Object.keys(names).map((name) => `${group}.${name}`)
  );
  // Options of the client have dots too.
  t.same(documented.filter((name) => !name?.startsWith('tls.')).sort(), calls.sort());
});

t.test('the limits are those of the store', async (t) => {
  const rows = [...(await read('docs/API.md')).matchAll(/^\| `(\w+(?:Max|Min|Ms))` \| ([^|]*) \|$/gm)];
  t.ok(rows.length > 10);
  for (const [, name, value] of rows)
    t.equal(value, described(name!, LIMITS[name as keyof typeof LIMITS]), `${name}`);
});

t.test('each public error is described with its traits', async (t) => {
  const text = await read('docs/API.md');
  for (const [code, { retry, outcome, trpc }] of Object.entries(ERROR_CODES)) {
    const isPublic = publicCodeOf(code as keyof typeof ERROR_CODES) === code;
    const section = `### ${code}\n\nretry: ${retry} · outcome: ${outcome} · tRPC: ${trpc}\n\n`;
    t.equal(text.includes(section), isPublic, code);
  }
});

t.test('the examples compile', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-examples-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await prepare(folder);
  const examples = [...(await examplesOf('docs/API.md')), ...(await examplesOf('README.md'))];
  t.ok(examples.length > 8);
  for (const [index, example] of examples.entries())
    await writeFile(join(folder, `example-${index}.ts`), `${example}\nexport {};\n`);
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  const said = await new Promise<string>((resolve) => {
    execFile(tsc, ['--noEmit', '-p', folder], (error, stdout) => resolve(error ? stdout : ''));
  });
  t.equal(said, '');
});

const KIB = 1024;

function described(name: string, value: number): string {
  if (name.endsWith('Ms') || name.endsWith('MsMax'))
    return value < 60_000 ? `${value / 1000} s` : `${value / 60_000} min`;
  if (!name.includes('Bytes') || value < 2 * KIB) return `${value}`;
  if (value < KIB ** 2) return `${value / KIB} KiB`;
  return value < KIB ** 4 ? `${value / KIB ** 2} MiB` : `${value / KIB ** 4} TiB`;
}

async function examplesOf(file: string): Promise<string[]> {
  return [...(await read(file)).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
}

/** What the examples may take for granted. */
const GIVEN = `declare const client: import('@stampede/client').StoreClient;
declare const accessKey: string;
declare const secretKey: string;
`;

async function prepare(folder: string): Promise<void> {
  await mkdir(join(folder, 'node_modules/@trpc'), { recursive: true });
  await symlink(join(ROOT, 'node_modules/@stampede'), join(folder, 'node_modules/@stampede'));
  for (const name of ['client', 'server']) {
    const { pathname } = new URL('..', import.meta.resolve(`@trpc/${name}`));
    await symlink(pathname, join(folder, `node_modules/@trpc/${name}`));
  }
  const compilerOptions = {
    // The project's own options, save that nothing is built.
    composite: false,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
    typeRoots: [join(ROOT, 'node_modules/@types')]
  };
  const config = { extends: join(ROOT, 'tsconfig.base.json'), compilerOptions, include: ['*.ts'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  await writeFile(join(folder, 'given.d.ts'), GIVEN);
}
