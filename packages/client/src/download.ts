import { Readable } from 'node:stream';
import {
  combineCrc32c,
  crc32c,
  isStoreError,
  LIMITS,
  type ObjectHead,
  type ReadInput,
  type ReadResult,
  type StoreCalls,
  StoreError
} from '@stampede/server/api';

export interface DownloadInput extends Pick<ReadInput, 'bucket' | 'key' | 'ifMatch' | 'ifNoneMatch'> {
  /** Where to begin, in bytes. Default 0. */
  readonly offset?: number | undefined;
  /** How many bytes at most. Default: to the end. */
  readonly length?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For each call, retries included; the download as a whole has no deadline. */
  readonly deadlineMs?: number | undefined;
}

export interface Download {
  readonly head: ObjectHead;
  readonly body: DownloadBody;
}

export interface DownloadTuning {
  readonly rangeBytes: number;
  readonly rangesInFlightMax: number;
}

export const DOWNLOAD_TUNING: DownloadTuning = { rangeBytes: 4 * 1024 * 1024, rangesInFlightMax: 6 };

/** Reads of one range until its bytes match their checksum. */
const RANGE_TRIES_MAX = 3;

/**
 * Starts to read an object; see `StoreClient.download`. The first range is read at once, the others as the body is
 * consumed, so that a slow consumer holds `rangesInFlightMax` ranges at most.
 */
export async function download(
  calls: StoreCalls,
  input: DownloadInput,
  tuning: DownloadTuning = DOWNLOAD_TUNING
): Promise<Download> {
  const offset = input.offset ?? 0;
  const length = Math.min(tuning.rangeBytes, LIMITS.bodyBytesMax, input.length ?? Number.POSITIVE_INFINITY);
  const { bucket, key, ifMatch, ifNoneMatch } = input;
  const firstRead = { bucket, key, ifMatch, ifNoneMatch, offset, length };
  const first = await readVerified(calls, firstRead, callOptionsOf(input, input.signal));
  const end = Math.max(offset, Math.min(first.head.size, offset + (input.length ?? first.head.size)));
  checkLength(first, Math.min(length, end - offset));
  return { head: first.head, body: new DownloadBody({ calls, input, tuning, first, offset, end }) };
}

interface DownloadPlan {
  readonly calls: StoreCalls;
  readonly input: DownloadInput;
  readonly tuning: DownloadTuning;
  readonly first: ReadResult;
  readonly offset: number;
  readonly end: number;
}

/** The bytes of a download, in order, to be consumed once. Ending the loop early ends the reads. */
export class DownloadBody implements AsyncIterable<Uint8Array> {
  #plan: DownloadPlan | undefined;
  /** How many bytes there will be. */
  readonly length: number;

  constructor(plan: DownloadPlan) {
    this.#plan = plan;
    this.length = plan.end - plan.offset;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const plan = this.#plan;
    if (!plan) throw new StoreError('InvalidArgument', 'a body is consumed once; download again');
    this.#plan = undefined;
    return ranges(plan);
  }

  /** All bytes in one buffer: for objects that fit memory. */
  async toBuffer(): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(this.length);
    let filled = 0;
    for await (const piece of this) {
      buffer.set(piece, filled);
      filled += piece.length;
    }
    return buffer;
  }

  /** As a Node stream, with its back-pressure. */
  toReadable(): Readable {
    return Readable.from(this, { objectMode: false });
  }
}

async function* ranges({
  calls,
  input,
  tuning,
  first,
  offset,
  end
}: DownloadPlan): AsyncGenerator<Uint8Array> {
  const { bucket, key } = input;
  const { head } = first;
  const stop = new AbortController();
  const signal = input.signal ? AbortSignal.any([input.signal, stop.signal]) : stop.signal;
  const window: Promise<ReadResult>[] = [Promise.resolve(first)];
  let nextOffset = offset + first.body.length;
  const isWhole = offset === 0 && end === head.size;
  let checksum = 0;
  let given = offset;
  try {
    while (window.length > 0) {
      while (window.length < tuning.rangesInFlightMax && nextOffset < end) {
        const length = Math.min(tuning.rangeBytes, end - nextOffset);
        const read = { bucket, key, ifMatch: head.etag, offset: nextOffset, length };
        const range = readPinned(calls, read, callOptionsOf(input, signal));
        // It is awaited later, or never when the consumer stops.
        range.catch(() => {});
        window.push(range);
        nextOffset += length;
      }
      const range = await window.shift()!;
      checksum = combineCrc32c(checksum, range.crc32c, range.body.length);
      given += range.body.length;
      if (given === end && isWhole) checkWhole(head, checksum);
      if (range.body.length > 0) yield range.body;
    }
  } finally {
    stop.abort();
  }
}

type PinnedRead = ReadInput & { readonly length: number };
type Options = Parameters<StoreCalls['objects']['read']>[1];

async function readPinned(calls: StoreCalls, read: PinnedRead, options: Options): Promise<ReadResult> {
  try {
    const result = await readVerified(calls, read, options);
    checkLength(result, read.length);
    return result;
  } catch (error) {
    if (!isStoreError(error, 'PreconditionFailed')) throw error;
    throw new StoreError(
      'PreconditionFailed',
      `${read.key} was replaced while it was being read; download it again`,
      { cause: error }
    );
  }
}

/** Reads a range again when its bytes are not those the store sent. */
async function readVerified(calls: StoreCalls, read: ReadInput, options: Options): Promise<ReadResult> {
  for (let tries = 1; ; tries++) {
    const result = await calls.objects.read(read, options);
    if (crc32c(result.body) === result.crc32c) return result;
    if (tries >= RANGE_TRIES_MAX)
      throw new StoreError(
        'ChecksumMismatch',
        `${read.key} from byte ${read.offset ?? 0} arrived damaged ${tries} times; check the network and memory of this machine`
      );
  }
}

function checkLength({ head, body }: ReadResult, expected: number): void {
  if (body.length !== expected)
    throw new StoreError(
      'ChecksumMismatch',
      `${head.key}: the store sent ${body.length} bytes where ${expected} were asked for`
    );
}

function checkWhole({ key, crc32c: expected }: ObjectHead, checksum: number): void {
  if (expected !== undefined && expected !== checksum)
    throw new StoreError(
      'ChecksumMismatch',
      `the bytes of ${key} are not those that were stored: their checksum is ${checksum}, not ${expected}`
    );
}

function callOptionsOf({ deadlineMs }: DownloadInput, signal: AbortSignal | undefined) {
  return { ...(signal && { signal }), ...(deadlineMs !== undefined && { deadlineMs }) };
}
