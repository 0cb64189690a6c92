import t from 'tap';
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
  const config = parseServerConfig(WHOLE, 'node.yaml');
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
  [
    'a missing setting',
    WHOLE.replace('rack: rack-a\n', ''),
    /^node\.yaml:1: rack is missing; it must be a string$/
  ],
  [
    'a wrong name',
    WHOLE.replace('listen: 10', 'lisen: 10'),
    /node\.yaml:5: there is no setting lisen in cluster/
  ],
  [
    'a missing group',
    WHOLE.replace(/cluster:\n.*\n.*\n/, ''),
    /^node\.yaml:1: cluster is missing; it must be a group of settings$/
  ],
  ['a wrong type', WHOLE.replace('rack: rack-a', 'rack: [1]'), /^node\.yaml:1: rack must be a string$/],
  [
    'a wrong address',
    WHOLE.replace('10.0.0.1:7071', '10.0.0.1'),
    /^node\.yaml:5: cluster\.listen must be host:port/
  ],
  [
    'a wrong endpoint',
    WHOLE.replace('[http://127.0.0.1:2379]', '[127.0.0.1:2379]'),
    /^node\.yaml:3: etcd\.endpoints\.0 must be URLs/
  ],
  [
    'a wrong level',
    WHOLE.replace('/data/index\n', '/data/index\n    durability: none\n'),
    /^node\.yaml:13: roles\.partition-server\.durability must be sync or os$/
  ],
  ['too many replicas', `${WHOLE}replicas: 9\n`, /^node\.yaml:15: replicas must be at most 5$/],
  [
    'no roles',
    WHOLE.replace(/roles:[\s\S]*/, 'roles: {}\n'),
    /^node\.yaml:7: roles must name one role at least$/
  ],
  ['nothing', '', /rack is missing/]
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
