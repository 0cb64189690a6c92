import { type ExtentId, isStoreError, LIMITS, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { AppendBlock, BlockLocation, OwnedStream } from '../stream/index.js';
import { ApplyContext } from './apply-context.js';
import { applyMutation, isPrefixMutation, loadFor, type PrefixMutation } from './apply-mutation.js';
import { BodyPieces, leadingBlocks, type StoredBytes } from './body-pieces.js';
import type { ChangeHistory } from './change-history.js';
import { CommitLog } from './commit-log.js';
import { GrowingBytes } from './growing-bytes.js';
import { KeyLocks } from './key-locks.js';
import type { LiveBytes } from './live-bytes.js';
import { encodeLogBlock } from './log-block-format.js';
import type { Mutation, MutationBody } from './mutation.js';
import type { MutationRequest } from './mutation-request.js';
import type { IndexPosition, PartitionIndex } from './partition-index.js';
import {
  applyPrefixStep,
  encodePrefixChange,
  eventOf,
  PREFIX_STEP_ROWS,
  type PrefixChange,
  rangesOf,
  resultOf,
  sourceOf
} from './prefix-change.js';
import { ReadGate } from './read-gate.js';
import type { RequestTable } from './request-table.js';
import { prefixChangeRow } from './row-key.js';
import { RowView } from './row-view.js';
import { spaceUseOf } from './space-use-of.js';
import type { UploadContents } from './upload-contents.js';

export interface RangePartitionOptions {
  readonly logId: string;
  readonly clock: Clock;
  readonly log: OwnedStream;
  readonly index: PartitionIndex;
  readonly liveBytes: LiveBytes;
  readonly requests: RequestTable;
  readonly changes: ChangeHistory;
  /** Told of each mutation that was just made, in their order; not of those that are replayed. */
  readonly onMutation?: ((body: MutationBody) => void) | undefined;
  /** Whether bytes of objects must be refused, so that what frees space can still be logged. */
  readonly isFull: () => boolean;
  /** The partition cannot go on; it must be loaded anew. */
  readonly onFailure: (cause: unknown) => void;
}

interface Applicable {
  readonly sequence: number;
  readonly mutation: Mutation;
  readonly location: BlockLocation;
  /** Bytes of the block before those of objects. */
  readonly headBytes: number;
  readonly contents?: UploadContents | undefined;
}

const RECORD_OVERHEAD_BYTES = 64;

/**
 * The keys of one range with everything that happens to them, in one order. A mutation is decided on what the earlier
 * ones left, appended to the commit log, applied to the index when it is durable, and only then answered.
 */
export class RangePartition {
  readonly index: PartitionIndex;
  readonly liveBytes: LiveBytes;
  readonly changes: ChangeHistory;
  readonly view: RowView;
  readonly reads = new ReadGate();
  readonly growing = new GrowingBytes();
  readonly #options: RangePartitionOptions;
  readonly #log: CommitLog;
  readonly #locks = new KeyLocks();
  readonly #running = new Map<string, Promise<unknown>>();
  #inFlightCount = 0;
  #idleWaiters: (() => void)[] = [];
  #sequence: number;
  #failure: StoreError | undefined;
  /** What became of some appends is unknown. */
  #hasLostLog = false;
  /** Bytes of mutations, without those of objects, since the last checkpoint. */
  recordBytes = 0;

  constructor(options: RangePartitionOptions) {
    this.#options = options;
    this.index = options.index;
    this.liveBytes = options.liveBytes;
    this.changes = options.changes;
    this.view = new RowView((key) => options.index.get(key));
    this.#log = new CommitLog(options.log);
    this.#sequence = options.index.position?.sequence ?? 0;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** An etag that no other version has. */
  newEtag(sequence: number): string {
    const log = this.#options.logId.replaceAll('-', '').slice(0, 16);
    return `${log}${sequence.toString(16).padStart(16, '0')}-1`;
  }

  get logStream(): OwnedStream {
    return this.#log.stream;
  }

  /**
   * Makes a mutation; durable and visible when it resolves. With a request id that was answered before it gives that
   * answer again.
   */
  async mutate<Result, Loaded = undefined>(request: MutationRequest<Loaded>): Promise<Result> {
    const { requestId } = request;
    if (requestId === undefined) return (await this.#mutate(request)) as Result;
    for (;;) {
      const running = this.#running.get(requestId);
      if (!running) break;
      // When the other one fails, this one is judged by itself.
      const outcome = await running.then((answer) => ({ answer })).catch(() => undefined);
      if (outcome) return outcome.answer as Result;
    }
    const known = this.#options.requests.find(requestId);
    if (known) return known.answer as Result;
    const running = this.#mutate(request);
    this.#running.set(requestId, running);
    try {
      return (await running) as Result;
    } finally {
      this.#running.delete(requestId);
    }
  }

  /** Refuses what comes, with the reason; ends watches. */
  fail(reason: StoreError): void {
    this.#failure ??= reason;
    this.changes.close(reason);
  }

  /** Waits for what is in flight. */
  async idle(): Promise<void> {
    if (this.#inFlightCount > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** @throws StoreError why the partition does not serve. */
  assertServing(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Forgets the answers that nobody asks for any more. */
  async expireRequests(): Promise<void> {
    await this.#options.requests.expire();
  }

  /** Applies what the log has and the index has not. */
  async replay(applicable: Omit<Applicable, 'contents'>): Promise<void> {
    this.#sequence = applicable.sequence;
    const contents = await loadFor(this.index, applicable.mutation.body);
    await this.#apply({ ...applicable, contents });
    if (this.index.isCrowded) await this.index.flushed();
  }

  /** Begins a new extent of the log, so that the next checkpoint can give the one before back. */
  async rollLog(): Promise<void> {
    this.assertServing();
    await this.logStream.sealOpenExtent();
    const { extentId } = await this.#storeBytes(EMPTY, 'frees');
    this.liveBytes.unpin(extentId);
  }

  /** Finishes a change of a prefix that an earlier life began. */
  async resume(change: PrefixChange): Promise<void> {
    await this.#runPrefixChange(change);
  }

  async #mutate<Loaded>(request: MutationRequest<Loaded>): Promise<unknown> {
    this.#admit(request);
    this.#inFlightCount += 1;
    let pinned: readonly ExtentId[] = [];
    try {
      if (this.index.isCrowded) await this.index.flushed();
      const body = await this.#storeLeading(request.body ?? EMPTY, request.signal);
      pinned = body.extentIds;
      const release = await this.#locks.acquire({ ...request.locks, signal: request.signal });
      try {
        return await this.#decideAndAppend(request, body);
      } finally {
        release();
      }
    } finally {
      // The log may hold a mutation that points to them: only the next load knows.
      if (!this.#hasLostLog) for (const id of pinned) this.liveBytes.unpin(id);
      this.#inFlightCount -= 1;
      if (this.#inFlightCount === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
    }
  }

  #admit({ body, isReclaiming }: Pick<MutationRequest, 'body' | 'isReclaiming'>): void {
    this.assertServing();
    if (body && body.byteLength > 0 && !isReclaiming && this.#options.isFull())
      throw new StoreError('NoSpace', 'The disks of the store are full. Delete something, or add disks.');
    const { failure } = this.index;
    if (failure !== undefined) {
      if (isStoreError(failure, 'NoSpace'))
        throw new StoreError('NoSpace', 'The disk of the index is full. Free space.', { cause: failure });
      throw new StoreError('ServiceUnavailable', 'The index cannot be written now.', { cause: failure });
    }
    if (this.#inFlightCount >= LIMITS.mutationsInFlightMax)
      throw new StoreError('SlowDown', 'Too many changes are under way. Try again shortly.', {
        retryAfterMs: 50
      });
  }

  async #decideAndAppend<Loaded>(request: MutationRequest<Loaded>, body: BodyPieces): Promise<unknown> {
    const { requestId, signal } = request;
    const loaded = (await request.load?.(body)) as Loaded;
    signal?.throwIfAborted();
    this.assertServing();
    // From here to the append nothing else runs.
    const sequence = this.#sequence + 1;
    const atMs = this.#options.clock.nowMs();
    const decided = this.#options.requests.judged(requestId, () =>
      request.decide({ sequence, atMs, view: this.view, loaded, body })
    );
    if ('answer' in decided) return decided.answer;
    const { mutation: mutationBody, growth, contents } = decided;
    const mutation: Mutation = { atMs, body: mutationBody, ...(requestId !== undefined && { requestId }) };
    const { rest } = body;
    const { prefix, headBytes } = encodeLogBlock(mutation, rest.byteLength);
    if (growth) this.growing.add(growth.bucket, growth.bytes);
    const hasBytes = rest.byteLength > 0;
    const use = hasBytes && !request.isReclaiming ? 'bytes' : spaceUseOf(mutationBody);
    const block = { sequence, parts: hasBytes ? [prefix, rest] : [prefix], use };
    try {
      return await this.#append(block, (location) => {
        const answer = this.#apply({ sequence, mutation, location, headBytes, contents });
        this.#options.onMutation?.(mutationBody);
        return answer;
      });
    } finally {
      if (growth) this.growing.add(growth.bucket, -growth.bytes);
    }
  }

  async #append<Result>(
    block: AppendBlock,
    apply: (location: BlockLocation) => Result | Promise<Result>
  ): Promise<Result> {
    this.#sequence = block.sequence;
    let isDurable = false;
    try {
      return await this.#log.append({
        ...block,
        apply: (location) => {
          isDurable = true;
          return apply(location);
        }
      });
    } catch (cause) {
      // Nothing was stored, and the stream goes on.
      if (!isDurable && isStoreError(cause, 'NoSpace')) throw cause;
      // Stored but not applied, or nobody knows: the log says it when the partition is loaded anew.
      this.#hasLostLog = true;
      this.#options.onFailure(cause);
      throw new StoreError(
        'ServiceUnavailable',
        'The partition lost its log during the call and is loaded anew. Try again.',
        { cause }
      );
    }
  }

  /** Puts what does not fit beside the mutation into the log first; pinned until the mutation is applied. */
  async #storeLeading(body: Uint8Array, signal: AbortSignal | undefined): Promise<BodyPieces> {
    if (body.byteLength <= LIMITS.blockBytesMax) return new BodyPieces(body);
    signal?.throwIfAborted();
    const stored = await Promise.allSettled([...leadingBlocks(body)].map((part) => this.#storeBytes(part)));
    const done = stored.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const failed = stored.find((outcome) => outcome.status === 'rejected');
    if (!failed) return new BodyPieces(body, done);
    for (const { extentId } of done) this.liveBytes.unpin(extentId);
    throw failed.reason;
  }

  async #storeBytes(part: Uint8Array, use?: 'frees'): Promise<StoredBytes> {
    const mutation: Mutation = { atMs: this.#options.clock.nowMs(), body: { type: 'bytes' } };
    const { prefix, headBytes } = encodeLogBlock(mutation, part.byteLength);
    const sequence = this.#sequence + 1;
    return await this.#append({ sequence, parts: [prefix, part], use }, (location) => {
      const { extentId, offset } = location;
      this.liveBytes.pin(extentId);
      this.#apply({ sequence, mutation, location, headBytes });
      return { extentId, blockOffset: offset, start: headBytes, length: part.byteLength };
    });
  }

  /** One synchronous step for all but changes of a prefix, whose promise is that of their end. */
  #apply({ sequence, mutation, location, headBytes, contents }: Applicable): unknown {
    const { atMs, requestId, body } = mutation;
    this.recordBytes += headBytes + RECORD_OVERHEAD_BYTES;
    const position: IndexPosition = {
      sequence,
      extentId: location.extentId,
      offset: location.offset,
      logId: this.#options.logId
    };
    if (isPrefixMutation(body)) return this.#startPrefixChange({ sequence, atMs, requestId, body }, position);
    const context = new ApplyContext({ index: this.index, sequence, atMs, location, headBytes });
    const answer = applyMutation(context, body, contents);
    this.#commit(context, { requestId, answer, position });
    this.changes.add(context.events);
    return answer;
  }

  #commit(
    context: ApplyContext,
    made: {
      readonly requestId?: string | undefined;
      readonly answer?: unknown;
      readonly position?: IndexPosition;
    }
  ): void {
    const { rows, liveBytes } = context;
    this.liveBytes.apply(liveBytes, rows);
    if (made.requestId !== undefined) this.#options.requests.add(made.requestId, made.answer, context);
    this.index.apply(rows, made.position);
  }

  #startPrefixChange(
    started: Pick<PrefixChange, 'sequence' | 'atMs' | 'requestId'> & { readonly body: PrefixMutation },
    position: IndexPosition
  ): Promise<unknown> {
    const change: PrefixChange = { ...started, next: sourceOf(started.body).start, objectCount: 0 };
    this.index.apply(new Map([[prefixChangeRow(change.sequence), encodePrefixChange(change)]]), position);
    return this.#runPrefixChange(change);
  }

  async #runPrefixChange(started: PrefixChange): Promise<unknown> {
    const { body } = started;
    const answer = await this.reads.change(rangesOf(body), async () => {
      const { end } = sourceOf(body);
      let change = started;
      for (let isLast = false; !isLast; ) {
        const rows = await this.index.range({ start: change.next, end }, PREFIX_STEP_ROWS);
        isLast = rows.length < PREFIX_STEP_ROWS;
        change = this.#applyPrefixStep(change, rows, isLast);
        if (this.index.isCrowded) await this.index.flushed();
      }
      return resultOf(change);
    });
    this.changes.add([eventOf(body)]);
    return answer;
  }

  #applyPrefixStep(
    change: PrefixChange,
    rows: Parameters<typeof applyPrefixStep>[2],
    isLast: boolean
  ): PrefixChange {
    const { sequence, atMs, requestId } = change;
    const context = new ApplyContext({ index: this.index, sequence, atMs, ...NO_BLOCK });
    const next = applyPrefixStep(context, change, rows);
    if (isLast) context.delete(prefixChangeRow(sequence));
    else context.put(prefixChangeRow(sequence), encodePrefixChange(next));
    this.#commit(context, isLast ? { requestId, answer: resultOf(next) } : {});
    return next;
  }
}

const EMPTY: Uint8Array = new Uint8Array(0);
/** A change of a prefix has no bytes of objects. */
const NO_BLOCK = { location: { extentId: 0 as ExtentId, offset: 0, length: 0 }, headBytes: 0 };
