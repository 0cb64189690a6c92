import fc from 'fast-check';
import t from 'tap';
import { extentId } from '../api/index.js';
import type { Slice } from './slice.js';
import { decodePieces } from './slice-codec.js';
import { SliceMap } from './slice-map.js';
import { coalescePieces } from './slice-map-pieces.js';
import {
  INLINE_PIECES_MAX,
  openSliceMap,
  type SliceLayout,
  type SlicePageRow,
  storeSliceMap
} from './slice-pages.js';

const MIB = 1024 * 1024;

/** Rows as a partition's index would hold them, and one record. */
class PageRows {
  readonly rows = new Map<string, Uint8Array>();
  readonly loaded: number[] = [];
  layout: SliceLayout = { type: 'inline', pieces: [] };
  size = 0;
  crc32c: number | undefined = 0;
  #nextLayoutId = 1;

  open(): SliceMap {
    return openSliceMap(this, (layoutId, pageNumber) => {
      this.loaded.push(pageNumber);
      return this.rows.get(`${layoutId}/${pageNumber}`);
    });
  }

  store(before: SliceMap, map: SliceMap): readonly SlicePageRow[] {
    const stored = storeSliceMap({
      before: { layout: this.layout, map: before },
      map,
      newLayoutId: this.#nextLayoutId++
    });
    for (const row of stored.rows)
      if (row.value) this.rows.set(`${row.layoutId}/${row.pageNumber}`, row.value);
      else this.rows.delete(`${row.layoutId}/${row.pageNumber}`);
    this.layout = stored.layout;
    this.size = map.size;
    this.crc32c = map.crc32c;
    return stored.rows;
  }
}

const sliceAt = (block: number, length: number, crc32c?: number): Slice => ({
  extentId: extentId(1 + Math.floor(block / 60)),
  blockOffset: (block % 60) * 5 * MIB,
  start: 100,
  length,
  ...(crc32c !== undefined && { crc32c })
});

t.test('edits through stored pages give the same map as edits in memory', async (t) => {
  const step = fc.tuple(fc.constantFrom('lay', 'truncate', 'punch', 'append'), fc.nat(300), fc.nat(90));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const index = new PageRows();
      let model = SliceMap.empty;
      let block = 0;
      for (const [type, where, count] of steps) {
        const pieces = [...Array(count).keys()].map((i) => sliceAt(block++, 1 + ((i * MIB) % 4_000_003), i));
        const change = (map: SliceMap) => {
          if (type === 'lay') return map.lay(where * MIB, pieces);
          if (type === 'append') return map.append(pieces);
          return type === 'truncate' ? map.truncate(where * MIB) : map.punch(where * MIB, count * MIB);
        };
        const before = index.open();
        index.store(before, change(before));
        model = change(model);
        const opened = index.open();
        t.same(coalescePieces(opened.pieces()), coalescePieces(model.pieces()));
        t.equal(opened.crc32c, model.crc32c);
        t.equal(opened.size, model.size);
        const used = index.layout.type === 'paged' ? index.layout.layoutId : 0;
        for (const [name, row] of index.rows) {
          t.equal(Number(name.split('/')[0]), used, 'no row of a layout that is gone');
          t.ok(Number(name.split('/')[1]) < opened.pageCount, 'no row past the end');
          t.ok(
            decodePieces(row).some((piece) => 'extentId' in piece),
            'no row for a hole'
          );
        }
      }
    }),
    { numRuns: 100, seed: 3 }
  );
});

t.test('few pieces are inline, many are paged, and half as many are inline again', async (t) => {
  const index = new PageRows();
  const pieces = [...Array(INLINE_PIECES_MAX + 1).keys()].map((block) => sliceAt(block * 2, 1000, 1));
  index.store(index.open(), SliceMap.from(pieces.slice(1)));
  t.equal(index.layout.type, 'inline');
  let before = index.open();
  index.store(before, before.append(pieces.slice(0, 1)));
  t.same(index.layout, { type: 'paged', layoutId: 2 });
  t.equal(index.rows.size, 1);
  before = index.open();
  index.store(before, before.truncate(20_000));
  t.equal(index.layout.type, 'paged');
  before = index.open();
  index.store(before, before.truncate(16_000));
  t.equal(index.layout.type, 'inline');
  t.equal(index.rows.size, 0);
});

t.test('a small edit of a large object reads and writes one page', async (t) => {
  const index = new PageRows();
  index.store(
    index.open(),
    SliceMap.from([...Array(2560).keys()].map((block) => sliceAt(block, 4 * MIB, block)))
  );
  t.equal(index.rows.size, 160);
  const before = index.open();
  const rows = index.store(before, before.lay(1000 * MIB, [sliceAt(9999, 4096, 5)]));
  t.same(index.loaded, [15]);
  t.same(
    rows.map((row) => row.pageNumber),
    [15]
  );
  index.loaded.length = 0;
  t.equal(index.open().range(64 * 16 * MIB - 1, 2).length, 2);
  t.same(index.loaded, [15, 16]);
});
