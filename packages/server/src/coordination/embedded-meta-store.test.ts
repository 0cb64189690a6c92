import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { StoreError } from '../api/index.js';
import {
  manualClock,
  memoryOrderedStore,
  memoryOrderedStores,
  type OrderedStore,
  openClassicLevelStore,
  type StoreOperation,
  seededRandom
} from '../platform/index.js';
import { type EmbeddedMetaStore, openEmbeddedMetaStore } from './embedded-meta-store.js';
import { type MetaStoreFixture, metaStoreConformance } from './testing/meta-store-conformance.js';

t.test('conforms on a real ordered store', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-meta-'));
  t.teardown(() => rm(folder, { recursive: true }));
  let count = 0;
  metaStoreConformance(t, async () => {
    const directory = join(folder, String(count++));
    return await openFixture(() => openClassicLevelStore(directory));
  });
});

t.test('conforms in memory', async (t) => {
  metaStoreConformance(t, async () => {
    const stores = memoryOrderedStores();
    return await openFixture(() => stores.open('/meta'));
  });
});

t.test('shows a transaction only once it is durable', async (t) => {
  const { store, hold } = await heldStore();
  await using meta = await openEmbeddedMetaStore({ store, clock: manualClock(), random: seededRandom(1) });
  const release = hold();
  const put = meta.transact({
    compares: [{ key: 'a', revision: 0 }],
    puts: [{ key: 'a', value: bytes('1') }]
  });
  let refusedAt = 'later';
  const second = meta
    .transact({ compares: [{ key: 'a', revision: 0 }], puts: [{ key: 'a', value: bytes('2') }] })
    .then((result) => {
      refusedAt = release.isDone() ? 'after' : 'before';
      return result;
    });
  const range = meta.range('');
  t.equal(await meta.find('a'), undefined);
  release();
  t.same(await put, { committed: true, revision: 1 });
  t.same(await second, { committed: false });
  t.equal(refusedAt, 'after', 'the refusal rests on the first transaction and waits for it');
  t.match(await range, { revision: 1, entries: [{ key: 'a' }] });
});

t.test('accepts nothing after a failed write, and still reads', async (t) => {
  const { store, failNext } = await heldStore();
  await using meta = await openEmbeddedMetaStore({ store, clock: manualClock(), random: seededRandom(1) });
  await put(meta, 'a');
  failNext(new StoreError('NoSpace', 'The disk is full. Free space.'));
  await t.rejects(put(meta, 'b'), { code: 'NoSpace' });
  await t.rejects(put(meta, 'c'), { code: 'NoSpace' });
  t.match(await meta.range(''), { revision: 1, entries: [{ key: 'a' }] });
  t.ok(await meta.find('a'));
});

t.test('answers DeadlineExceeded when the disk takes longer than the caller waits', async (t) => {
  const { store, hold } = await heldStore();
  const clock = manualClock();
  await using meta = await openEmbeddedMetaStore({ store, clock, random: seededRandom(1) });
  const release = hold();
  const late = meta.transact({ compares: [], puts: [{ key: 'a', value: bytes('1') }] }, { deadlineMs: 100 });
  await Promise.all([t.rejects(late, { code: 'DeadlineExceeded' }), clock.advance(100)]);
  release();
  await put(meta, 'b');
  t.ok(await meta.find('a'), 'the outcome was unknown: it took effect');
  t.equal(clock.pendingCount(), 0);
});

t.test('tells a watcher from before this life to read again', async (t) => {
  const store = await memoryOrderedStore();
  const options = { store, clock: manualClock(), random: seededRandom(1) };
  const former = await openEmbeddedMetaStore(options);
  await put(former, 'a');
  await former.close();
  await using meta = await openEmbeddedMetaStore(options);
  const { signal } = new AbortController();
  await t.rejects(
    async () => {
      for await (const change of meta.watch('', { afterRevision: 0, signal })) t.fail(change.type);
    },
    { code: 'MetaCompacted' }
  );
});

t.test('removes thousands of leased keys of the life before', async (t) => {
  const store = await memoryOrderedStore();
  const options = { store, clock: manualClock(), random: seededRandom(1) };
  const former = await openEmbeddedMetaStore(options);
  const { leaseId } = await former.grantLease(1000);
  for (let part = 0; part < 25; part++) {
    const puts = Array.from({ length: 100 }, (_, index) => ({
      key: `${part}/${index}`,
      value: bytes(''),
      leaseId
    }));
    await former.transact({ compares: [], puts });
  }
  await former.close();
  await using meta = await openEmbeddedMetaStore(options);
  t.same((await meta.range('')).entries, []);
  t.equal((await store.range({})).length, 1, 'only the revision is left');
});

t.test('revokes the leases of a session that closes', async (t) => {
  const clock = manualClock();
  const options = { store: await memoryOrderedStore(), clock, random: seededRandom(1) };
  await using meta = await openEmbeddedMetaStore(options);
  const session = meta.connect();
  const { leaseId, lost } = await session.grantLease(1000);
  await session.transact({ compares: [], puts: [{ key: 'a', value: bytes('1'), leaseId }] });
  await Promise.all([session.close(), session.close()]);
  t.equal(lost.aborted, true);
  t.equal(await meta.find('a'), undefined);
  t.equal(clock.pendingCount(), 0);
});

async function openFixture(openStore: () => Promise<OrderedStore>): Promise<MetaStoreFixture> {
  const clock = manualClock();
  const random = seededRandom(7);
  let store = await openStore();
  let meta: EmbeddedMetaStore = await openEmbeddedMetaStore({ store, clock, random });
  return {
    store: meta,
    connect: async () => {
      const session = meta.connect();
      return { store: session, cutOff: () => session.cutOff() };
    },
    reopen: async () => {
      await meta.close();
      await store.close();
      store = await openStore();
      meta = await openEmbeddedMetaStore({ store, clock, random });
      return meta;
    },
    pass: (durationMs) => clock.advance(durationMs),
    elapsedMs: () => clock.elapsedMs(),
    [Symbol.asyncDispose]: async () => {
      await meta.close();
      await store.close();
    }
  };
}

/** A store whose batches can be held back or fail. */
async function heldStore() {
  const inner = await memoryOrderedStore();
  let held: Promise<void> = Promise.resolve();
  let failure: Error | undefined;
  const store: OrderedStore = {
    get: (key) => inner.get(key),
    range: (query) => inner.range(query),
    scan: (query) => inner.scan(query),
    close: () => inner.close(),
    async batch(operations: readonly StoreOperation[], options) {
      await held;
      if (failure) {
        const error = failure;
        failure = undefined;
        throw error;
      }
      await inner.batch(operations, options);
    }
  };
  return {
    store,
    failNext: (error: Error) => {
      failure = error;
    },
    hold: () => {
      let isDone = false;
      let open = (): void => undefined;
      held = new Promise<void>((resolve) => {
        open = resolve;
      });
      return Object.assign(
        () => {
          isDone = true;
          open();
        },
        { isDone: () => isDone }
      );
    }
  };
}

async function put(meta: EmbeddedMetaStore, key: string): Promise<void> {
  await meta.transact({ compares: [], puts: [{ key, value: bytes('x') }] });
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}
