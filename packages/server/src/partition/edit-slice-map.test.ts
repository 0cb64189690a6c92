import fc from 'fast-check';
import t from 'tap';
import { crc32c, extentId } from '../api/index.js';
import { editSliceMap, type SliceEdit } from './edit-slice-map.js';
import { isSlice, type Piece } from './slice.js';
import { SliceMap } from './slice-map.js';
import { liveBytesDelta } from './slice-map-live-bytes.js';

/** Bytes of a block that is told by its offset. */
const blockOf = (blockOffset: number): Uint8Array =>
  Uint8Array.from({ length: 64 }, (_, index) => (blockOffset * 31 + index * 7) % 251);

function sliceOf(blockOffset: number, start: number, length: number): Piece {
  const crc = crc32c(blockOf(blockOffset).subarray(start, start + length));
  return { extentId: extentId(1 + (blockOffset % 3)), blockOffset, start, length, crc32c: crc };
}

function bytesOf(map: SliceMap): Uint8Array {
  const bytes = new Uint8Array(map.size);
  let at = 0;
  for (const piece of map.pieces()) {
    if (isSlice(piece))
      bytes.set(blockOf(piece.blockOffset).subarray(piece.start, piece.start + piece.length), at);
    at += piece.length;
  }
  return bytes;
}

const offset = fc.option(fc.nat({ max: 120 }), { nil: undefined });
const pieces = fc.array(
  fc
    .record({
      block: fc.nat({ max: 20 }),
      start: fc.nat({ max: 40 }),
      length: fc.integer({ min: 1, max: 20 })
    })
    .map(({ block, start, length }) => sliceOf(block, start, length)),
  { maxLength: 3 }
);
const edit: fc.Arbitrary<SliceEdit> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('write' as const), offset, pieces }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('truncate' as const), size: fc.nat({ max: 150 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('punch' as const),
      offset: fc.nat({ max: 120 }),
      length: fc.integer({ min: 1, max: 40 })
    })
  }
);

/** The edits one by one, each write on its own. */
function editedOneByOne(map: SliceMap, edits: readonly SliceEdit[]): SliceMap {
  let edited = map;
  for (const one of edits) {
    if (one.type === 'write') edited = edited.lay(one.offset ?? edited.size, one.pieces);
    else if (one.type === 'truncate') edited = edited.truncate(one.size);
    else edited = edited.punch(one.offset, one.length);
  }
  return edited;
}

t.test('edits laid in one pass leave what they leave one by one', (t) => {
  fc.assert(
    fc.property(pieces, fc.array(edit, { maxLength: 40 }), (before, edits) => {
      const base = SliceMap.from(before);
      const wanted = editedOneByOne(base, edits);
      const found = editSliceMap(base, edits);
      const bytes = bytesOf(found);
      if (found.size !== wanted.size || Buffer.compare(bytes, bytesOf(wanted)) !== 0) return false;
      if (found.crc32c !== undefined && found.crc32c !== crc32c(bytes)) return false;
      const live = (map: SliceMap) => [...liveBytesDelta(base, map)].sort(([a], [b]) => a - b);
      return JSON.stringify(live(found)) === JSON.stringify(live(wanted));
    }),
    { numRuns: 2000 }
  );
  t.pass('2000 programs');
  t.end();
});

t.test('many writes in falling order are one pass, and their checksum is known', (t) => {
  const edits = Array.from({ length: 2000 }, (_, index): SliceEdit => {
    return { type: 'write', offset: (1999 - index) * 3, pieces: [sliceOf(index % 20, index % 40, 2)] };
  });
  const map = editSliceMap(SliceMap.empty, edits);
  t.equal(map.size, 1999 * 3 + 2);
  t.equal(map.crc32c, crc32c(bytesOf(map)));
  t.end();
});
