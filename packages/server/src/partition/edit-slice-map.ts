import { LaidPieces } from './laid-pieces.js';
import type { Piece } from './slice.js';
import type { SliceMap } from './slice-map.js';
import { lengthOfPieces } from './slice-map-pieces.js';

export type SliceEdit =
  /** Without an offset: at the end. */
  | { readonly type: 'write'; readonly offset?: number | undefined; readonly pieces: readonly Piece[] }
  | { readonly type: 'truncate'; readonly size: number }
  | { readonly type: 'punch'; readonly offset: number; readonly length: number };

/** A map after edits one after the other. Writes in a row are laid in one pass. */
export function editSliceMap(map: SliceMap, edits: Iterable<SliceEdit>): SliceMap {
  let edited = map;
  let { size } = map;
  let writes = new LaidPieces();
  const settle = (): void => {
    if (writes.isEmpty) return;
    edited = edited.layAll(writes.runs());
    writes = new LaidPieces();
  };
  for (const edit of edits) {
    if (edit.type === 'write') {
      const offset = edit.offset ?? size;
      const length = lengthOfPieces(edit.pieces);
      writes.lay(offset, edit.pieces);
      if (length > 0) size = Math.max(size, offset + length);
      continue;
    }
    settle();
    edited = edit.type === 'truncate' ? edited.truncate(edit.size) : edited.punch(edit.offset, edit.length);
    ({ size } = edited);
  }
  settle();
  return edited;
}
