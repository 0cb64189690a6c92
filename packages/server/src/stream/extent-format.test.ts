import t from 'tap';
import { extentId } from '../api/index.js';
import {
  decodeExtentHeader,
  EXTENT_HEADER_BYTES,
  type ExtentSlot,
  encodeExtentHeader,
  encodeExtentSlot,
  extentSlotOffset
} from './extent-format.js';

const ID = extentId(7_000_000_000_001);

function headerWith(...slots: readonly ExtentSlot[]): Buffer {
  const bytes = encodeExtentHeader({ extentId: ID, epoch: 5 });
  for (const slot of slots) encodeExtentSlot(ID, slot).copy(bytes, extentSlotOffset(slot.generation));
  return bytes;
}

t.test('a new header is open in the epoch of its creation, with an unknown length', (t) => {
  const { identity, slot } = decodeExtentHeader(headerWith(), ID);
  t.same(identity, { extentId: ID, epoch: 5 });
  t.same(slot, { generation: 1, epoch: 5, state: 'open' });
  t.end();
});

t.test('every state survives the round trip', (t) => {
  const rows: ExtentSlot[] = [
    { generation: 2, epoch: 5, state: 'open', length: 4096 },
    { generation: 2, epoch: 2 ** 53 - 1, state: 'frozen' },
    { generation: 2, epoch: 6, state: 'frozen', length: 268_435_456 },
    { generation: 2, epoch: 6, state: 'sealed', length: 2 ** 40 + 8 }
  ];
  for (const slot of rows) t.same(decodeExtentHeader(headerWith(slot), ID).slot, slot, slot.state);
  t.end();
});

t.test('slots alternate and the newest counts', (t) => {
  const older = { generation: 2, epoch: 6, state: 'frozen', length: 5000 } as const;
  const newer = { generation: 3, epoch: 7, state: 'sealed', length: 5000 } as const;
  t.not(extentSlotOffset(2), extentSlotOffset(3));
  t.same(decodeExtentHeader(headerWith(older, newer), ID).slot, newer);
  t.end();
});

t.test('a slot that is torn at any byte leaves the older one', (t) => {
  const older = { generation: 2, epoch: 6, state: 'frozen', length: 5000 } as const;
  const bytes = headerWith(older);
  const next = encodeExtentSlot(ID, { generation: 3, epoch: 6, state: 'sealed', length: 5000 });
  for (let length = 0; length < next.byteLength; length++) {
    const torn = Buffer.from(bytes);
    next.copy(torn, extentSlotOffset(3), 0, length);
    // The bytes that were there before may happen to complete it.
    const slot = decodeExtentHeader(torn, ID).slot;
    const isWhole = torn.subarray(extentSlotOffset(3), extentSlotOffset(3) + 512).equals(next);
    if (isWhole) continue;
    if (slot?.generation !== 2) t.fail(`torn at ${length}`);
  }
  t.pass('all lengths');
  t.end();
});

t.test('a flipped byte is never taken for another identity or state', (t) => {
  const slot = { generation: 2, epoch: 6, state: 'sealed', length: 5000 } as const;
  const good = headerWith(slot);
  for (let at = 0; at < EXTENT_HEADER_BYTES; at++) {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0xff;
    const header = decodeExtentHeader(bytes, ID);
    if (at < 512 !== (header.identity === undefined)) t.fail(`identity, byte ${at}`);
    const isNewestHit = at >= extentSlotOffset(2) && at < extentSlotOffset(2) + 512;
    if (header.slot?.generation !== (isNewestHit ? 1 : 2)) t.fail(`slot, byte ${at}`);
  }
  t.pass('all bytes');
  t.end();
});

t.test('a header of another extent is damage', (t) => {
  const { identity, slot } = decodeExtentHeader(headerWith(), extentId(8));
  t.equal(identity, undefined);
  t.equal(slot, undefined);
  t.same(decodeExtentHeader(Buffer.alloc(100), ID), { identity: undefined, slot: undefined });
  t.end();
});
