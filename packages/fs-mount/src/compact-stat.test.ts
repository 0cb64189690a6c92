import type { ObjectHead } from '@stampede/client';
import t from 'tap';
import { StatCompactor } from './compact-stat.js';

const head: ObjectHead = {
  bucket: 'drive',
  key: 'a/b',
  versionId: 'v1',
  generation: 3,
  etag: 'e-1',
  size: 5,
  modifiedAtMs: 1000,
  contentType: 'text/plain',
  userMetadata: { owner: 'x' },
  tags: {},
  attributes: {
    mode: 0o100644,
    mtime: { seconds: 1, nanoseconds: 2 },
    atime: { seconds: 1, nanoseconds: 2 },
    ctime: { seconds: 1, nanoseconds: 3 }
  },
  crc32c: 7,
  holeBytes: 2
};

t.test('keeps what a drive shows of an object', async (t) => {
  const { crc32c, ...kept } = head;
  const compactor = new StatCompactor();
  t.same(compactor.compact({ type: 'object', head }), { type: 'object', head: kept });
  t.same(compactor.compact({ type: 'directory', head }), { type: 'directory', head: kept });
  t.same(compactor.compact({ type: 'directory' }), { type: 'directory' });
  t.same(compactor.compact({ type: 'none' }), { type: 'none' });
  t.equal(crc32c, 7);
});

t.test('equal times are one value, others stay apart, and the answer is not changed', async (t) => {
  const compacted = new StatCompactor().compact({ type: 'object', head });
  const { mtime, atime, ctime } = compacted.type === 'object' ? compacted.head.attributes : {};
  t.equal(atime, mtime);
  t.not(ctime, mtime);
  t.not(head.attributes.atime, head.attributes.mtime);
});
