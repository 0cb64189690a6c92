import type { ObjectHead, StoreCalls } from '@stampede/client';
import { BoundedMap } from './bounded-map.js';
import type { CacheStatus } from './cache-status.js';
import { CELL_BYTES, type DiskCache } from './disk-cache/index.js';

/** Bytes [offset, offset + length) of one version, asked for or there. */
interface Segment {
  readonly version: string;
  readonly offset: number;
  readonly length: number;
  bytes: Uint8Array | undefined;
  arrival: Promise<void> | undefined;
}

export interface BlockCacheOptions {
  readonly store: StoreCalls;
  /** Most bytes kept; what is being read comes on top, bounded by the requests of the kernel. */
  readonly limitBytes: number;
  readonly disk?: DiskCache | undefined;
}

export interface ReadRequest {
  readonly head: ObjectHead;
  readonly start: number;
  readonly end: number;
}

/** What one ranged read carries at most. */
export const SEGMENT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Bytes of committed versions that were read, by etag and therefore never stale; what was used longest ago goes first.
 * What is not here may be in the disk cache. Reads of the same bytes at the same time share one call.
 */
export class BlockCache {
  readonly #options: BlockCacheOptions;
  readonly #kept: BoundedMap<Segment, Segment>;
  /** Sorted by offset and disjoint. */
  readonly #versions = new Map<string, Segment[]>();
  #arrivingBytes = 0;
  #hitBytes = 0;
  #missBytes = 0;
  #diskHitBytes = 0;
  #diskMissBytes = 0;

  constructor(options: BlockCacheOptions) {
    this.#options = options;
    this.#kept = new BoundedMap({
      limit: options.limitBytes,
      bytesOf: (segment) => segment.length,
      onRemoved: (segment) => this.#forget(segment)
    });
  }

  get bytes(): number {
    return this.#kept.bytes + this.#arrivingBytes;
  }

  /** Bytes count as a hit when they are here by the time a program asks for them. */
  get statuses(): readonly CacheStatus[] {
    const { limitBytes, disk } = this.#options;
    const [hitBytes, missBytes] = [this.#hitBytes, this.#missBytes];
    const memory = { name: 'memory', hitBytes, missBytes, bytes: this.bytes, limitBytes } as const;
    if (!disk) return [memory];
    return [
      memory,
      {
        name: 'disk',
        hitBytes: this.#diskHitBytes,
        missBytes: this.#diskMissBytes,
        bytes: disk.usedBytes,
        entryCount: disk.fileCount
      }
    ];
  }

  /** Whether there is room to read `bytes` that nobody waits for yet. */
  hasRoomFor(bytes: number): boolean {
    return this.#arrivingBytes + bytes <= this.#options.limitBytes / 2;
  }

  /** Copies bytes of a version where the disk cache has them at hand. */
  readFromDisk(head: ObjectHead, start: number, into: Uint8Array): boolean {
    return this.#options.disk?.readNow(head, start, into) ?? false;
  }

  /** Copies [start, end) of the version into `into`. Fails with `PreconditionFailed` when it is no longer current. */
  async read(request: ReadRequest, into: Uint8Array): Promise<void> {
    const { start, end } = request;
    const segments = this.#segmentsOf(request);
    const missing = segments.filter((segment) => segment.bytes === undefined);
    if (missing.length === 0) this.#hitBytes += end - start;
    else this.#missBytes += end - start;
    if (missing.length > 0) await Promise.all(missing.map((segment) => segment.arrival));
    // What arrived is here even if the cache, being full, has let it go again: nothing is asked for twice.
    for (const segment of segments) {
      const from = Math.max(start, segment.offset);
      const to = Math.min(end, segment.offset + segment.length);
      into.set(segment.bytes!.subarray(from - segment.offset, to - segment.offset), from - start);
      this.#kept.get(segment);
    }
  }

  /** Asks for what of [start, end) is not there yet, without waiting. Failures show when somebody reads it. */
  prefetch(request: ReadRequest): void {
    for (const segment of this.#segmentsOf(request)) segment.arrival?.catch(() => undefined);
  }

  /** The segments that make up the range; gaps are asked for. */
  #segmentsOf({ head, start, end }: ReadRequest): Segment[] {
    const version = `${head.bucket}\0${head.key}\0${head.etag}\0${head.size}`;
    const known = this.#versions.get(version) ?? [];
    if (known.length === 0 && start < end) this.#versions.set(version, known);
    const found: Segment[] = [];
    let position = start;
    let index = firstEndingAfter(known, start);
    while (position < end) {
      const next = known[index];
      if (next && next.offset <= position) {
        found.push(next);
        position = next.offset + next.length;
      } else {
        // Segments begin and end with cells, so that the disk cache can keep them.
        const before = known[index - 1];
        const first = Math.max(
          position - (position % CELL_BYTES),
          before ? before.offset + before.length : 0
        );
        const last = Math.min(
          Math.max(end, Math.min(head.size, Math.ceil(end / CELL_BYTES) * CELL_BYTES)),
          next?.offset ?? Number.POSITIVE_INFINITY
        );
        const stop = Math.min(last, first + SEGMENT_BYTES_MAX);
        const segment = this.#ask(head, version, first, stop);
        known.splice(index, 0, segment);
        found.push(segment);
        position = stop;
      }
      index++;
    }
    return found;
  }

  #ask(head: ObjectHead, version: string, start: number, end: number): Segment {
    const segment: Segment = {
      version,
      offset: start,
      length: end - start,
      bytes: undefined,
      arrival: undefined
    };
    this.#arrivingBytes += segment.length;
    segment.arrival = this.#fetch(head, segment);
    return segment;
  }

  async #fetch(head: ObjectHead, segment: Segment): Promise<void> {
    const { disk } = this.#options;
    const { offset, length } = segment;
    let written: Promise<void> | undefined;
    try {
      const kept = await disk?.read(head, offset, length);
      const bytes = kept ?? (await this.#fetchFromStore(head, segment));
      if (!kept) written = (await disk?.keep(head, offset, bytes))?.done;
      if (kept) this.#diskHitBytes += length;
      else this.#diskMissBytes += length;
      segment.bytes = bytes;
      this.#kept.set(segment, segment);
    } catch (error) {
      this.#forget(segment);
      throw error;
    } finally {
      segment.arrival = undefined;
      // Reading ahead is no faster than the disk cache takes it: else parts would be missing there.
      if (written) void written.then(() => this.#arrived(length));
      else this.#arrived(length);
    }
  }

  #arrived(bytes: number): void {
    this.#arrivingBytes -= bytes;
  }

  async #fetchFromStore({ bucket, key, etag }: ObjectHead, { offset, length }: Segment): Promise<Uint8Array> {
    const { body } = await this.#options.store.objects.read({ bucket, key, offset, length, ifMatch: etag });
    // A body that shares a larger buffer would keep all of it alive.
    const isOwn = body.byteLength === body.buffer.byteLength;
    return padded(isOwn ? body : new Uint8Array(body), length);
  }

  #forget(segment: Segment): void {
    const known = this.#versions.get(segment.version);
    const index = known?.indexOf(segment) ?? -1;
    if (!known || index < 0) return;
    known.splice(index, 1);
    if (known.length === 0) this.#versions.delete(segment.version);
  }
}

/** A version that is shorter than its head said would otherwise be asked for again and again. */
function padded(body: Uint8Array, length: number): Uint8Array {
  if (body.byteLength === length) return body;
  const whole = new Uint8Array(length);
  whole.set(body.subarray(0, length));
  return whole;
}

function firstEndingAfter(segments: readonly Segment[], position: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const segment = segments[middle]!;
    if (segment.offset + segment.length <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}
