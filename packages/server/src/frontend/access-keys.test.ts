import pino from 'pino';
import t, { type Test } from 'tap';
import { isStoreError } from '../api/index.js';
import { openEmbeddedMetaStore } from '../coordination/index.js';
import { manualClock, memoryOrderedStore, seededRandom } from '../platform/index.js';
import { AccessKeys } from './access-keys.js';

const ROOT = { accessKey: 'ROOT', secretKey: 'root-secret' };

t.test('keeps keys in the meta store, and gives the secret once', async (t) => {
  const { keys, options } = await build(t);
  const made = await keys.create({ access: 'read', buckets: ['photos'], description: 'camera' }, options);
  t.equal(keys.findSecretKey(made.accessKey), made.secretKey);
  t.same(keys.findPrincipal(made.accessKey), {
    accessKey: made.accessKey,
    account: 'root',
    access: 'read',
    buckets: new Set(['photos'])
  });
  t.same(
    keys.list().map(({ accessKey }) => accessKey),
    [made.accessKey]
  );
  t.notMatch(JSON.stringify(keys.list()), made.secretKey);
});

t.test('is the same to every front end, at once where it was changed and soon elsewhere', async (t) => {
  const { keys, another, options } = await build(t);
  const other = await another();
  const made = await keys.create({}, options);
  await until(() => other.findPrincipal(made.accessKey) !== undefined);
  await other.delete({ accessKey: made.accessKey }, {});
  t.equal(other.findPrincipal(made.accessKey), undefined);
  await until(() => keys.findPrincipal(made.accessKey) === undefined);
  await keys.delete({ accessKey: made.accessKey }, {});
  t.same(keys.list(), []);
});

t.test('never deletes the root key', async (t) => {
  const { keys } = await build(t);
  const error = await keys.delete({ accessKey: ROOT.accessKey }, {}).catch((error: unknown) => error);
  t.ok(isStoreError(error, 'InvalidArgument'));
  t.equal(keys.findPrincipal(ROOT.accessKey), keys.root);
});

t.test('a damaged row makes its own key useless and no other, and the log says so without it', async (t) => {
  const { keys, meta, another, lines, options } = await build(t);
  const made = await keys.create({}, options);
  const value = new TextEncoder().encode('{"accessKey":"DAMAGED","secretKey":"hidden-secret"');
  await meta.transact({ compares: [], puts: [{ key: '/keys/DAMAGED', value }] });
  await until(() => lines.length > 0);
  const other = await another();
  t.equal(other.findPrincipal('DAMAGED'), undefined);
  t.ok(other.findPrincipal(made.accessKey));
  t.match(lines.join(), /DAMAGED.*cannot be used/);
  t.notMatch(lines.join(), /hidden-secret/);
});

async function build(t: Test) {
  const clock = manualClock();
  const random = seededRandom(3);
  const meta = await openEmbeddedMetaStore({ store: await memoryOrderedStore(), clock, random });
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const opened: AccessKeys[] = [];
  const another = async () => {
    const keys = await AccessKeys.open({ meta, clock, random, logger, root: ROOT });
    opened.push(keys);
    return keys;
  };
  t.teardown(async () => {
    for (const keys of opened) await keys.close();
    await meta.close();
  });
  const keys = await another();
  return { keys, meta, another, lines, options: { principal: keys.root } };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
