import t from 'tap';
import { parseDocument } from 'yaml';
import { CommandError } from '../usage-error.js';
import { parseServerConfig } from './read-server-config.js';

const WHOLE = `rack: rack-a
etcd:
  endpoints: [http://127.0.0.1:2379]
cluster:
  listen: 10.0.0.1:7071
  secret-file: secret
roles:
  stream-manager:
  extent-node:
    directory: /data/extents
  partition-server:
    index-directory: /data/index
  front-end:
    credentials-file: credentials.json
`;

t.test('a whole file, with defaults', (t) => {
  const { config } = parseServerConfig(WHOLE, 'node.yaml');
  t.equal(config.replicas, 3);
  t.equal(config.etcd.prefix, '/stampede/');
  t.equal(config.roles['partition-server']?.durability, 'sync');
  t.equal(config.roles['front-end']?.listen, '127.0.0.1:7070');
  t.ok('stream-manager' in config.roles);
  t.end();
});

/** What is done to the whole file, and what must be said. */
const WRONG: readonly (readonly [name: string, text: string, message: RegExp])[] = [
  ['no YAML', WHOLE.replace('rack: rack-a', 'rack: "rack-a'), /^node\.yaml:\d+: /],
  ['a setting twice', `${WHOLE}rack: rack-b\n`, /^node\.yaml:15: Map keys must be unique/],
  ['a role twice', `${WHOLE}  stream-manager:\n`, /^node\.yaml:15: Map keys must be unique/],
  ['two documents', `${WHOLE}---\nrack: b\n`, /^node\.yaml:\d+: .*documents/],
  ['a tab for an indentation', WHOLE.replace('  stream', '\tstream'), /^node\.yaml:8: /],
  ['no group of settings', '- rack: a\n', /^node\.yaml:1: the file must be a group of settings$/],
  ['a word', 'rack\n', /^node\.yaml:1: the file must be a group of settings$/],
  ['nothing', '', /^node\.yaml:1: rack is missing; it must be a string\n/],
  ['an alias of nothing', WHOLE.replace('rack-a', '*other'), /^node\.yaml:1: /],
  [
    'a setting that is not there',
    `${WHOLE}colour: red\n`,
    /^node\.yaml:15: there is no setting colour; remove it/
  ],
  [
    'a setting below that is not there',
    WHOLE.replace('/data/index\n', '/data/index\n    size: 1\n'),
    /^node\.yaml:13: there is no setting size in roles\.partition-server; remove it or correct its name$/
  ],
  [
    'a wrong name',
    WHOLE.replace('listen: 10', 'lisen: 10'),
    /node\.yaml:5: there is no setting lisen in cluster/
  ],
  [
    'a wrong role',
    WHOLE.replace('stream-manager', 'stream-manger'),
    /^node\.yaml:8: there is no setting stream-manger in roles/
  ],
  [
    'a missing setting',
    WHOLE.replace('rack: rack-a\n', ''),
    /^node\.yaml:1: rack is missing; it must be a string$/
  ],
  [
    'a missing setting below',
    WHOLE.replace('    directory: /data/extents\n', '    {}\n'),
    /^node\.yaml:10: roles\.extent-node\.directory is missing; it must be a string$/
  ],
  [
    'a missing group',
    WHOLE.replace(/cluster:\n.*\n.*\n/, ''),
    /^node\.yaml:1: cluster is missing; it must be a group of settings$/
  ],
  [
    'an empty group',
    WHOLE.replace('    directory: /data/extents\n', ''),
    /^node\.yaml:9: roles\.extent-node must be a group of settings$/
  ],
  [
    'no roles',
    WHOLE.replace(/roles:[\s\S]*/, 'roles: {}\n'),
    /^node\.yaml:7: roles must name one role at least$/
  ],
  ['an empty rack', WHOLE.replace('rack-a', '""'), /^node\.yaml:1: rack must not be empty/],
  ['a rack with a slash', WHOLE.replace('rack-a', 'a/b'), /^node\.yaml:1: rack must be letters, digits/],
  [
    'a long rack',
    WHOLE.replace('rack-a', 'a'.repeat(200)),
    /^node\.yaml:1: rack must have at most 128 characters$/
  ],
  ['too many replicas', `${WHOLE}replicas: 9\n`, /^node\.yaml:15: replicas must be at most 5$/],
  ['no replicas', `${WHOLE}replicas: 0\n`, /^node\.yaml:15: replicas must be at least 1$/],
  ['half a replica', `${WHOLE}replicas: 1.5\n`, /^node\.yaml:15: replicas must be a whole number$/],
  ['small extents', `${WHOLE}extent-size: 1000\n`, /^node\.yaml:15: extent-size must be 1MiB at least$/],
  ['large extents', `${WHOLE}extent-size: 4GiB\n`, /^node\.yaml:15: extent-size must be 1GiB at most$/],
  [
    'extents of no size',
    `${WHOLE}extent-size: big\n`,
    /^node\.yaml:15: extent-size must be a size, as 256MiB$/
  ],
  [
    'a wrong address',
    WHOLE.replace('10.0.0.1:7071', '10.0.0.1'),
    /^node\.yaml:5: cluster\.listen must be host:port/
  ],
  [
    'an address with a port that is none',
    WHOLE.replace('7071', '70710'),
    /^node\.yaml:5: cluster\.listen must have a port up to 65535$/
  ],
  [
    'an address that nobody can reach',
    WHOLE.replace('10.0.0.1', '0.0.0.0'),
    /^node\.yaml:5: cluster\.listen must be an address at which the other members reach this machine/
  ],
  [
    'such an address of the sixth version',
    WHOLE.replace('10.0.0.1', '"[::]').replace('7071', '7071"'),
    /^node\.yaml:5: cluster\.listen must be an address at which/
  ],
  [
    'a front end with a URL',
    `${WHOLE}    listen: http://0.0.0.0:7070\n`,
    /^node\.yaml:15: roles\.front-end\.listen must be host:port/
  ],
  [
    'a front end on the port of the cluster',
    `${WHOLE}    listen: 0.0.0.0:7071\n`,
    /^node\.yaml:15: roles\.front-end\.listen has the port of cluster\.listen; choose another one$/
  ],
  [
    'metrics on the port of the front end',
    `${WHOLE}monitoring: {listen: 7070}\n`,
    /^node\.yaml:15: monitoring\.listen has the port of roles\.front-end\.listen; choose another one$/
  ],
  [
    'metrics at no address',
    `${WHOLE}monitoring: {listen: here}\n`,
    /^node\.yaml:15: monitoring\.listen must be host:port/
  ],
  [
    'metrics at a port that is none',
    `${WHOLE}monitoring:\n  listen: 99999\n`,
    /^node\.yaml:16: monitoring\.listen must have a port up to 65535$/
  ],
  [
    'no endpoints',
    WHOLE.replace('[http://127.0.0.1:2379]', '[]'),
    /^node\.yaml:3: etcd\.endpoints must name one endpoint at least$/
  ],
  [
    'endpoints that are no list',
    WHOLE.replace('[http://127.0.0.1:2379]', 'http://127.0.0.1:2379'),
    /^node\.yaml:3: etcd\.endpoints must be a list$/
  ],
  [
    'a wrong endpoint',
    WHOLE.replace('[http://127.0.0.1:2379]', '[127.0.0.1:2379]'),
    /^node\.yaml:3: etcd\.endpoints\.0 must be a URL/
  ],
  [
    'an endpoint twice',
    WHOLE.replace('2379]', '2379, http://127.0.0.1:2379]'),
    /^node\.yaml:3: etcd\.endpoints must name each endpoint once$/
  ],
  [
    'a user of etcd without a password',
    WHOLE.replace('2379]', '2379]\n  username: stamp'),
    /^node\.yaml:4: etcd\.username needs password-file beside it$/
  ],
  [
    'a password of etcd without a user',
    WHOLE.replace('2379]', '2379]\n  password-file: p'),
    /^node\.yaml:4: etcd\.password-file needs username beside it$/
  ],
  [
    'a certificate for etcd without its key',
    WHOLE.replace('2379]', '2379]\n  cert-file: c'),
    /^node\.yaml:4: etcd\.cert-file needs key-file beside it$/
  ],
  [
    'a certificate of the front end without its key',
    `${WHOLE}    cert-file: c\n`,
    /^node\.yaml:15: roles\.front-end\.cert-file needs key-file beside it$/
  ],
  [
    'TLS of the cluster without an authority',
    WHOLE.replace('secret\n', 'secret\n  tls: {cert-file: c, key-file: k}\n'),
    /^node\.yaml:7: cluster\.tls\.ca-file is missing; it must be a string$/
  ],
  [
    'a wrong level',
    WHOLE.replace('/data/index\n', '/data/index\n    durability: none\n'),
    /^node\.yaml:13: roles\.partition-server\.durability must be sync or os$/
  ],
  [
    'the index among the extents',
    WHOLE.replace('/data/index', '/data/extents'),
    /^node\.yaml:12: roles\.partition-server\.index-directory must be another folder/
  ]
];

for (const [name, text, message] of WRONG)
  t.test(name, (t) => {
    try {
      parseServerConfig(text, 'node.yaml');
      t.fail('it was taken');
    } catch (error) {
      t.ok(error instanceof CommandError);
      t.match((error as Error).message, message);
    }
    t.end();
  });

t.test('every wrong line is told at once', (t) => {
  const text = WHOLE.replace('rack-a', '"-"').replace('10.0.0.1:7071', 'x');
  t.throws(() => parseServerConfig(text, 'n'), { message: /^n:1: rack .*\nn:5: cluster\.listen / });
  t.end();
});

/** Every setting, with a value of each kind that it is not. */
const SETTINGS: readonly (readonly [
  path: string,
  kinds: readonly ('text' | 'number' | 'list' | 'group')[]
])[] = [
  ['member', ['number', 'list', 'group']],
  ['rack', ['number', 'list', 'group']],
  ['replicas', ['text', 'list', 'group']],
  ['extent-size', ['text', 'list', 'group']],
  ['etcd', ['text', 'number', 'list']],
  ['etcd.endpoints', ['text', 'number', 'group']],
  ['etcd.prefix', ['number', 'list', 'group']],
  ['etcd.username', ['number', 'list', 'group']],
  ['etcd.password-file', ['number', 'list', 'group']],
  ['etcd.ca-file', ['number', 'list', 'group']],
  ['etcd.cert-file', ['number', 'list', 'group']],
  ['etcd.key-file', ['number', 'list', 'group']],
  ['cluster', ['text', 'number', 'list']],
  ['cluster.listen', ['text', 'number', 'list', 'group']],
  ['cluster.secret-file', ['number', 'list', 'group']],
  ['cluster.tls', ['text', 'number', 'list']],
  ['roles', ['text', 'number', 'list']],
  ['roles.stream-manager', ['text', 'number', 'list']],
  ['roles.extent-node', ['text', 'number', 'list']],
  ['roles.extent-node.directory', ['number', 'list', 'group']],
  ['roles.partition-server', ['text', 'number', 'list']],
  ['roles.partition-server.index-directory', ['number', 'list', 'group']],
  ['roles.partition-server.durability', ['text', 'number', 'list', 'group']],
  ['roles.front-end', ['text', 'number', 'list']],
  ['roles.front-end.listen', ['text', 'number', 'list', 'group']],
  ['roles.front-end.credentials-file', ['number', 'list', 'group']],
  ['roles.front-end.cert-file', ['number', 'list', 'group']],
  ['roles.front-end.key-file', ['number', 'list', 'group']],
  ['monitoring', ['text', 'number', 'list']],
  ['monitoring.listen', ['text', 'list', 'group']]
];
const VALUES = { text: 'a word', number: 1.5, list: [1], group: { other: 1 } };

t.test('each setting of a wrong kind is told with its line and what it must be', (t) => {
  for (const [name, kinds] of SETTINGS) {
    for (const kind of kinds) {
      const document = parseDocument(WHOLE);
      document.setIn(name.split('.'), document.createNode(VALUES[kind]));
      const text = document.toString();
      const line = lineOf(text, name.split('.'));
      const message = messageOf(text);
      const lines = message.split('\n');
      const ofIt = lines.filter((each) => each.includes(name) || each.includes('other'));
      t.ok(ofIt.length > 0, `${name} as ${kind}: ${message}`);
      for (const each of lines) t.match(each, /^n:\d+: .*(must|there is no setting|needs|has the port)/);
      t.ok(
        ofIt.some((each) => Math.abs(Number(each.split(':')[1]) - line) <= 1),
        `${name} as ${kind} is in line ${line}: ${message}`
      );
    }
  }
  t.end();
});

function messageOf(text: string): string {
  try {
    parseServerConfig(text, 'n');
    return 'it was taken';
  } catch (error) {
    return (error as Error).message;
  }
}

/** Of the key; its value may begin in the next one. */
function lineOf(text: string, path: readonly string[]): number {
  const lines = text.split('\n');
  let at = 0;
  for (const [depth, key] of path.entries())
    at = lines.findIndex((line, index) => index >= at && line.startsWith(`${'  '.repeat(depth)}${key}:`));
  return at + 1;
}
