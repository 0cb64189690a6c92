import fc from 'fast-check';
import t from 'tap';
import { combineCrc32c, crc32c, type ExtentId, extentId } from '../api/index.js';
import { isSlice, type Piece, type Slice } from './slice.js';
import { SliceMap } from './slice-map.js';
import { liveBytesDelta, liveBytesOf, sumLiveBytes } from './slice-map-live-bytes.js';
import { SLICE_PAGE_BYTES } from './slice-map-page.js';
import { coalescePieces } from './slice-map-pieces.js';

/** What one byte of a block is, so that a misplaced one shows. */
const byteAt = (extent: number, block: number, index: number) =>
  (extent * 31 + block * 7 + index * 13 + 1) % 251;

function bytesOf(pieces: Iterable<Piece>): Uint8Array {
  const bytes: number[] = [];
  for (const piece of pieces)
    for (let index = 0; index < piece.length; index++)
      bytes.push(isSlice(piece) ? byteAt(piece.extentId, piece.blockOffset, piece.start + index) : 0);
  return Uint8Array.from(bytes);
}

function sliceOf(extent: number, block: number, range: { start: number; length: number }): Slice {
  const slice = { extentId: extentId(extent), blockOffset: block, ...range };
  return { ...slice, crc32c: crc32c(bytesOf([slice])) };
}

const smallPieces = fc.array(
  fc.oneof(
    fc.record({ length: fc.integer({ min: 0, max: 12 }) }),
    fc
      .tuple(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 8 }),
        fc.nat(12),
        fc.boolean()
      )
      .map(([extent, block, start, length, isKnown]) => {
        const { crc32c: crc, ...bare } = sliceOf(extent, block * 100, { start, length });
        return isKnown || length === 0 ? { ...bare, crc32c: crc! } : bare;
      })
  ),
  { maxLength: 5 }
);

type Step =
  | { readonly type: 'lay'; readonly offset: number; readonly pieces: readonly Piece[] }
  | { readonly type: 'append'; readonly pieces: readonly Piece[] }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

const smallStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('lay' as const), offset: fc.nat(80), pieces: smallPieces }),
  fc.record({ type: fc.constant('append' as const), pieces: smallPieces }),
  fc.record({ type: fc.constant('truncate' as const), size: fc.nat(80) }),
  fc.record({ type: fc.constant('punch' as const), offset: fc.nat(80), length: fc.nat(40) })
);

function apply(map: SliceMap, step: Step): SliceMap {
  if (step.type === 'lay') return map.lay(step.offset, step.pieces);
  if (step.type === 'append') return map.append(step.pieces);
  if (step.type === 'truncate') return map.truncate(step.size);
  return map.punch(step.offset, step.length);
}

/** The same on a plain array, each element worth `unit` bytes. */
function applyToModel<Element>(model: Element[], step: Step, rules: ModelRules<Element>): void {
  const { unit, zero } = rules;
  const lay = (offset: number, elements: readonly Element[]) => {
    while (elements.length > 0 && model.length < offset) model.push(zero);
    for (const [index, element] of elements.entries()) model[offset + index] = element;
  };
  if (step.type === 'lay') lay(step.offset / unit, rules.elementsOf(step.pieces));
  else if (step.type === 'append') lay(model.length, rules.elementsOf(step.pieces));
  else if (step.type === 'truncate') {
    const count = step.size / unit;
    model.length = Math.min(model.length, count);
    while (model.length < count) model.push(zero);
  } else model.fill(zero, step.offset / unit, Math.min(model.length, (step.offset + step.length) / unit));
}

interface ModelRules<Element> {
  readonly unit: number;
  readonly zero: Element;
  readonly elementsOf: (pieces: readonly Piece[]) => readonly Element[];
}

t.test('a map has the bytes and the checksum that a plain array has', async (t) => {
  const rules = { unit: 1, zero: 0, elementsOf: (pieces: readonly Piece[]) => [...bytesOf(pieces)] };
  fc.assert(
    fc.property(fc.array(smallStep, { maxLength: 12 }), fc.nat(80), fc.nat(80), (steps, offset, length) => {
      let map = SliceMap.empty;
      const model: number[] = [];
      for (const step of steps) {
        const before = map;
        map = apply(map, step);
        applyToModel(model, step, rules);
        const bytes = Uint8Array.from(model);
        const pieces = [...map.pieces()];
        t.same(bytesOf(pieces), bytes);
        t.equal(map.size, model.length);
        t.same(coalescePieces(pieces), pieces, 'as few pieces as there can be');
        t.same(bytesOf(map.range(offset, length)), bytes.subarray(offset, offset + length));
        if (map.crc32c !== undefined) t.equal(map.crc32c, crc32c(bytes));
        for (const piece of pieces)
          if (isSlice(piece) && piece.crc32c !== undefined) t.equal(piece.crc32c, crc32c(bytesOf([piece])));
        const combined = map.withCombinedCrc().crc32c;
        const isKnown = pieces.every((piece) => !isSlice(piece) || piece.crc32c !== undefined);
        if (isKnown) t.equal(combined, crc32c(bytes));
        const expected = sumLiveBytes([liveBytesOf(pieces), negative(liveBytesOf(before.pieces()))]);
        t.same(liveBytesDelta(before, map), expected);
      }
    }),
    { numRuns: 300, seed: 1 }
  );
});

function negative(delta: ReadonlyMap<ExtentId, number>): ReadonlyMap<ExtentId, number> {
  return new Map([...delta].map(([extent, bytes]) => [extent, -bytes]));
}

/** Does not divide a page, so that slices lie across borders. */
const UNIT = 7 * 1024 * 1024 + 1;
const unitCrc = (token: string) => crc32c(Buffer.from(token));

function tokensOf(pieces: Iterable<Piece>): string[] {
  const tokens: string[] = [];
  let cut = 0;
  let token = '';
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const length = Math.min(piece.length - at, UNIT - cut);
      const name = isSlice(piece)
        ? `${piece.extentId}/${piece.blockOffset}/${piece.start + at - cut}`
        : 'hole';
      if (cut > 0 && name !== token) throw new Error(`${name} goes on after ${token}`);
      token = name;
      at += length;
      cut = (cut + length) % UNIT;
      if (cut === 0) tokens.push(token);
    }
  }
  return tokens;
}

const unitSlice = (extent: number, block: number, start: number, count: number): Slice => {
  const slice = { extentId: extentId(extent), blockOffset: block, start: start * UNIT, length: count * UNIT };
  const crc = tokensOf([slice]).reduce((sum, token) => combineCrc32c(sum, unitCrc(token), UNIT), 0);
  return { ...slice, crc32c: crc };
};

const unitPieces = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 60 }).map((count) => ({ length: count * UNIT })),
    fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.nat(3), fc.nat(3), fc.integer({ min: 1, max: 3 }))
      .map(([extent, block, start, count]) => unitSlice(extent, block, start, count))
  ),
  { maxLength: 12 }
);
const units = (max: number) => fc.nat(max).map((count) => count * UNIT);
const unitStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('lay' as const), offset: units(100), pieces: unitPieces }),
  fc.record({ type: fc.constant('append' as const), pieces: unitPieces }),
  fc.record({ type: fc.constant('truncate' as const), size: units(120) }),
  fc.record({ type: fc.constant('punch' as const), offset: units(100), length: units(60) })
);

t.test('a map of many pages, loaded when looked at, has what a plain array has', async (t) => {
  const rules = { unit: UNIT, zero: 'hole', elementsOf: tokensOf };
  fc.assert(
    fc.property(
      fc.array(unitStep, { maxLength: 8 }),
      fc.array(unitStep, { maxLength: 8 }),
      (first, second) => {
        const model: string[] = [];
        let made = SliceMap.empty;
        for (const step of first) {
          made = apply(made, step);
          applyToModel(model, step, rules);
        }
        const rows = new Map([...made.changedPages()].map((number) => [number, made.page(number).pieces]));
        const loaded = new Set<number>();
        const stored = SliceMap.stored({
          size: made.size,
          crc32c: made.crc32c,
          loadPage: (pageNumber) => {
            loaded.add(pageNumber);
            const pieces = rows.get(pageNumber)!;
            return pieces.every((piece) => !isSlice(piece)) ? undefined : pieces;
          }
        });
        t.equal(loaded.size, 0, 'nothing is loaded before it is needed');
        let map = stored;
        for (const step of second) {
          map = apply(map, step);
          applyToModel(model, step, rules);
          t.equal(map.size, model.length * UNIT);
        }
        const changed = new Set(map.changedPages());
        for (let pageNumber = 0; pageNumber < map.pageCount; pageNumber++)
          if (!changed.has(pageNumber)) t.equal(map.page(pageNumber), stored.page(pageNumber));
        t.same(tokensOf(map.pieces()), model);
        const expected = sumLiveBytes([liveBytesOf(map.pieces()), negative(liveBytesOf(made.pieces()))]);
        t.same(liveBytesDelta(stored, map), expected);
        t.same(tokensOf(map.concat(made).pieces()), [...model, ...tokensOf(made.pieces())]);
      }
    ),
    { numRuns: 200, seed: 2 }
  );
});

t.test('the checksum outlives cuts at the ends of pages', async (t) => {
  const parts = [...Array(60).keys()].map((index) => unitSlice(1 + (index % 3), index * 1000, 0, 1));
  const crcOf = (list: readonly Slice[]) =>
    list.reduce((sum, part) => combineCrc32c(sum, part.crc32c!, part.length), 0);
  const map = SliceMap.from(parts);
  t.equal(map.crc32c, crcOf(parts));
  const more = unitSlice(2, 99_000, 0, 1);
  t.equal(map.append([more]).crc32c, crcOf([...parts, more]));
  t.equal(map.lay(0, [more]).crc32c, crcOf([more, ...parts.slice(1)]));
  t.equal(map.truncate(59 * UNIT).crc32c, crcOf(parts.slice(0, 59)));
  t.equal(map.lay(1, [more]).crc32c, undefined, 'what is left of a slice has none');
  t.equal(map.concat(map).crc32c, crcOf([...parts, ...parts]));
});

t.test('an edit looks only at the pages that it touches', async (t) => {
  const size = 5 * 2 ** 40;
  const loaded: number[] = [];
  const map = SliceMap.stored({
    size,
    loadPage: (pageNumber) => {
      loaded.push(pageNumber);
      return undefined;
    }
  });
  const slice = sliceOf(7, 100, { start: 3, length: 4096 });
  const edited = map.lay(1000 * SLICE_PAGE_BYTES - 2048, [slice]).punch(5000 * SLICE_PAGE_BYTES, 1);
  t.same(
    loaded.toSorted((a, b) => a - b),
    [999, 1000, 5000]
  );
  t.same([...edited.changedPages()], [999, 1000, 5000]);
  t.same([...liveBytesDelta(map, edited)], [[7, 4096]]);
  t.equal(edited.truncate(10).truncate(size).punch(0, size).size, size);
  t.same([...edited.truncate(10).truncate(size).range(5, size)], [{ length: size - 5 }]);
});
