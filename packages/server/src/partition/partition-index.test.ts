import fc from 'fast-check';
import t from 'tap';
import { extentId, StoreError } from '../api/index.js';
import { memoryOrderedStores, type OrderedStore, systemClock } from '../platform/index.js';
import { PartitionIndex, type Row } from './partition-index.js';
import type { RowKey } from './row-key.js';

const DIRECTORY = '/index';
const clock = systemClock();
const key = fc.constantFrom(...['a', 'b', 'ba', 'bb', 'c', 'd'].map((text) => text as RowKey));
const step = fc.oneof(
  fc.record({
    type: fc.constant('set' as const),
    key,
    value: fc.option(fc.nat({ max: 255 }), { nil: undefined })
  }),
  fc.record({
    type: fc.constant('range' as const),
    start: key,
    end: key,
    limit: fc.integer({ min: 1, max: 7 })
  }),
  fc.record({ type: fc.constantFrom('flush' as const, 'turn' as const, 'snapshot' as const) })
);

function open(store: OrderedStore): PartitionIndex {
  return new PartitionIndex({ store, clock, onFailure: () => undefined, onDamage: () => undefined });
}

const positionAt = (sequence: number) => ({
  sequence,
  extentId: extentId(1),
  offset: sequence,
  logId: 'log'
});
const shown = (rows: readonly Row[]) => rows.map(({ key: name, value }) => `${name}=${value[0]}`);

t.test('rows are seen as they were set, written or not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const stores = memoryOrderedStores();
      const index = open(await stores.open(DIRECTORY));
      const model = new Map<string, number>();
      let sequence = 0;
      for (const one of steps) {
        if (one.type === 'set') {
          sequence += 1;
          const { value } = one;
          index.apply(
            new Map([[one.key, value === undefined ? undefined : Uint8Array.of(value)]]),
            positionAt(sequence)
          );
          if (value === undefined) model.delete(one.key);
          else model.set(one.key, value);
          if (index.get(one.key)?.[0] !== value) throw new Error(`get ${one.key}`);
        } else if (one.type === 'range') {
          const wanted = [...model]
            .filter(([name]) => name >= one.start && name < one.end)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .slice(0, one.limit)
            .map(([name, value]) => `${name}=${value}`);
          const found = shown(await index.range({ start: one.start, end: one.end }, one.limit));
          if (JSON.stringify(found) !== JSON.stringify(wanted)) throw new Error(`${found} is not ${wanted}`);
        } else if (one.type === 'flush') await index.flushed();
        else if (one.type === 'turn') await new Promise((resolve) => setImmediate(resolve));
        else {
          const { position, rows } = await index.snapshot();
          const found: Row[] = [];
          for await (const row of rows) found.push(row);
          if ((position?.sequence ?? 0) !== sequence) throw new Error('an older position');
          const wanted = [...model]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, value]) => `${name}=${value}`);
          if (JSON.stringify(shown(found)) !== JSON.stringify(wanted)) throw new Error('another snapshot');
        }
      }
      await index.close();
    }),
    { numRuns: 300 }
  );
});

t.test('after a power cut the rows are those of the position, whatever that is', async () => {
  const writes = fc.array(fc.record({ key, value: fc.nat({ max: 255 }), sync: fc.boolean() }), {
    maxLength: 20
  });
  await fc.assert(
    fc.asyncProperty(writes, fc.nat({ max: 1000 }), async (steps, chance) => {
      const stores = memoryOrderedStores();
      const index = open(await stores.open(DIRECTORY));
      const states: string[] = [''];
      const model = new Map<string, number>();
      let synced = 0;
      for (const [number, { key: name, value, sync }] of steps.entries()) {
        index.apply(new Map([[name, Uint8Array.of(value)]]), positionAt(number + 1));
        model.set(name, value);
        states.push([...model].sort(([a], [b]) => (a < b ? -1 : 1)).join());
        if (number % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (!sync) continue;
        await index.synced();
        synced = number + 1;
      }
      await new Promise((resolve) => setImmediate(resolve));
      const random = {
        fraction: () => chance / 1001,
        bytes: (length: number) => new Uint8Array(length),
        uuid: () => ''
      };
      await stores.crash({ random });
      await index.close().catch(() => undefined);
      const again = open(await stores.open(DIRECTORY));
      const sequence = again.position?.sequence ?? 0;
      const rows = await again.range({ start: '' as RowKey, end: '\u00ff' as RowKey }, 100);
      const found = rows
        .filter((row) => !row.key.startsWith('M'))
        .map((row) => [row.key, row.value[0]])
        .join();
      if (found !== states[sequence])
        throw new Error(`${found} is not the state of ${sequence}: ${states[sequence]}`);
      if (sequence < synced) throw new Error(`${sequence} is before ${synced}, which was synced`);
    }),
    { numRuns: 300 }
  );
});

t.test('what could not be written stays readable, and says so once', async (t) => {
  const stores = memoryOrderedStores();
  const store = await stores.open(DIRECTORY);
  const failures: unknown[] = [];
  const full = new StoreError('NoSpace', 'full');
  const index = new PartitionIndex({
    clock,
    store: { ...store, batch: () => Promise.reject(full) },
    onFailure: (cause) => failures.push(cause),
    onDamage: () => undefined
  });
  index.apply(new Map([['a' as RowKey, Uint8Array.of(1)]]), positionAt(1));
  await t.rejects(index.flushed(), full);
  index.apply(new Map([['b' as RowKey, Uint8Array.of(2)]]), positionAt(2));
  t.same(failures, [full]);
  t.equal(index.failure, full);
  t.same(shown(await index.range({ start: 'a' as RowKey, end: 'z' as RowKey }, 10)), ['a=1', 'b=2']);
});
