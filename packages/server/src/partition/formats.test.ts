import fc from 'fast-check';
import t from 'tap';
import { extentId, isStoreError } from '../api/index.js';
import {
  decodeCheckpointBlock,
  decodeRoot,
  encodeCheckpointBlock,
  encodeRoot,
  type PartitionRoot
} from './checkpoint-format.js';
import { decodeLogBlock, encodeLogBlock, logHeadBytes } from './log-block-format.js';
import type { Mutation } from './mutation.js';
import { decodeObjectRecord, encodeObjectRecord, type ObjectRecord } from './object-record.js';
import type { Row } from './partition-index.js';
import type { RowKey } from './row-key.js';
import type { Piece } from './slice.js';
import { decodePieces, encodePieces } from './slice-codec.js';

/* Bytes of version 1, as the first release wrote them: what reads them now must read them for ever. */

const PIECES: readonly Piece[] = [
  { extentId: extentId(7), blockOffset: 4096, start: 8, length: 100, crc32c: 0x01020304 },
  { length: 50 }
];
const RECORD: ObjectRecord = {
  versionId: '000000000000002a',
  generation: 3,
  etag: 'ab-1',
  size: 150,
  modifiedAtMs: 1_750_000_000_000,
  contentType: 'text/plain',
  userMetadata: { a: '1' },
  tags: {},
  attributes: { mode: 0o100644 },
  crc32c: 0x0a0b0c0d,
  layout: { type: 'inline', pieces: PIECES },
  holeBytes: 50
};
const PAGED: ObjectRecord = { ...RECORD, layout: { type: 'paged', layoutId: 41 }, holeBytes: 7 };
const MUTATION: Mutation = {
  atMs: 1_750_000_000_000,
  requestId: 'r1',
  body: { type: 'delete', bucket: 'b', keys: ['k'], isOne: true }
};
const ROWS: readonly Row[] = [{ key: 'Bb' as RowKey, value: Uint8Array.of(1, 2) }];
const ROOT: PartitionRoot = {
  logId: 'log',
  checkpoint: {
    first: { extentId: extentId(5), offset: 4096 },
    blockCount: 2,
    rowCount: 3,
    rowBytes: 99,
    lastBlockNumber: 4,
    position: { sequence: 42, extentId: extentId(6), offset: 8192 }
  }
};

const FORMATS: readonly {
  readonly name: string;
  readonly hex: string;
  readonly value: unknown;
  readonly encode: () => Uint8Array;
  readonly decode: (bytes: Uint8Array) => unknown;
}[] = [
  {
    name: 'pieces',
    hex: '0102200780400864040302010132',
    value: PIECES,
    encode: () => encodePieces(PIECES),
    decode: decodePieces
  },
  {
    name: 'a row of the object table',
    hex: '9c01b03030303030303030303030303030326103a461622d31cc96cb427977420dc00000aa746578742f706c61696e81a161a1318081a46d6f6465cd81a4ce0a0b0c0dc40e0102200780400864040302010132',
    value: RECORD,
    encode: () => encodeObjectRecord(RECORD),
    decode: decodeObjectRecord
  },
  {
    name: 'a row of an object of many slices',
    hex: '9d01b03030303030303030303030303030326103a461622d31cc96cb427977420dc00000aa746578742f706c61696e81a161a1318081a46d6f6465cd81a4ce0a0b0c0d2907',
    value: PAGED,
    encode: () => encodeObjectRecord(PAGED),
    decode: decodeObjectRecord
  },
  {
    name: 'a row of an object of many slices whose holes nobody has counted',
    hex: '9c01b03030303030303030303030303030326103a461622d31cc96cb427977420dc00000aa746578742f706c61696e81a161a1318081a46d6f6465cd81a4ce0a0b0c0d29',
    value: { ...PAGED, holeBytes: undefined },
    encode: () => encodeObjectRecord({ ...PAGED, holeBytes: undefined }),
    decode: decodeObjectRecord
  },
  {
    name: 'a block of the commit log',
    hex: '010000002d00000094a664656c657465cb427977420dc00000a2723183a66275636b6574a162a46b65797391a16ba569734f6e65c3',
    value: MUTATION,
    encode: () => encodeLogBlock(MUTATION, 0).prefix,
    decode: decodeLogBlock
  },
  {
    name: 'a block of a checkpoint',
    hex: '010000000100000002000200000042620102',
    value: ROWS,
    encode: () => encodeCheckpointBlock(ROWS),
    decode: decodeCheckpointBlock
  },
  {
    name: 'a root',
    hex: '9301a36c6f679905cd1000020363042a06cd2000',
    value: ROOT,
    encode: () => encodeRoot(ROOT),
    decode: decodeRoot
  }
];

/** Bytes in a form that compares by value. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

for (const { name, hex, value, encode, decode } of FORMATS)
  t.test(`${name} is written and read as in version 1`, (t) => {
    t.equal(Buffer.from(encode()).toString('hex'), hex);
    t.same(plain(decode(Buffer.from(hex, 'hex'))), plain(value));
    t.end();
  });

t.test('bytes that are cut or of another version are refused by name', (t) => {
  for (const { name, hex, decode } of FORMATS) {
    const bytes = Buffer.from(hex, 'hex');
    for (let length = 0; length < bytes.byteLength; length++)
      if (!isRefused(() => decode(bytes.subarray(0, length)))) t.fail(`${name}, cut to ${length}`);
  }
  const newer = Buffer.from(FORMATS[2]!.hex, 'hex');
  newer[0] = 2;
  t.ok(isRefused(() => logHeadBytes(newer)));
  t.end();
});

t.test('random bytes are refused by name, never by another error', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: FORMATS.length - 1 }), (bytes, index) => {
      try {
        FORMATS[index]!.decode(bytes);
        return true;
      } catch (error) {
        return isStoreError(error);
      }
    }),
    { numRuns: 5000 }
  );
  t.pass('5000 of them');
  t.end();
});

function isRefused(run: () => unknown): boolean {
  try {
    run();
    return false;
  } catch (error) {
    if (isStoreError(error)) return true;
    throw error;
  }
}
