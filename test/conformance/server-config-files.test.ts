import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { openServerConfig } from '../../src/server/open-server-config.js';
import { parseServerConfig } from '../../src/server/read-server-config.js';
import { CommandError } from '../../src/usage-error.js';
import { missingOf } from '../support/needs.js';

const SECRET = 'of sixteen bytes or more';
const CREDENTIALS = '{"accessKey": "root", "secretKey": "of the test"}';
const WHOLE = `rack: rack-a
etcd:
  endpoints: [https://127.0.0.1:2379]
  username: stamp
  password-file: password
  ca-file: ca.pem
  cert-file: node.pem
  key-file: node.key
cluster:
  listen: 10.0.0.1:7071
  secret-file: secret
  tls: {ca-file: ca.pem, cert-file: node.pem, key-file: node.key}
roles:
  front-end:
    credentials-file: credentials.json
    cert-file: node.pem
    key-file: node.key
`;

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'stampede-config-'));

  write(name: string, text: string, mode = 0o600): void {
    writeFileSync(join(this.path, name), text);
    chmodSync(join(this.path, name), mode);
  }

  remove(name: string): void {
    rmSync(join(this.path, name), { recursive: true, force: true });
  }

  read(name: string): string {
    return readFileSync(join(this.path, name), 'utf8');
  }

  makeKey(name: string): void {
    const files = ['-keyout', join(this.path, `${name}.key`), '-out', join(this.path, `${name}.pem`)];
    const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync('openssl', ['req', ...kind, '-subj', '/CN=node', ...files], { stdio: 'ignore' });
    chmodSync(join(this.path, `${name}.key`), 0o600);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function wholeFolder(): Folder {
  const folder = new Folder();
  folder.write('secret', `${SECRET}\n`);
  folder.write('password', 'of etcd\n');
  folder.write('credentials.json', CREDENTIALS);
  for (const name of ['ca', 'node', 'other']) folder.makeKey(name);
  return folder;
}

const open = (folder: Folder, text = WHOLE) =>
  openServerConfig(parseServerConfig(text, join(folder.path, 'node.yaml')));

const skip = await missingOf(['openssl']);

t.test('files that are all well', { skip }, async (t) => {
  using folder = wholeFolder();
  const opened = await open(folder);
  t.match(opened, {
    secret: SECRET,
    etcd: { password: 'of etcd' },
    frontEnd: { credentials: { accessKey: 'root' } }
  });
  t.match(opened.clusterTls, { ca: /CERTIFICATE/, cert: /CERTIFICATE/, key: /PRIVATE KEY/ });
  t.match(opened.frontEnd?.tls, { cert: /CERTIFICATE/, key: /PRIVATE KEY/ });
});

/** What is done to a folder that is well, and what must be said. */
const WRONG: readonly (readonly [name: string, damage: (folder: Folder) => void, message: RegExp])[] = [
  [
    'a secret that is not there',
    (folder) => folder.remove('secret'),
    /node\.yaml:11: cluster\.secret-file names .*secret, which is not there; create it, or correct the path/
  ],
  [
    'a secret that is a directory',
    (folder) => {
      folder.remove('secret');
      mkdirSync(join(folder.path, 'secret'));
    },
    /node\.yaml:11: .* which is a directory; name a file$/
  ],
  [
    'a short secret',
    (folder) => folder.write('secret', 'short\n'),
    /node\.yaml:11: cluster\.secret-file names .* holds no secret of 16 characters at least; make one with "openssl rand/
  ],
  ['an empty secret', (folder) => folder.write('secret', '\n'), /node\.yaml:11: .* holds no secret/],
  [
    'a secret that everybody can read',
    (folder) => folder.write('secret', SECRET, 0o644),
    /node\.yaml:11: cluster\.secret-file names .* every user of this machine can read; run "chmod 600 .*secret"$/
  ],
  [
    'credentials that everybody can read',
    (folder) => folder.write('credentials.json', CREDENTIALS, 0o604),
    /node\.yaml:15: roles\.front-end\.credentials-file .* run "chmod 600 /
  ],
  [
    'credentials that are no JSON',
    (folder) => folder.write('credentials.json', 'root:key'),
    /node\.yaml:15: .* must hold \{"accessKey": "…", "secretKey": "…"\}$/
  ],
  [
    'credentials without a secret',
    (folder) => folder.write('credentials.json', '{"accessKey": "root"}'),
    /node\.yaml:15: .* must hold/
  ],
  [
    'a password that is not there',
    (folder) => folder.remove('password'),
    /node\.yaml:5: etcd\.password-file .* not there/
  ],
  [
    'an authority that is not there',
    (folder) => folder.remove('ca.pem'),
    /node\.yaml:12: cluster\.tls\.ca-file .* not there.*\n.*node\.yaml:6: etcd\.ca-file .* not there/
  ],
  [
    'an authority that is none',
    (folder) => folder.write('ca.pem', 'authority'),
    /node\.yaml:12: cluster\.tls\.ca-file .* is no certificate; it must be PEM/
  ],
  [
    'a certificate that is cut off',
    (folder) => folder.write('node.pem', '-----BEGIN CERTIFICATE-----\nMIIB\n'),
    /node\.yaml:16: roles\.front-end\.cert-file .* is no certificate/
  ],
  [
    'a key that is none',
    (folder) => folder.write('node.key', 'key'),
    /node\.yaml:17: roles\.front-end\.key-file .* is no private key; it must be PEM, without a passphrase/
  ],
  [
    'the key of another certificate',
    (folder) => folder.write('node.key', folder.read('other.key')),
    /node\.yaml:17: roles\.front-end\.key-file .* is not the key of the certificate in cert-file/
  ],
  [
    'a key that everybody can read',
    (folder) => chmodSync(join(folder.path, 'node.key'), 0o644),
    /node\.yaml:17: .* run "chmod 600 .*node\.key"/
  ]
];

for (const [name, damage, message] of WRONG)
  t.test(name, { skip }, async (t) => {
    using folder = wholeFolder();
    damage(folder);
    const error = await open(folder).catch((error: unknown) => error);
    t.ok(error instanceof CommandError, String(error));
    t.match((error as Error).message, message);
    t.notMatch((error as Error).message, /of sixteen|of the test|MIIB/, 'no secret is told');
  });

t.test('all that is wrong is told at once', { skip }, async (t) => {
  using folder = wholeFolder();
  for (const name of ['secret', 'password', 'credentials.json']) folder.remove(name);
  const { message } = (await open(folder).catch((error: unknown) => error)) as Error;
  t.equal(message.split('\n').length, 3);
});
