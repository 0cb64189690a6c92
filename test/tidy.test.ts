import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERROR_CODES, publicCodeOf } from '@stampede/server/api';
import t from 'tap';

/*
 * The architecture as a failing test. Arrows between layers and packages, and the outside world touched outside
 * platform/, fail; sizes are only reported, largest first, so that a person decides.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const LINES_MAX = 400;

/** From the top down: a layer imports only layers to its right, through their index. */
const LAYERS = ['frontend', 'partition', 'stream', 'coordination', 'rpc', 'platform', 'api'];

/** What each package and the command may import of the project. */
const PACKAGE_ARROWS: Record<string, readonly string[]> = {
  'packages/server': [],
  'packages/client': ['@stampede/server/api', '@stampede/server'],
  'packages/fs-mount': ['@stampede/client'],
  src: [
    '@stampede/server',
    '@stampede/server/api',
    '@stampede/server/etcd',
    '@stampede/server/platform',
    '@stampede/client',
    '@stampede/fs-mount'
  ]
};

/** Modules that reach disk, network, clock or randomness; in the server only platform/ has them. */
const OUTSIDE_MODULES =
  /^(node:)?(fs|fs\/promises|net|http|https|http2|dgram|tls|dns|child_process|worker_threads|classic-level|memory-level)$/;
const OUTSIDE_CALLS =
  /\b(Date\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|setTimeout\(|setInterval\(|randomUUID\(|randomBytes\()/;

/** Files of the other packages that are the named place for the outside world. */
const OUTSIDE_FILES = [
  /^packages\/server\/src\/platform\//,
  /^packages\/client\/src\/transport\/connect\.ts$/,
  /^packages\/client\/src\/system-clock\.ts$/,
  /^packages\/fs-mount\/src\/drivers\//,
  /^src\//
];

const sources = [...walk('packages'), ...walk('src')].filter(
  (file) => file.endsWith('.ts') && !file.includes('/dist/')
);
const production = sources.filter((file) => !file.endsWith('.test.ts') && !file.includes('/testing/'));

t.test('layers of the server point one way, through the index of the lower one', (t) => {
  const wrong: string[] = [];
  for (const file of sources.filter((name) => name.startsWith('packages/server/src/'))) {
    const layer = layerOf(file);
    for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
      const target = relative(ROOT, resolve(ROOT, dirname(file), specifier)).replace(/\.js$/, '.ts');
      const targetLayer = layerOf(target);
      if (!targetLayer || targetLayer === layer || !layer) continue;
      const isTest = file.endsWith('.test.ts') || file.includes('/testing/');
      const isDown = LAYERS.indexOf(targetLayer) > LAYERS.indexOf(layer);
      const isThroughIndex = /\/index\.ts$/.test(target) || (isTest && target.includes('/testing/'));
      if (!isDown || !isThroughIndex) wrong.push(`${file} imports ${specifier}`);
    }
  }
  t.same(wrong, []);
  t.end();
});

t.test('packages import only what they may of each other', (t) => {
  const wrong: string[] = [];
  for (const file of production) {
    const owner = Object.keys(PACKAGE_ARROWS).find((name) => file.startsWith(`${name}/`));
    for (const specifier of importsOf(file).filter((name) => name.startsWith('@stampede/'))) {
      if (owner && !PACKAGE_ARROWS[owner]!.includes(specifier)) wrong.push(`${file} imports ${specifier}`);
    }
  }
  t.same(wrong, []);
  t.end();
});

t.test('the client takes only types from the server package itself', (t) => {
  const wrong = production
    .filter((file) => file.startsWith('packages/client/'))
    .filter((file) => /import (?!type)[^;]*from '@stampede\/server'/.test(read(file)));
  t.same(wrong, []);
  t.end();
});

t.test('disk, network, clock and randomness are touched only in their named places', (t) => {
  const wrong: string[] = [];
  for (const file of production.filter((name) => !OUTSIDE_FILES.some((allowed) => allowed.test(name)))) {
    // A type has no behaviour: `import type` is free.
    for (const specifier of importsOf(file, { types: false }))
      if (OUTSIDE_MODULES.test(specifier)) wrong.push(`${file} imports ${specifier}`);
    for (const line of codeLinesOf(file)) if (OUTSIDE_CALLS.test(line)) wrong.push(`${file}: ${line.trim()}`);
  }
  t.same(wrong, []);
  t.end();
});

t.test('each third-party library is imported by one file of a package, tRPC by one layer', (t) => {
  const importers = new Map<string, Set<string>>();
  for (const file of production) {
    const owner = file.startsWith('src/') ? 'src' : file.split('/').slice(0, 2).join('/');
    for (const specifier of importsOf(file)) {
      if (/^(\.|node:|@stampede\/|@trpc\/|zod$|tap$|fast-check$)/.test(specifier)) continue;
      const key = `${owner} ${specifier}`;
      importers.set(key, (importers.get(key) ?? new Set()).add(file));
    }
  }
  for (const [library, files] of importers)
    if (files.size > 1) t.comment(`${library}: ${[...files].join(', ')}`);
  t.pass('reported');
  t.end();
});

t.test('docs/API.md describes exactly the public error codes', (t) => {
  const documented = [...read('docs/API.md').matchAll(/^#{3,4} `?(\w+)`?\s*$/gm)].map((match) => match[1]!);
  const codes = new Set(
    Object.keys(ERROR_CODES).map((code) => publicCodeOf(code as keyof typeof ERROR_CODES))
  );
  for (const code of codes) t.ok(documented.includes(code), `${code} has a heading`);
  t.end();
});

t.test('every test that SEMANTICS.md names exists', (t) => {
  const named = [...read('docs/SEMANTICS.md').matchAll(/`((?:test|packages|src)\/[\w./-]+\.test\.ts)`/g)].map(
    (match) => match[1]!
  );
  t.ok(named.length > 0, 'promises name tests');
  const missing = [...new Set(named)].filter((file) => !exists(file));
  t.same(missing, []);
  t.end();
});

t.test('nothing committed speaks of a machine or a workplace', (t) => {
  const words = new RegExp(
    ['/wor' + 'k/', '/hom' + 'e/\\w', 'regist' + 'ry\\.npm', 'TOD' + 'O', 'FIX' + 'ME'].join('|')
  );
  const wrong = [...sources, ...walk('docs'), ...walk('scripts'), ...walk('test'), 'README.md']
    .filter((file) => /\.(ts|mjs|md)$/.test(file) && !file.includes('/dist/'))
    .filter((file) => words.test(read(file)));
  t.same(wrong, []);
  t.end();
});

t.test('sizes are reported', (t) => {
  const sized = production
    .map((file) => ({ file, lines: read(file).split('\n').length }))
    .sort((a, b) => b.lines - a.lines);
  for (const { file, lines } of sized.slice(0, 5))
    t.comment(`${lines} lines: ${file}${lines > LINES_MAX ? ' (over the target)' : ''}`);
  t.pass('reported');
  t.end();
});

function layerOf(file: string): string | undefined {
  return LAYERS.find((layer) => file.startsWith(`packages/server/src/${layer}/`));
}

function importsOf(file: string, { types = true } = {}): string[] {
  const text = read(file);
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?from\s+)?'([^']+)'|import\('([^']+)'\)/g;
  return [...text.matchAll(pattern)]
    .filter((match) => types || !match[1])
    .map((match) => (match[2] ?? match[3])!);
}

function codeLinesOf(file: string): string[] {
  return read(file)
    .split('\n')
    .filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line));
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

function exists(file: string): boolean {
  return readdirSync(join(ROOT, dirname(file)), { withFileTypes: true }).some(
    (entry) => join(dirname(file), entry.name) === file
  );
}

function walk(directory: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!['node_modules', 'dist', '.tap'].includes(entry.name)) found.push(...walk(path));
    } else if (entry.isFile()) found.push(path);
  }
  return found;
}
