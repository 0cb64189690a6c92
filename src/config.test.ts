import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { type ConnectionOptions, readEnvironment, resolveConnection } from './config.js';

const NONE: ConnectionOptions = {
  endpoint: undefined,
  accessKey: undefined,
  secretKey: undefined,
  data: undefined
};

/** A home and a working directory with these files. */
function folders(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'stampede-config-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return {
    resolve: (options: Partial<ConnectionOptions>, variables: Readonly<Record<string, string>> = {}) =>
      resolveConnection(
        { ...NONE, ...options },
        readEnvironment({ HOME: join(root, 'home'), ...variables }),
        join(root, 'cwd')
      ),
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true })
  };
}

function credentials(accessKey: string, endpoint?: string): string {
  return JSON.stringify({ accessKey, secretKey: 's', endpoint });
}

const HOME = 'home/.stampede/credentials';
const LOCAL = 'cwd/.stampede/credentials.json';
const VARIABLES = { STAMPEDE_ACCESS_KEY: 'env', STAMPEDE_SECRET_KEY: 's', STAMPEDE_ENDPOINT: 'http://env:1' };

t.test(
  'credentials come from the command line, the environment, the home, the local store, in this order',
  async (t) => {
    using all = folders({ [HOME]: credentials('home'), [LOCAL]: credentials('local', 'http://local:2') });
    t.match(await all.resolve({ accessKey: 'given', secretKey: 's' }, VARIABLES), {
      accessKey: 'given',
      endpoint: 'http://env:1'
    });
    t.match(await all.resolve({}, VARIABLES), { accessKey: 'env', source: 'the environment' });
    t.match(await all.resolve({}), { accessKey: 'home', endpoint: 'http://127.0.0.1:7070' });
    using local = folders({ [LOCAL]: credentials('local', 'http://local:2') });
    t.match(await local.resolve({}), { accessKey: 'local', endpoint: 'http://local:2' });
    t.match(await local.resolve({ endpoint: 'http://given:3' }), {
      accessKey: 'local',
      endpoint: 'http://given:3'
    });
  }
);

t.test('a data folder on the command line comes before the environment', async (t) => {
  using some = folders({ 'cwd/data/credentials.json': credentials('data', 'http://data:4') });
  t.match(await some.resolve({ data: 'data' }, VARIABLES), { accessKey: 'data', endpoint: 'http://data:4' });
  await t.rejects(
    some.resolve({ data: 'none' }, VARIABLES),
    /start the store first: stampede up --data none/
  );
});

t.test('what is missing or wrong is said', async (t) => {
  using empty = folders({});
  await t.rejects(empty.resolve({}), /no credentials; start a store here with "stampede up"/);
  await t.rejects(empty.resolve({ accessKey: 'a' }), /--access-key is set without --secret-key; set both/);
  await t.rejects(
    empty.resolve({}, { STAMPEDE_SECRET_KEY: 's' }),
    /SECRET_KEY is set without STAMPEDE_ACCESS_KEY/
  );
  for (const [text, pattern] of [
    ['', /is not JSON/],
    ['3', /holds no object/],
    ['{}', /has no accessKey/],
    ['{"accessKey":"a","secretKey":1}', /has no secretKey/],
    ['{"accessKey":"a","secretKey":"s","endpoint":1}', /endpoint that is no text/]
  ] as const) {
    using wrong = folders({ [LOCAL]: text });
    await t.rejects(wrong.resolve({}), pattern);
  }
});

t.test('the environment is checked', async (t) => {
  t.throws(() => readEnvironment({ STAMPEDE_LOG: 'loud' }), /"loud"; set it to debug, info, warn or error/);
  t.match(readEnvironment({ STAMPEDE_LOG: '', NO_COLOR: '1', PATH: '/a::/b', HOME: '/h' }), {
    logLevel: undefined,
    hasColor: false,
    programDirectories: ['/a', '/b'],
    homeDirectory: '/h'
  });
});
