import type { HolesResult, ObjectHead, StoreCalls } from '@stampede/client';

interface Page extends Pick<HolesResult, 'holes' | 'nextOffset'> {
  readonly etag: string;
  readonly offset: number;
}

/** Where a stored version has holes; remembers a page, as who asks goes through a file in order. */
export class StoredHoles {
  readonly #store: StoreCalls;
  readonly #bucket: string;
  #page: Page | undefined;

  constructor(store: StoreCalls, bucket: string) {
    this.#store = store;
    this.#bucket = bucket;
  }

  /** What is at `position`, which is in the object, and how far it goes on. */
  async at(head: ObjectHead, position: number): Promise<{ readonly isHole: boolean; readonly end: number }> {
    const { holes, nextOffset = head.size } = await this.#pageAt(head, position);
    for (const { offset, length } of holes) {
      if (position < offset) return { isHole: false, end: offset };
      if (position < offset + length) return { isHole: true, end: offset + length };
    }
    return { isHole: false, end: nextOffset };
  }

  async #pageAt({ key, etag }: ObjectHead, position: number): Promise<Page> {
    const known = this.#page;
    const isCovered =
      known?.etag === etag &&
      known.offset <= position &&
      position < (known.nextOffset ?? Number.POSITIVE_INFINITY);
    if (isCovered) return known;
    const asked = { bucket: this.#bucket, key, offset: position, ifMatch: etag };
    const { holes, nextOffset } = await this.#store.objects.holes(asked);
    const page = { etag, offset: position, holes, ...(nextOffset !== undefined && { nextOffset }) };
    this.#page = page;
    return page;
  }
}
