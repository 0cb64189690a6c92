import { StoreError } from '@stampede/client';
import { memoryStore } from '@stampede/client/testing';
import t from 'tap';
import { TestWorld } from './testing/test-world.js';

const COMMANDS = [
  'up',
  'server',
  'mount',
  'umount',
  'stats',
  'warmup',
  'ls',
  'cp',
  'mv',
  'rm',
  'cat',
  'stat',
  'du',
  'bucket',
  'key',
  'admin',
  'doctor'
];
const GROUPED = ['create', 'rm', 'ls', 'info', 'set'];

t.test('every command has help with an example, on stdout, and ends with 0', async (t) => {
  using world = new TestWorld();
  const lines = [
    [],
    ...COMMANDS.map((name) => [name]),
    ...GROUPED.map((name) => ['bucket', name]),
    ...['create', 'ls', 'rm'].map((name) => ['key', name]),
    ...['status', 'members', 'extents', 'drain', 'remove', 'scrub'].map((name) => ['admin', name])
  ];
  for (const words of lines) {
    const { code, stdout, stderr } = await world.run(...words, '--help');
    t.equal(code, 0, words.join(' '));
    t.match(
      stdout,
      new RegExp(`^Usage: stampede ${words.join(' ')}[^]*Example:\n  \\$ stampede ${words.join(' ')}`)
    );
    t.equal(stderr, '');
  }
});

t.test('the help of the program names every command', async (t) => {
  using world = new TestWorld();
  const { stdout } = await world.run('--help');
  for (const name of COMMANDS) t.match(stdout, new RegExp(`^  ${name} `, 'm'));
});

t.test('commands and options of other issues are not there', async (t) => {
  using world = new TestWorld();
  for (const name of ['sync', 'presign']) t.equal((await world.run(name)).code, 2);
  const help = (await world.run('up', '--help')).stdout + (await world.run('mount', '--help')).stdout;
  for (const option of ['--s3-port', '--stamps']) t.notMatch(help, option);
});

t.test('--version prints the version', async (t) => {
  using world = new TestWorld();
  t.match(await world.run('--version'), { code: 0, stdout: '1.2.3\n', stderr: '' });
});

t.test('a wrong command line is one line on stderr and ends with 2', async (t) => {
  using world = new TestWorld();
  for (const words of [
    ['fly'],
    ['ls', '--fly'],
    ['ls', 'a', 'b'],
    ['bucket', 'fly'],
    ['mount', 'docs'],
    ['mount', '', 'dir'],
    ['mount', 'Docs', 'dir'],
    ['mount', 'docs', 'dir', '--read-memory', '1'],
    ['mount', 'docs', 'dir', '--umask', '9'],
    ['up', '--port', '70000'],
    ['up', '--nodes', '0'],
    ['up', '--durability', 'none'],
    ['up', '--data', 'd', '--mount', '.'],
    ['rm', 'file'],
    ['cat', '--offset', '-1', 'st:docs/x']
  ]) {
    const { code, stdout, stderr } = await world.run(...words);
    t.equal(code, 2, words.join(' '));
    t.equal(stdout, '');
    t.match(stderr, /^stampede: [^\n]+\n$/);
  }
});

t.test('errors of the store say what to do, with their code, in one line', async (t) => {
  const rows = [
    [
      new StoreError('Unauthenticated', 'unknown\nkey'),
      /unknown key \(Unauthenticated\); the store.* does not take the credentials from the environment/
    ],
    [
      new StoreError('AccessDenied', 'no right'),
      /no right \(AccessDenied\); the key from the environment may not do this/
    ],
    [new StoreError('WrongPartition', 'moved'), /moved \(SlowDown\)/],
    [new TypeError('oops'), /unexpected: oops; run it again with STAMPEDE_LOG=debug/]
  ] as const;
  for (const [error, pattern] of rows) {
    const fail = () => Promise.reject(error);
    const calls = { ...memoryStore(), keys: { create: fail, list: fail, delete: fail } };
    using world = new TestWorld({ calls, world: { connect: async () => clientThatFails(calls) } });
    const { code, stderr } = await world.run('key', 'ls');
    t.equal(code, 1);
    t.match(stderr, pattern);
    t.equal(stderr.trimEnd().split('\n').length, 1);
  }
});

t.test('a signal ends a command with 1, and says so', async (t) => {
  const calls = memoryStore();
  let started = () => {};
  const hasStarted = new Promise<void>((resolve) => {
    started = resolve;
  });
  const list = (options?: { readonly signal?: AbortSignal }) =>
    new Promise<never>((_, reject) => {
      started();
      options!.signal!.addEventListener('abort', () => reject(new StoreError('Cancelled', 'cancelled')));
    });
  using world = new TestWorld({ calls: { ...calls, keys: { ...calls.keys, list } } });
  const running = world.run('key', 'ls');
  await hasStarted;
  world.signal();
  t.match(await running, { code: 1, stderr: 'stampede: interrupted\n' });
});

/** Without the retries of a real client, which would take their time. */
function clientThatFails(calls: ReturnType<typeof memoryStore>) {
  const none = () => {
    throw new Error('not used here');
  };
  return {
    ...calls,
    ...{ upload: none, download: none, listObjects: none, listUploads: none, listBuckets: none, watch: none },
    async close() {},
    async [Symbol.asyncDispose]() {}
  };
}
