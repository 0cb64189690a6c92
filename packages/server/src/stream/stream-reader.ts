import { type ExtentId, isStoreError, LIMITS, type MemberId, StoreError } from '../api/index.js';
import type { ExtentNodeApi, ScannedHead, ScanPage } from './extent-node-api.js';
import type { NodeDirectory } from './node-directory.js';
import type { BlockRange } from './stream-layer.js';
import type { ExtentView, FindExtentMessage, StreamManagerApi } from './stream-manager-api.js';

const PAGE_BYTES_FIRST = 1024 * 1024;
const PAGE_BYTES_MAX = 2 * 1024 * 1024;
/** For large blocks, of which only the head is wanted. */
const PAGE_BYTES_SPARSE = 2 * LIMITS.checksumChunkBytes;
/** Reads of the same part of an extent go to the same replica, whose system has it cached. */
const SPREAD_BYTES = 1024 * 1024;

/** Where extents are, from memory where somebody keeps that, unless what is remembered proved wrong. */
export interface ExtentFinder {
  findExtent(
    message: FindExtentMessage,
    options?: { readonly isKnownStale?: boolean }
  ): Promise<ExtentView | undefined>;
}

export interface StreamReaderOptions {
  readonly manager: ExtentFinder & Pick<StreamManagerApi, 'reportDamage'>;
  readonly nodes: NodeDirectory;
}

export interface ScanRange {
  readonly extentId: ExtentId;
  readonly start: number;
  readonly limit: number;
}

/** Reads verified bytes from whichever replica has them, and reports those that do not. */
export class StreamReader {
  readonly #options: StreamReaderOptions;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  async readBlock(range: BlockRange, options: { readonly signal?: AbortSignal } = {}): Promise<Uint8Array> {
    throwIfAborted(options.signal);
    const { replicas } = await this.#findExtent(range.extentId);
    const members = rotated(replicas, Math.floor(range.blockOffset / SPREAD_BYTES));
    return await this.#readAny({ ...range, ...options, members }, (node) => node.readBlock(range));
  }

  /** The blocks that start in [start, limit) of a sealed extent, page by page, the next one being read ahead. */
  async *scan({ extentId, start, limit }: ScanRange): AsyncIterable<readonly ScannedHead[]> {
    const extent = await this.#findExtent(extentId);
    let pageBytes = PAGE_BYTES_FIRST;
    let offset = start;
    if (offset >= limit) return;
    let reading = this.#readPage(extent, { extentId, start: offset, limit }, pageBytes);
    while (offset < limit) {
      const page = await reading;
      const advancedBytes = page.nextOffset - offset;
      pageBytes = advancedBytes > 2 * PAGE_BYTES_MAX ? PAGE_BYTES_SPARSE : PAGE_BYTES_MAX;
      offset = page.nextOffset;
      if (offset < limit) {
        reading = this.#readPage(extent, { extentId, start: offset, limit }, pageBytes);
        // Its failure is met at the next turn, unless the caller stops before.
        reading.catch(() => undefined);
      }
      yield page.blocks;
    }
  }

  /** At least one block, from the first replica that has it. */
  async #readPage({ replicas }: ExtentView, range: ScanRange, pageBytes: number): Promise<ScanPage> {
    const { extentId, start: offset, limit } = range;
    return await this.#readAny({ extentId, blockOffset: offset, members: replicas }, async (node) => {
      const page = await node.scan({ extentId, offset, limit, pageBytes });
      if (page.blocks.length > 0) return page;
      throw new StoreError('ChecksumMismatch', `Block at ${offset} of extent ${extentId} is damaged.`);
    });
  }

  async #findExtent(extentId: ExtentId): Promise<ExtentView> {
    const extent = await this.#options.manager.findExtent({ extentId });
    if (extent) return extent;
    throw new StoreError('ExtentNotFound', `Extent ${extentId} was deleted. Look the object up again.`);
  }

  /** Asks the replicas in turn, and those that gave bad bytes once more: a read can fail where the bytes are well. */
  async #readAny<Result>(query: ReadQuery, run: (node: ExtentNodeApi) => Promise<Result>): Promise<Result> {
    const { extentId, members, signal } = query;
    const failures = new Map<MemberId, unknown>();
    for (const memberId of [...members, ...members]) {
      if (failures.has(memberId) && !isBadRead(failures.get(memberId))) continue;
      throwIfAborted(signal);
      const call = { memberId, replicaCount: members.length, what: `Reading extent ${extentId}` };
      try {
        return await this.#options.nodes.call(call, run);
      } catch (error) {
        failures.set(memberId, error);
        this.#reportFailure(extentId, memberId, error);
      }
    }
    const latest = await this.#options.manager.findExtent({ extentId }, { isKnownStale: true });
    const hasMoved = latest?.replicas.some((memberId) => !failures.has(memberId)) ?? false;
    // A replica was made elsewhere meanwhile, and there can be no end of that for one read.
    if (latest && hasMoved && !query.hasMoved) {
      return await this.#readAny({ ...query, members: latest.replicas, hasMoved }, run);
    }
    throw readFailure(query, [...failures.values()], latest !== undefined);
  }

  /** The read goes on meanwhile: a stream manager may be looked for at length. The next bad read reports again. */
  #reportFailure(extentId: ExtentId, memberId: MemberId, error: unknown): void {
    if (!isBadRead(error) && !isStoreError(error, 'ExtentNotFound')) return;
    this.#options.manager.reportDamage({ extentId, memberId }).catch(() => undefined);
  }
}

interface ReadQuery {
  readonly extentId: ExtentId;
  readonly blockOffset: number;
  /** In the order in which they are asked. */
  readonly members: readonly MemberId[];
  readonly signal?: AbortSignal;
  /** These are not the members of the first try. */
  readonly hasMoved?: boolean;
}

function isBadRead(error: unknown): boolean {
  return isStoreError(error, 'ChecksumMismatch', 'DiskFailed');
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new StoreError('Cancelled', 'The caller gave the read up.', { cause: signal.reason });
}

function rotated(members: readonly MemberId[], by: number): readonly MemberId[] {
  if (members.length < 2) return members;
  const start = by % members.length;
  return [...members.slice(start), ...members.slice(0, start)];
}

/** Bad bytes everywhere, or no bytes at all, or a replica that may yet have good ones. */
function readFailure(
  { extentId, blockOffset }: Pick<BlockRange, 'extentId' | 'blockOffset'>,
  failures: readonly unknown[],
  isListed: boolean
): StoreError {
  const cause: unknown = failures[0];
  const place = `block at ${blockOffset} of extent ${extentId}`;
  const codes = failures.map((failure) => (isStoreError(failure) ? failure.code : 'InternalError'));
  if (!isListed) {
    return new StoreError('ExtentNotFound', `Extent ${extentId} was deleted. Look the object up again.`, {
      cause
    });
  }
  if (codes.every((code) => code === 'ChecksumMismatch' || code === 'ExtentNotFound')) {
    const message = `The ${place} is damaged or lost on every replica. Restore it from a backup.`;
    return new StoreError('ChecksumMismatch', message, { cause });
  }
  return new StoreError('ReplicaUnavailable', `No replica could give the ${place}. Try again later.`, {
    cause
  });
}
