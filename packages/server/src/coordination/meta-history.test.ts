import t from 'tap';
import { LIMITS } from '../api/index.js';
import { type MetaCommit, MetaHistory } from './meta-history.js';
import type { MetaChange } from './meta-store.js';

const { signal } = new AbortController();

t.test('drops the oldest commits beyond its bounds and says so to late watchers', async (t) => {
  const rows = [
    { name: 'by count', changeCountMax: 3, bytesMax: 1e9 },
    { name: 'by bytes', changeCountMax: 1e9, bytesMax: 3 * 101 }
  ];
  for (const { name, ...bounds } of rows) {
    const history = new MetaHistory({ revision: 0, ...bounds });
    for (let revision = 1; revision <= 5; revision++) history.add(commit(revision));
    t.same(await revisions(history.watch('', { afterRevision: 2, signal }), 3), [3, 4, 5], name);
    await t.rejects(
      revisions(history.watch('', { afterRevision: 1, signal }), 1),
      { code: 'MetaCompacted' },
      name
    );
  }
});

t.test('cuts a reader off that falls too far behind', async (t) => {
  const history = new MetaHistory({ revision: 0, changeCountMax: 10, bytesMax: 1e9 });
  const slow = history.watch('', { afterRevision: 0, signal });
  for (let revision = 1; revision <= LIMITS.watchQueueEventsMax + 1; revision++)
    history.add(commit(revision));
  await t.rejects(revisions(slow, 1), { code: 'MetaCompacted' });
});

t.test('follows from the call on, not only from the first read', async (t) => {
  const history = new MetaHistory({ revision: 0, changeCountMax: 1, bytesMax: 1e9 });
  const changes = history.watch('', { afterRevision: 0, signal });
  for (let revision = 1; revision <= 3; revision++) history.add(commit(revision));
  t.same(await revisions(changes, 3), [1, 2, 3]);
});

function commit(revision: number): MetaCommit {
  const entry = { key: 'k', value: new Uint8Array(100), revision, createRevision: 1 };
  return { revision, changes: [{ type: 'put', entry }] };
}

async function revisions(changes: AsyncIterable<MetaChange>, count: number): Promise<number[]> {
  const seen: number[] = [];
  for await (const change of changes) {
    seen.push(change.type === 'put' ? change.entry.revision : change.revision);
    if (seen.length === count) break;
  }
  return seen;
}
