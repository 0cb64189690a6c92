import type { ExtentId, FaultDomain, MemberId, StreamId } from '../api/index.js';
import type { SpaceUse } from './space-use.js';

/** Where a block is: `offset` of its header in the extent, `length` of its payload, in bytes. */
export interface BlockLocation {
  readonly extentId: ExtentId;
  readonly offset: number;
  readonly length: number;
}

/** A position between two blocks of a stream: everything before `offset` of `extentId` and of earlier extents lies before it. */
export interface StreamPosition {
  readonly extentId: ExtentId;
  readonly offset: number;
}

/** One block to append. */
export interface AppendBlock {
  /** Grows with each block of the stream's owner; a repeated one marks a retry's duplicate. */
  readonly sequence: number;
  /** The payload, back to back: 1 ≤ bytes ≤ `LIMITS.blockBytesMax + LIMITS.blockHeadBytesMax`. Borrowed until the append resolves. */
  readonly parts: readonly Uint8Array[];
  /** How much of the reserve of a full store it may use; absent: `bytes`. */
  readonly use?: SpaceUse | undefined;
}

export interface StreamExtent {
  readonly extentId: ExtentId;
  /** Sealed extents never change again. Only the last extent of a stream is open. */
  readonly state: 'open' | 'sealed';
  /** Bytes of the file, header included: final when sealed, what is known durable when open. */
  readonly length: number;
}

/**
 * A stream as its owner holds it. There is one owner: opening fences every earlier one by epoch and seals what it
 * left open, so the extents listed at open are sealed and never grow.
 */
export interface OwnedStream {
  readonly streamId: StreamId;
  /** In order, oldest first. */
  extents(): readonly StreamExtent[];
  /**
   * Appends one block; resolves once every replica has it durably (or written, with durability `os`). Calls join the
   * next group while one is in flight; they resolve in call order. A failing replica costs a pause, not an error:
   * the extent is sealed and the block goes to a new one.
   * @throws StoreError `StaleEpoch` (fenced: stop for good), `NoSpace` (nothing was stored), `ReplicaUnavailable`
   * (outcome unknown; the stream takes no more appends until it is opened again).
   */
  append(block: AppendBlock): Promise<BlockLocation>;
  /**
   * Walks the blocks from a position to the end of what was sealed when the stream was opened. Duplicates by sequence
   * are dropped, a block that no replica can give fails the walk with `ChecksumMismatch` naming extent and offset.
   */
  scan(from?: StreamPosition): AsyncIterable<ScannedBlock>;
  /** Where the next scan should start to see only what is appended after this call's durable prefix. */
  position(): StreamPosition;
  /** Removes sealed extents from this stream's list; those that no stream lists any more are deleted. One durable step. */
  releaseExtents(extentIds: readonly ExtentId[]): Promise<void>;
  /** Moves sealed extents from this stream to the end of another of the same owner: a pointer edit, nothing is copied. */
  moveExtents(extentIds: readonly ExtentId[], to: OwnedStream): Promise<void>;
  /** Ends the open extent, if there is one, when all appends before the call are done; the next append begins another. */
  sealOpenExtent(): Promise<void>;
  /** Waits for the appends in flight, then takes no more. */
  close(): Promise<void>;
}

export interface ScannedBlock {
  readonly location: BlockLocation;
  readonly sequence: number;
  /** The first bytes of the payload, verified: all of it or at least `LIMITS.checksumChunkBytes`. */
  readonly head: Uint8Array;
  /** Reads a verified range of the payload. */
  read(start: number, length: number): Promise<Uint8Array>;
}

export interface OpenStreamOptions {
  readonly streamId: StreamId;
  /** Must be greater than that of every earlier owner. */
  readonly epoch: number;
  /** `sync`: acknowledged = fdatasync on every replica. `os`: acknowledged = written; lost with the machine's power. */
  readonly durability: 'sync' | 'os';
}

/** A part of one block's payload. */
export interface BlockRange {
  readonly extentId: ExtentId;
  /** Of the block's header in the extent. */
  readonly blockOffset: number;
  /** First byte within the payload. */
  readonly start: number;
  readonly length: number;
}

export interface ExtentNodeSummary {
  readonly memberId: MemberId;
  readonly faultDomain: FaultDomain;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly extentCount: number;
}

/** The stream layer as the partition layer sees it. */
export interface StreamLayer {
  /** Opens a stream as its new owner, creating it when there is none. */
  openStream(options: OpenStreamOptions): Promise<OwnedStream>;
  /**
   * Reads a verified range of a block from any replica that has it; repairs a replica that gives bad bytes. The result is
   * the caller's own. Length may be less than asked only if the payload ends.
   * @throws StoreError `ChecksumMismatch` when no replica has good bytes, `ExtentNotFound`, `ReplicaUnavailable`.
   */
  readBlock(range: BlockRange, options?: { readonly signal?: AbortSignal }): Promise<Uint8Array>;
  summary(): Promise<readonly ExtentNodeSummary[]>;
  /** True when some extent node is above its high watermark and no new extent for bytes can be placed. */
  isFull(): boolean;
  close(): Promise<void>;
}
