import type t from 'tap';
import type { OrderedStore, StoreEntry, StoreOperation } from '../ordered-store.js';

/** Anything that subtests can be added to. */
type Test = Pick<typeof t, 'test'>;

export interface OrderedStoreFixture extends AsyncDisposable {
  readonly store: OrderedStore;
  /** Closes the store and opens it again. */
  reopen(): Promise<OrderedStore>;
}

/** What every implementation of `OrderedStore` must do. */
export function orderedStoreConformance(t: Test, open: () => Promise<OrderedStoreFixture>): void {
  pointTests(t, open);
  rangeTests(t, open);
  lifeTests(t, open);
}

function pointTests(t: Test, open: () => Promise<OrderedStoreFixture>): void {
  t.test('gets what was put, also empty and binary, and undefined for what is absent', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const rows = [
      { name: 'text', key: Buffer.from('key'), value: Buffer.from('value') },
      { name: 'empty value', key: Buffer.from('empty'), value: Buffer.alloc(0) },
      { name: 'every byte', key: everyByte(), value: everyByte() },
      { name: 'zero key', key: Buffer.of(0), value: Buffer.of(0) },
      { name: 'large value', key: Buffer.from('large'), value: Buffer.alloc(1_500_000, 7) }
    ];
    for (const { key, value } of rows) await store.batch([{ type: 'put', key, value }]);
    for (const { name, key, value } of rows) t.ok(value.equals(Buffer.from(store.get(key)!)), name);
    t.equal(store.get(Buffer.from('ke')), undefined);
    t.equal(store.get(Buffer.from('key ')), undefined);
    await store.batch([{ type: 'delete', key: Buffer.from('key') }]);
    await store.batch([{ type: 'delete', key: Buffer.from('absent') }]);
    t.equal(store.get(Buffer.from('key')), undefined);
  });

  t.test('applies the operations of a batch in order, and an empty batch', async (t) => {
    await using fixture = await open();
    await fixture.store.batch([put('a', '1'), remove('a'), put('b', '1'), put('b', '2')], { sync: true });
    await fixture.store.batch([]);
    t.same(await all(fixture.store), ['b=2']);
  });

  t.test('applies concurrent batches in the order of the calls', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const batches = Array.from({ length: 200 }, (_, index) =>
      store.batch([put('last', String(index)), put(`k${index}`, '')], { sync: index % 3 === 0 })
    );
    await batches[50];
    t.ok(Number(text(store.get(Buffer.from('last'))!)) >= 50, 'a batch is visible when it resolves');
    await Promise.all(batches);
    t.equal(text(store.get(Buffer.from('last'))!), '199');
    t.equal((await store.range({})).length, 201);
  });

  t.test('keeps nothing of the buffers that it was given', async (t) => {
    await using fixture = await open();
    const [key, value] = [Buffer.from('key'), Buffer.from('value')];
    const written = fixture.store.batch([{ type: 'put', key, value }]);
    key.fill(0);
    value.fill(0);
    await written;
    t.same(await all(fixture.store), ['key=value']);
  });
}

function rangeTests(t: Test, open: () => Promise<OrderedStoreFixture>): void {
  t.test(
    'reads the half-open range in order of bytes, forwards and backwards, up to the limit',
    async (t) => {
      await using fixture = await open();
      const { store } = fixture;
      const keys = ['', '\x00', '\x00\x00', 'a', 'a\x00', 'aa', 'b', 'é', '\uffff', '😀'];
      await store.batch(keys.toReversed().map((key) => put(key, key)));
      const rows = [
        { name: 'everything', query: {}, keys },
        { name: 'from a key on', query: { start: 'a' }, keys: keys.slice(3) },
        { name: 'up to a key', query: { end: 'a' }, keys: keys.slice(0, 3) },
        { name: 'between keys', query: { start: 'a', end: 'b' }, keys: ['a', 'a\x00', 'aa'] },
        { name: 'between what is absent', query: { start: 'a\x01', end: 'c' }, keys: ['aa', 'b'] },
        { name: 'one key', query: { start: 'a', end: 'a\x00' }, keys: ['a'] },
        { name: 'nothing', query: { start: 'c', end: 'd' }, keys: [] },
        { name: 'from a key to itself', query: { start: 'a', end: 'a' }, keys: [] },
        { name: 'from a later key to an earlier', query: { start: 'b', end: 'a' }, keys: [] },
        { name: 'up to the empty key', query: { end: '' }, keys: [] },
        { name: 'from the empty key', query: { start: '', limit: 1 }, keys: [''] },
        { name: 'limited', query: { start: 'a', limit: 2 }, keys: ['a', 'a\x00'] },
        { name: 'limited to nothing', query: { limit: 0 }, keys: [] },
        { name: 'backwards', query: { start: 'a', end: 'b', reverse: true }, keys: ['aa', 'a\x00', 'a'] },
        {
          name: 'backwards and limited',
          query: { end: 'b', reverse: true, limit: 2 },
          keys: ['aa', 'a\x00']
        },
        { name: 'backwards from a later key', query: { start: 'b', end: 'a', reverse: true }, keys: [] }
      ];
      for (const { name, query, keys } of rows) {
        const { start, end, ...rest } = query as {
          start?: string;
          end?: string;
          limit?: number;
          reverse?: boolean;
        };
        const encoded = {
          ...(start !== undefined && { start: Buffer.from(start) }),
          ...(end !== undefined && { end: Buffer.from(end) }),
          ...rest
        };
        const expected = keys.map((key) => `${key}=${key}`);
        t.same((await store.range(encoded)).map(format), expected, `range: ${name}`);
        t.same(await collect(store.scan(encoded)), expected, `scan: ${name}`);
      }
    }
  );

  t.test('reads many entries through several pages', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const keys = Array.from({ length: 5000 }, (_, index) => String(index).padStart(6, '0'));
    await store.batch(keys.map((key) => put(key, 'x'.repeat(200))));
    t.same(
      (await store.range({})).map(({ key }) => text(key)),
      keys
    );
    t.same((await collect(store.scan({ reverse: true, limit: 4321 }))).length, 4321);
  });

  t.test('scans one snapshot, taken at the call', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const keys = Array.from({ length: 3000 }, (_, index) => String(index).padStart(6, '0'));
    await store.batch(keys.map((key) => put(key, 'old')));
    const scan = store.scan({});
    await store.batch([put('000000', 'new'), remove('002999'), put('1', 'new')]);
    const seen: string[] = [];
    for await (const entry of scan) {
      if (seen.length === 10) await store.batch([put('000500', 'new'), remove('002000')]);
      seen.push(format(entry));
    }
    t.same(
      seen,
      keys.map((key) => `${key}=old`)
    );
    t.equal((await store.range({})).length, keys.length - 1);
  });

  t.test('stops a scan when its reader returns early', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    await store.batch(Array.from({ length: 3000 }, (_, index) => put(String(index), '')));
    let count = 0;
    for await (const entry of store.scan({})) {
      t.ok(entry);
      if (++count === 3) break;
    }
    t.equal(count, 3);
  });
}

function lifeTests(t: Test, open: () => Promise<OrderedStoreFixture>): void {
  t.test('keeps its content over closing and opening', async (t) => {
    await using fixture = await open();
    await fixture.store.batch([put('a', '1'), put('b', '2')], { sync: true });
    await fixture.store.batch([put('c', '3'), remove('a')]);
    const store = await fixture.reopen();
    t.same(await all(store), ['b=2', 'c=3']);
    await store.batch([put('d', '4')]);
    t.equal(text(store.get(Buffer.from('d'))!), '4');
  });

  t.test('writes what was accepted before it closes, and refuses everything after', async (t) => {
    await using fixture = await open();
    const { store } = fixture;
    const writes = Array.from({ length: 50 }, (_, index) =>
      store.batch([put(`k${index}`, '')], { sync: true })
    );
    await Promise.all([store.close(), store.close(), ...writes]);
    t.throws(() => store.get(Buffer.from('k1')), { code: 'DiskFailed' });
    await t.rejects(store.batch([put('late', '')]), { code: 'DiskFailed' });
    await t.rejects(store.range({}), { code: 'DiskFailed' });
    const reopened = await fixture.reopen();
    t.equal((await reopened.range({})).length, 50);
  });
}

function put(key: string, value: string): StoreOperation {
  return { type: 'put', key: Buffer.from(key), value: Buffer.from(value) };
}

function remove(key: string): StoreOperation {
  return { type: 'delete', key: Buffer.from(key) };
}

function everyByte(): Buffer {
  return Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index));
}

async function all(store: OrderedStore): Promise<string[]> {
  return (await store.range({})).map(format);
}

async function collect(entries: AsyncIterable<StoreEntry>): Promise<string[]> {
  const seen: string[] = [];
  for await (const entry of entries) seen.push(format(entry));
  return seen;
}

function format({ key, value }: StoreEntry): string {
  return `${text(key)}=${text(value)}`;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
