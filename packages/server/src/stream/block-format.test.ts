import t from 'tap';
import { extentId, LIMITS } from '../api/index.js';
import { seededRandom } from '../platform/index.js';
import {
  BLOCK_PAYLOAD_BYTES_MAX,
  blockBytes,
  blockHeaderBytes,
  decodeBlockHeader,
  encodeBlockHeader,
  isPayloadIntact
} from './block-format.js';
import { type BatchBlock, encodeBatch } from './encode-batch.js';
import { checkBlock } from './inspect-blocks.js';
import { payloadOf } from './testing/payload.js';

const ID = extentId(3);
const CHUNK = LIMITS.checksumChunkBytes;

function split(bytes: Buffer, cuts: readonly number[]): readonly Uint8Array[] {
  const points = [0, ...[...cuts].sort((a, b) => a - b), bytes.byteLength];
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end));
}

function encodeOne(payload: Buffer, parts: readonly Uint8Array[] = [payload]): Buffer {
  const block = { sequence: 9, parts, payloadLength: payload.byteLength };
  return Buffer.concat(encodeBatch({ extentId: ID, offset: 4096, durableLength: 4096 }, [block]));
}

t.test('blocks of all sizes survive the round trip, however their payload is cut into parts', (t) => {
  const random = seededRandom(4);
  const sizes = [
    1,
    7,
    8,
    9,
    4096,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    3 * CHUNK,
    1_000_003,
    BLOCK_PAYLOAD_BYTES_MAX
  ];
  for (const size of sizes) {
    const payload = payloadOf(size, size);
    const cuts = Array.from({ length: 5 }, () => Math.floor(random.fraction() * size));
    const bytes = encodeOne(payload, split(payload, cuts));
    t.equal(bytes.byteLength, blockBytes(size), `${size} bytes take what is computed`);
    t.equal(bytes.byteLength % 8, 0);
    const check = checkBlock(bytes, 0, { extentId: ID, offset: 4096 });
    t.equal(check.result, 'intact', `${size} bytes`);
    const start = blockHeaderBytes(size);
    t.ok(bytes.subarray(start, start + size).equals(payload), `${size} bytes are the same`);
  }
  t.end();
});

t.test('the header keeps numbers of 53 bits', (t) => {
  const bytes = Buffer.alloc(blockHeaderBytes(1));
  const id = extentId(2 ** 53 - 1);
  const fields = { extentId: id, offset: 2 ** 41, durableLength: 2 ** 40, sequence: 2 ** 53 - 2 };
  encodeBlockHeader(bytes, 0, { ...fields, payloadLength: 1, parts: [Buffer.from('x')] });
  const header = decodeBlockHeader(bytes, 0, { extentId: id, offset: 2 ** 41 });
  t.match(header, { sequence: 2 ** 53 - 2, durableLength: 2 ** 40, offset: 2 ** 41, payloadLength: 1 });
  t.end();
});

t.test('a block at another offset or of another extent is not valid', (t) => {
  const bytes = encodeOne(payloadOf(1, 100));
  t.equal(decodeBlockHeader(bytes, 0, { extentId: ID, offset: 4104 }), 'bad');
  t.equal(decodeBlockHeader(bytes, 0, { extentId: extentId(4), offset: 4096 }), 'bad');
  t.end();
});

t.test('a batch puts small and large blocks back to back', (t) => {
  const sizes = [10, 40_000, 20, 30, 200_000, 5];
  const blocks: BatchBlock[] = sizes.map((size, index) => ({
    sequence: index,
    parts: split(payloadOf(index, size), [Math.floor(size / 3), Math.floor(size / 2)]),
    payloadLength: size
  }));
  const parts = encodeBatch({ extentId: ID, offset: 8000, durableLength: 4096 }, blocks);
  const bytes = Buffer.concat(parts);
  let at = 0;
  for (const [index, size] of sizes.entries()) {
    const check = checkBlock(bytes, at, { extentId: ID, offset: 8000 + at });
    if (check.result !== 'intact') return t.fail(`block ${index}`);
    t.equal(check.header.sequence, index);
    const payloadAt = at + check.header.headerBytes;
    t.ok(bytes.subarray(payloadAt, payloadAt + size).equals(payloadOf(index, size)));
    at += check.header.blockBytes;
  }
  t.equal(at, bytes.byteLength);
  const large = blocks[4]!.parts[2]!;
  t.ok(parts.includes(large), 'large payloads are not copied');
  t.end();
});

t.test('any flipped byte of header or payload makes a block invalid', (t) => {
  const good = encodeOne(payloadOf(3, 301));
  const end = blockHeaderBytes(301) + 301;
  for (let at = 0; at < end; at++) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0xff;
    if (checkBlock(bytes, 0, { extentId: ID, offset: 4096 }).result === 'intact') t.fail(`byte ${at}`);
  }
  t.pass('all bytes');
  t.end();
});

t.test('a chunk is verified without the others', (t) => {
  const payload = payloadOf(1, 3 * CHUNK + 5);
  const bytes = encodeOne(payload);
  const start = blockHeaderBytes(payload.byteLength);
  bytes[start + CHUNK + 1]! ^= 1;
  const chunks = [0, 1, 2, 3].map((index) => {
    const end = Math.min((index + 1) * CHUNK, payload.byteLength);
    const chunk = bytes.subarray(start + index * CHUNK, start + end);
    return isPayloadIntact(bytes, 0, chunk, index * CHUNK);
  });
  t.same(chunks, [true, false, true, true]);
  t.end();
});

t.test('random bytes are never a block and never crash the parser', (t) => {
  const random = seededRandom(99);
  const good = encodeOne(payloadOf(1, 500));
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(good);
    const count = 1 + Math.floor(random.fraction() * 12);
    for (let change = 0; change < count; change++) {
      bytes[Math.floor(random.fraction() * bytes.byteLength)] = Math.floor(random.fraction() * 256);
    }
    const length = Math.floor(random.fraction() * (bytes.byteLength + 1));
    const cut = round % 2 === 0 ? bytes : bytes.subarray(0, length);
    const check = checkBlock(cut, 0, { extentId: ID, offset: 4096 });
    const isSame = cut.subarray(0, 556).equals(good.subarray(0, 556));
    if (check.result === 'intact' && !isSame) t.fail(`round ${round}`);
  }
  t.pass('all rounds');
  t.end();
});
