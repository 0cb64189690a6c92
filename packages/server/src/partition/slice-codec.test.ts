import fc from 'fast-check';
import t from 'tap';
import { extentId, isStoreError } from '../api/index.js';
import type { Piece, Slice } from './slice.js';
import { decodePieces, encodePieces } from './slice-codec.js';

const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.record({ length: fc.nat(2 ** 43) }),
  fc
    .tuple(
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.nat(2 ** 28),
      fc.nat(9),
      fc.nat(9),
      fc.option(fc.nat(0xffffffff))
    )
    .map(([extent, blockOffset, start, length, crc]) => ({
      extentId: extentId(extent % 5 === 0 ? extent : extent % 3),
      blockOffset,
      start,
      length,
      ...(crc !== null && { crc32c: crc })
    }))
);

t.test('what was encoded is decoded', async (t) => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      t.same(decodePieces(encodePieces(pieces)), pieces);
    }),
    { numRuns: 300, seed: 1 }
  );
  const largest = {
    extentId: extentId(Number.MAX_SAFE_INTEGER),
    blockOffset: 2 ** 51,
    start: 2 ** 52,
    length: 2 ** 52
  };
  t.same(decodePieces(encodePieces([largest])), [largest]);
});

t.test('damaged bytes are refused, or decoded as some pieces, but never loop or crash', async (t) => {
  fc.assert(
    fc.property(
      fc.array(piece, { minLength: 1, maxLength: 9 }),
      fc.nat(),
      fc.nat(255),
      fc.boolean(),
      (pieces, at, byte, isCut) => {
        const bytes = encodePieces(pieces);
        bytes[at % bytes.byteLength] = byte;
        try {
          decodePieces(isCut ? bytes.subarray(0, at % bytes.byteLength) : bytes);
        } catch (error) {
          if (!isStoreError(error, 'ChecksumMismatch')) throw error;
        }
      }
    ),
    { numRuns: 500, seed: 2 }
  );
  t.throws(() => decodePieces(Uint8Array.of(2, 0)), { code: 'ChecksumMismatch' });
  t.throws(() => decodePieces(Uint8Array.of(1, 0, 0)), { code: 'ChecksumMismatch' });
  t.throws(() => decodePieces(Uint8Array.of()), { code: 'ChecksumMismatch' });
});

t.test('a typical slice takes less than 16 bytes', async (t) => {
  const blocks = (count: number, length: number) =>
    [...Array(count).keys()].map(
      (index): Slice => ({
        extentId: extentId(1000 + Math.floor((index * length) / 2 ** 28)),
        blockOffset: 4096 + ((index * (length + 200)) % 2 ** 28),
        start: 120,
        length,
        crc32c: 0x80000000 + index
      })
    );
  const sequential = blocks(1024, 4 * 1024 * 1024);
  t.ok(encodePieces(sequential).byteLength / 1024 < 7, 'blocks in a row');
  const scattered = blocks(1024, 4096).map(({ crc32c: crc, ...slice }, index) => ({
    ...slice,
    blockOffset: (index * 7_654_321) % 2 ** 28,
    start: 100 + (index % 50),
    length: 1 + ((index * 37) % 4096),
    ...(index % 2 === 0 && { crc32c: crc! })
  }));
  t.ok(encodePieces(scattered).byteLength / 1024 < 16, 'small edits everywhere');
});
