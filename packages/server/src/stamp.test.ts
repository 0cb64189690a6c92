import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { type ErrorCode, isStoreError } from './api/index.js';
import { type StampOptions, startStamp } from './stamp.js';
import { VERSION } from './version.js';

function scratch(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'stampede-stamp-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const BODY = Buffer.from('what was there before');

async function refused(options: StampOptions): Promise<{ code: ErrorCode; message: string }> {
  try {
    const stamp = await startStamp(options);
    await stamp.close();
  } catch (error) {
    if (isStoreError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('it started');
}

t.test('a store that is closed and started again has everything', async (t) => {
  using folder = scratch();
  const options = { directory: folder.path };
  {
    await using stamp = await startStamp(options);
    await stamp.calls.buckets.create({ bucket: 'kept' });
    await stamp.calls.objects.put({ bucket: 'kept', key: 'k', body: BODY });
    t.equal(stamp.endpoint, undefined, 'it listens only when told to');
  }
  await using stamp = await startStamp(options);
  const { body } = await stamp.calls.objects.read({ bucket: 'kept', key: 'k' });
  t.equal(Buffer.from(body).toString(), BODY.toString());
});

t.test('the credentials stay the same and are for their owner only', async (t) => {
  using folder = scratch();
  const options = { directory: folder.path, port: 0 };
  const path = join(folder.path, 'credentials.json');
  const first = await startStamp(options);
  const { credentials, endpoint } = first;
  t.same(JSON.parse(readFileSync(path, 'utf8')), { ...credentials, endpoint });
  t.equal(statSync(path).mode & 0o777, 0o600);
  await first.close();
  await using second = await startStamp(options);
  t.same(second.credentials, credentials);
});

t.test('a folder belongs to one store at a time', async (t) => {
  using folder = scratch();
  await using stamp = await startStamp({ directory: folder.path });
  await stamp.calls.buckets.create({ bucket: 'mine' });
  const { code, message } = await refused({ directory: folder.path });
  t.equal(code, 'DiskFailed');
  t.match(message, /in use/);
  t.equal((await stamp.calls.buckets.head({ bucket: 'mine' })).bucket, 'mine', 'the first one goes on');
});

t.test('nodes may be added and not taken away', async (t) => {
  using folder = scratch();
  const directory = folder.path;
  const one = await startStamp({ directory, nodeCount: 1 });
  await one.calls.buckets.create({ bucket: 'kept' });
  await one.calls.objects.put({ bucket: 'kept', key: 'before', body: BODY });
  await one.close();
  const three = await startStamp({ directory, nodeCount: 3 });
  t.equal((await three.calls.admin.status()).extentNodes.length, 3);
  await three.calls.objects.put({ bucket: 'kept', key: 'after', body: BODY });
  await three.close();
  t.match(await refused({ directory, nodeCount: 2 }), { code: 'InvalidArgument', message: /3 extent nodes/ });
  await using again = await startStamp({ directory });
  t.equal((await again.calls.admin.status()).extentNodes.length, 3, 'as many as there were');
  for (const key of ['before', 'after'])
    t.equal(
      Buffer.from((await again.calls.objects.read({ bucket: 'kept', key })).body).toString(),
      BODY.toString()
    );
});

t.test('a node whose folder is gone is made up for by the others', async (t) => {
  using folder = scratch();
  const directory = folder.path;
  const stamp = await startStamp({ directory, nodeCount: 3 });
  await stamp.calls.buckets.create({ bucket: 'kept' });
  for (let index = 0; index < 20; index++)
    await stamp.calls.objects.put({ bucket: 'kept', key: `k${index}`, body: BODY });
  await stamp.close();
  rmSync(join(directory, 'nodes', '2'), { recursive: true });
  await using again = await startStamp({ directory });
  for (let index = 0; index < 20; index++) {
    const { body } = await again.calls.objects.read({ bucket: 'kept', key: `k${index}` });
    t.equal(Buffer.from(body).toString(), BODY.toString());
  }
  await again.calls.objects.put({ bucket: 'kept', key: 'new', body: BODY });
  t.equal((await again.calls.objects.head({ bucket: 'kept', key: 'new' })).size, BODY.length);
});

t.test('what cannot be started says why, in one sentence that helps', async (t) => {
  using folder = scratch();
  const directory = folder.path;
  await (await startStamp({ directory })).close();
  for (const nodeCount of [0, 65, 1.5, Number.NaN])
    t.match(await refused({ directory, nodeCount }), { code: 'InvalidArgument', message: /extent nodes/ });
  const identity = join(directory, 'stamp.json');
  const before = readFileSync(identity, 'utf8');
  writeFileSync(identity, before.replace('"formatVersion": 1', '"formatVersion": 9'));
  t.match(await refused({ directory }), { code: 'InvalidArgument', message: /format 9/ });
  writeFileSync(identity, 'not json');
  t.match(await refused({ directory }), { code: 'InvalidArgument', message: /stamp\.json/ });
  writeFileSync(identity, before);
  await using stamp = await startStamp({ directory, port: 0 });
  const port = Number(new URL(stamp.endpoint!).port);
  using other = scratch();
  t.match(await refused({ directory: other.path, port }), { code: 'InvalidArgument', message: /in use/ });
});

t.test('the log has neither secrets nor bodies', async (t) => {
  using folder = scratch();
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const stamp = await startStamp({ directory: folder.path, port: 0, logger });
  const { secretKey } = stamp.credentials;
  await stamp.calls.buckets.create({ bucket: 'logged' });
  await stamp.calls.objects.put({ bucket: 'logged', key: 'k', body: BODY });
  const made = await stamp.calls.keys.create({ description: 'another' });
  await stamp.calls.objects.read({ bucket: 'logged', key: 'none' }).catch(() => undefined);
  await stamp.close();
  t.ok(lines.length > 0, 'it says something');
  for (const secret of [secretKey, made.secretKey, BODY.toString()])
    t.notOk(lines.some((line) => line.includes(secret)));
});

t.test('the version is that of the package', (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  t.equal(VERSION, version);
  t.end();
});
