import { HOLE_PAGE, type SliceMapPage } from './slice-map-page.js';

type Chunk = readonly (SliceMapPage | undefined)[];

const CHUNK_PAGES = 256;
const UNCHANGED_CHUNK: Chunk = new Array<undefined>(CHUNK_PAGES).fill(undefined);
const HOLE_CHUNK: Chunk = new Array<SliceMapPage>(CHUNK_PAGES).fill(HOLE_PAGE);

/**
 * The pages of a slice map by number; `undefined` = as its source has it. Never changes; a changed copy shares all
 * chunks of 256 pages that were not touched, so that an edit of the largest object copies a few KiB.
 */
export class SliceMapTable {
  static readonly empty = new SliceMapTable(0, []);

  readonly pageCount: number;
  readonly #chunks: readonly Chunk[];

  private constructor(pageCount: number, chunks: readonly Chunk[]) {
    this.pageCount = pageCount;
    this.#chunks = chunks;
  }

  static unchanged(pageCount: number): SliceMapTable {
    const chunks = new Array<Chunk>(Math.ceil(pageCount / CHUNK_PAGES)).fill(UNCHANGED_CHUNK);
    return new SliceMapTable(pageCount, chunks);
  }

  get(pageNumber: number): SliceMapPage | undefined {
    return this.#chunks[Math.floor(pageNumber / CHUNK_PAGES)]?.[pageNumber % CHUNK_PAGES];
  }

  /** With the given pages in place; those past the end extend the table and must leave no gap. */
  with(pages: ReadonlyMap<number, SliceMapPage>): SliceMapTable {
    const chunks = this.#chunks.slice();
    const copied = new Map<number, (SliceMapPage | undefined)[]>();
    let pageCount = this.pageCount;
    for (const [pageNumber, page] of pages) {
      const chunkNumber = Math.floor(pageNumber / CHUNK_PAGES);
      let chunk = copied.get(chunkNumber);
      if (!chunk) {
        chunk = (chunks[chunkNumber] ?? UNCHANGED_CHUNK).slice();
        copied.set(chunkNumber, chunk);
        chunks[chunkNumber] = chunk;
      }
      chunk[pageNumber % CHUNK_PAGES] = page;
      pageCount = Math.max(pageCount, pageNumber + 1);
    }
    return new SliceMapTable(pageCount, chunks);
  }

  /** With full pages of hole at [start, end); end may lie past the table's, start may not. */
  withHoles(start: number, end: number): SliceMapTable {
    const edges = new Map<number, SliceMapPage>();
    const chunks = this.#chunks.slice();
    for (let pageNumber = start; pageNumber < end; ) {
      if (pageNumber % CHUNK_PAGES === 0 && pageNumber + CHUNK_PAGES <= end) {
        chunks[pageNumber / CHUNK_PAGES] = HOLE_CHUNK;
        pageNumber += CHUNK_PAGES;
      } else edges.set(pageNumber++, HOLE_PAGE);
    }
    return new SliceMapTable(Math.max(this.pageCount, end), chunks).with(edges);
  }

  truncated(pageCount: number): SliceMapTable {
    if (pageCount >= this.pageCount) return this;
    return new SliceMapTable(pageCount, this.#chunks.slice(0, Math.ceil(pageCount / CHUNK_PAGES)));
  }

  /** Numbers of the pages that are not as the source has them, ascending. */
  *changedPages(): Generator<number> {
    for (const [chunkNumber, chunk] of this.#chunks.entries()) {
      if (chunk === UNCHANGED_CHUNK) continue;
      const end = Math.min(CHUNK_PAGES, this.pageCount - chunkNumber * CHUNK_PAGES);
      for (let index = 0; index < end; index++) if (chunk[index]) yield chunkNumber * CHUNK_PAGES + index;
    }
  }

  /** Numbers of the pages of this table that `other`, of the same source, has not or has otherwise. */
  *pagesUnlike(other: SliceMapTable): Generator<number> {
    for (const [chunkNumber, chunk] of this.#chunks.entries()) {
      const start = chunkNumber * CHUNK_PAGES;
      const end = Math.min(start + CHUNK_PAGES, this.pageCount);
      if (chunk === other.#chunks[chunkNumber] && end <= other.pageCount) continue;
      for (let pageNumber = start; pageNumber < end; pageNumber++)
        if (pageNumber >= other.pageCount || this.get(pageNumber) !== other.get(pageNumber)) yield pageNumber;
    }
  }
}
