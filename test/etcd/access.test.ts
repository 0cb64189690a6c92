import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { EtcdCluster } from '../support/etcd-cluster.js';
import { openMeta, put, until, WatchLog } from '../support/etcd-meta.js';
import { missingOf } from '../support/needs.js';

/* An etcd with certificates, users and roles. */

const run = promisify(execFile);
const skip = await missingOf(['etcd', 'openssl']);

/** A certificate authority and a certificate of it for this machine, in PEM files. */
async function createCertificates(directory: string) {
  const path = (name: string): string => join(directory, name);
  const openssl = (...options: string[]) => run('openssl', options, { cwd: directory });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-x509', '-days', '2', '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.pem'];
  await openssl('req', ...newKey, ...authority);
  const forLoopback = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'etcd.key', '-out', 'etcd.csr'];
  await openssl('req', ...newKey, '-subj', '/CN=etcd', ...forLoopback);
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy'];
  await openssl('x509', '-req', '-days', '2', '-in', 'etcd.csr', ...signed, '-out', 'etcd.pem');
  return { ca: path('ca.pem'), cert: path('etcd.pem'), key: path('etcd.key') };
}

t.test('certificates, users and roles of etcd', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'stampede-etcd-tls-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const files = await createCertificates(directory);
  await using cluster = await EtcdCluster.start(1, { tls: files });
  const [member] = cluster.members;
  const { endpoints } = cluster;
  const tls = { ca: readFileSync(files.ca, 'utf8') };
  let token: string | undefined;
  const admin = async (path: string, request: object): Promise<void> => {
    await member!.call(`auth/${path}`, request, token);
  };
  const grant = (role: string, prefix: string): Promise<void> => {
    const end = Buffer.from(prefix);
    end[end.length - 1]! += 1;
    const [key, range_end] = [Buffer.from(prefix).toString('base64'), end.toString('base64')];
    return admin('role/grant', { name: role, perm: { permType: 'READWRITE', key, range_end } });
  };
  for (const name of ['root', 'stamp', 'stranger']) {
    await admin('user/add', { name, password: `password of ${name}` });
    await admin('role/add', { name });
    await admin('user/grant', { user: name, role: name });
  }
  await grant('stamp', '/test/');
  await admin('enable', {});
  const signIn = async (): Promise<void> => {
    const answer = await member!.call('auth/authenticate', { name: 'root', password: 'password of root' });
    token = answer.token;
  };

  await t.test(
    'a store with the authority and its user works, also after etcd was started anew',
    async (t) => {
      const auth = { username: 'stamp', password: 'password of stamp' };
      await using store = openMeta({ endpoints, tls, auth });
      const lease = await store.grantLease(20_000);
      await store.transact({ compares: [], puts: [{ ...put('a', '1'), leaseId: lease.leaseId }] });
      const { entries, revision } = await store.range('');
      t.equal(entries.length, 1);
      const log = new WatchLog(store, '', revision);
      await store.transact({ compares: [], puts: [put('b', '1')] });
      await log.until(() => log.changes.length === 1);
      // Whoever had signed in is forgotten.
      await member!.kill();
      await member!.start();
      await member!.ready();
      await store.transact({ compares: [], puts: [put('b', '2')] });
      await log.until(() => log.changes.length === 2);
      // Whoever had signed in has to do it again.
      await signIn();
      await grant('stamp', '/elsewhere/');
      await store.transact({ compares: [], puts: [put('b', '3')] });
      await log.until(() => log.changes.length === 3);
      await log.stop();
      t.equal(lease.lost.aborted, false);
    }
  );

  await t.test('a wrong password, a user without rights and no user are refused at once', async (t) => {
    const callTimeoutMs = 60_000;
    const { signal } = new AbortController();
    const wrong = { username: 'stamp', password: 'another' };
    const stranger = { username: 'stranger', password: 'password of stranger' };
    for (const [auth, code] of [
      [wrong, 'Unauthenticated'],
      [stranger, 'AccessDenied'],
      [undefined, 'Unauthenticated']
    ] as const) {
      await using store = openMeta({ endpoints, tls, auth, callTimeoutMs });
      await t.rejects(store.find('a'), { code });
      await t.rejects(store.range(''), { code });
      await t.rejects(store.transact({ compares: [], puts: [put('a', 'x')] }), { code });
      const watch = async (): Promise<void> => {
        for await (const _ of store.watch('', { afterRevision: 0, signal })) t.fail('a watch without rights');
      };
      await t.rejects(watch(), { code });
    }
  });

  await t.test('an etcd whose authority is unknown is not spoken to', async (t) => {
    const auth = { username: 'stamp', password: 'password of stamp' };
    await using store = openMeta({ endpoints, auth, callTimeoutMs: 500 });
    await t.rejects(store.find('a'), { code: 'ServiceUnavailable', message: /certificate|did not answer/ });
  });

  await t.test('a right that comes later is used', async (t) => {
    const auth = { username: 'stranger', password: 'password of stranger' };
    await using store = openMeta({ endpoints, tls, auth });
    await t.rejects(store.find('a'), { code: 'AccessDenied' });
    await signIn();
    await grant('stranger', '/test/');
    await until(async () =>
      store.find('a').then(
        () => true,
        () => false
      )
    );
  });
});
