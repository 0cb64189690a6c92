import {
  type CreateUploadInput,
  combineCrc32c,
  crc32c,
  LIMITS,
  type ObjectHead,
  type PutInput,
  type StoreCalls,
  StoreError
} from '@stampede/server/api';
import { cancelledError } from './errors.js';
import { onAbort } from './on-abort.js';
import { blocksOf, discardBody, type UploadBlock, type UploadBody } from './upload-blocks.js';

export interface UploadInput
  extends Pick<
    PutInput,
    'bucket' | 'key' | 'contentType' | 'userMetadata' | 'tags' | 'attributes' | 'ifMatch' | 'ifNoneMatch'
  > {
  readonly body: UploadBody;
  /** How many bytes the body gives, when known; another count is `InvalidArgument` and stores nothing. */
  readonly size?: number | undefined;
  /** Called after each block that the store has. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For each call, retries included; the upload as a whole has no deadline. */
  readonly deadlineMs?: number | undefined;
}

export interface UploadProgress {
  readonly storedBytes: number;
  /** As given, or the length of a `Uint8Array`. */
  readonly size?: number;
}

export interface UploadTuning {
  readonly blockBytes: number;
  readonly blocksInFlightMax: number;
}

export const UPLOAD_TUNING: UploadTuning = { blockBytes: 4 * 1024 * 1024, blocksInFlightMax: 6 };

/** Stores an object of any size; see `StoreClient.upload`. Holds one block more than are in flight, whatever the size. */
export async function upload(
  calls: StoreCalls,
  input: UploadInput,
  tuning: UploadTuning = UPLOAD_TUNING
): Promise<ObjectHead> {
  const { body } = input;
  const size = body instanceof Uint8Array ? body.length : input.size;
  const blocks = blocksOf(body, tuning.blockBytes);
  using stop = stopSignal(input.signal);
  try {
    if (body instanceof Uint8Array && body.length <= LIMITS.bodyBytesMax)
      return await putWhole(calls, input, [body]);
    const first = await firstBlocks(blocks, stop);
    if (first.isAll)
      return await putWhole(
        calls,
        input,
        first.blocks.map(({ bytes }) => bytes)
      );
    return await new BlockUpload(calls, input, { tuning, size, stop }).run(first.blocks, blocks);
  } catch (error) {
    // Not awaited: a body that never gives its next piece would never end either.
    blocks.return().catch(() => {});
    discardBody(body);
    throw error;
  }
}

async function putWhole(
  calls: StoreCalls,
  input: UploadInput,
  pieces: readonly Uint8Array[]
): Promise<ObjectHead> {
  const [only] = pieces;
  const body = pieces.length === 1 && only ? only : Buffer.concat(pieces);
  checkSize(input.size, body.length);
  const put = { ...describedBy(input), ...conditionsOf(input), body, crc32c: crc32c(body) };
  const head = await calls.objects.put(put, optionsOf(input, input.signal));
  input.onProgress?.({ storedBytes: body.length, size: body.length });
  return head;
}

/** Reads on until it is clear whether all bytes fit one call. */
async function firstBlocks(blocks: AsyncGenerator<UploadBlock, void>, stop: Stop) {
  const found: UploadBlock[] = [];
  let bytes = 0;
  while (bytes <= LIMITS.bodyBytesMax) {
    const next = await nextBlock(blocks, stop);
    if (!next) return { blocks: found, isAll: true };
    found.push(next);
    bytes += next.bytes.length;
  }
  return { blocks: found, isAll: false };
}

/** One upload in blocks: writes in parallel, then the commit; or the abort when something failed. */
class BlockUpload {
  readonly #calls: StoreCalls;
  readonly #input: UploadInput;
  readonly #tuning: UploadTuning;
  readonly #size: number | undefined;
  readonly #stop: Stop;
  readonly #flights = new Set<Promise<void>>();
  #uploadId = '';
  #offset = 0;
  #crc32c = 0;
  #storedBytes = 0;

  constructor(
    calls: StoreCalls,
    input: UploadInput,
    { tuning, size, stop }: { tuning: UploadTuning; size: number | undefined; stop: Stop }
  ) {
    this.#calls = calls;
    this.#input = input;
    this.#tuning = tuning;
    this.#size = size;
    this.#stop = stop;
  }

  async run(first: readonly UploadBlock[], rest: AsyncGenerator<UploadBlock, void>): Promise<ObjectHead> {
    const { bucket, key } = this.#input;
    const options = this.#options();
    const { uploadId } = await this.#calls.uploads.create(describedBy(this.#input), options);
    this.#uploadId = uploadId;
    try {
      for (const block of first) await this.#send(block);
      for (;;) {
        const block = await nextBlock(rest, this.#stop);
        if (!block) break;
        await this.#send(block);
      }
      await this.#landed(0);
      checkSize(this.#size, this.#offset);
      return await this.#calls.uploads.complete(
        { bucket, key, uploadId, crc32c: this.#crc32c, ...conditionsOf(this.#input) },
        options
      );
    } catch (error) {
      this.#stop.abort(error);
      await Promise.allSettled(this.#flights);
      // Its own failure changes nothing: an upload that stays behind expires.
      await this.#calls.uploads.abort({ bucket, key, uploadId }).catch(() => {});
      throw error;
    }
  }

  async #send(block: UploadBlock): Promise<void> {
    await this.#landed(this.#tuning.blocksInFlightMax - 1);
    const checksum = crc32c(block.bytes);
    const offset = this.#offset;
    this.#crc32c = combineCrc32c(this.#crc32c, checksum, block.bytes.length);
    this.#offset += block.bytes.length;
    const flight = this.#write(block, offset, checksum).finally(() => this.#flights.delete(flight));
    this.#flights.add(flight);
    flight.catch((error: unknown) => this.#stop.abort(error));
  }

  async #write({ bytes, release }: UploadBlock, offset: number, checksum: number): Promise<void> {
    const { bucket, key, onProgress } = this.#input;
    const write = { bucket, key, uploadId: this.#uploadId, offset, body: bytes, crc32c: checksum };
    await this.#calls.uploads.write(write, this.#options());
    this.#storedBytes += bytes.length;
    // Only after success: a call that failed may still be sending the buffer.
    release();
    onProgress?.({
      storedBytes: this.#storedBytes,
      ...(this.#size !== undefined && { size: this.#size })
    });
  }

  /** Waits until at most `count` writes are under way; throws what one of them threw. */
  async #landed(count: number): Promise<void> {
    while (this.#flights.size > count) await Promise.race(this.#flights);
    if (this.#stop.signal.aborted) throw this.#stop.error();
  }

  #options() {
    return optionsOf(this.#input, this.#stop.signal);
  }
}

/** The caller's signal and the upload's own in one, so that the first failure ends all calls. */
interface Stop extends Disposable {
  readonly signal: AbortSignal;
  abort(error: unknown): void;
  error(): unknown;
}

function stopSignal(outer: AbortSignal | undefined): Stop {
  const controller = new AbortController();
  const forward = () => controller.abort(outer?.reason);
  if (outer?.aborted) forward();
  const detach = outer ? onAbort(outer, forward) : () => {};
  let failure: unknown;
  return {
    signal: controller.signal,
    abort(error) {
      if (controller.signal.aborted) return;
      failure = error;
      controller.abort(error);
    },
    error: () => failure ?? cancelledError(controller.signal),
    [Symbol.dispose]: detach
  };
}

/** The next block, unless the upload ends first: the body may be a pipe that never gives more. */
async function nextBlock(
  blocks: AsyncGenerator<UploadBlock, void>,
  stop: Stop
): Promise<UploadBlock | undefined> {
  const { signal } = stop;
  let detach = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(stop.error());
    else detach = onAbort(signal, () => reject(stop.error()));
  });
  try {
    const next = await Promise.race([blocks.next(), aborted]);
    return next.done ? undefined : next.value;
  } finally {
    detach();
  }
}

function checkSize(expected: number | undefined, actual: number): void {
  if (expected !== undefined && expected !== actual)
    throw new StoreError(
      'InvalidArgument',
      `the body gave ${actual} bytes instead of the announced ${expected}; nothing was stored`
    );
}

function describedBy(input: UploadInput): CreateUploadInput {
  const { bucket, key, contentType, userMetadata, tags, attributes } = input;
  return { bucket, key, contentType, userMetadata, tags, attributes };
}

function conditionsOf({ ifMatch, ifNoneMatch }: UploadInput) {
  return { ifMatch, ifNoneMatch };
}

function optionsOf({ deadlineMs }: UploadInput, signal: AbortSignal | undefined) {
  return { ...(signal && { signal }), ...(deadlineMs !== undefined && { deadlineMs }) };
}
