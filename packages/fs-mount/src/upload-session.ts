import type { ObjectHead, StoreCalls, UploadHead } from '@stampede/client';
import type { DirtyExtent } from './dirty-extents.js';
import type { Layer } from './layer.js';
import { BLOCK_BYTES } from './write-memory.js';

const BLOCKS_IN_FLIGHT_MAX = 8;
const UPLOAD_LIFETIME_MS = 24 * 60 * 60 * 1000;

export interface UploadTarget {
  readonly bucket: string;
  readonly key: string;
  /** The version the layer lies on. */
  readonly base: ObjectHead | undefined;
}

/** Bytes [offset, offset + length) of a version. */
export interface CopySource {
  readonly head: ObjectHead;
  readonly offset: number;
  readonly length: number;
}

/**
 * Carries a layer's blocks into an upload, up to eight at a time, while the file is still being written. A block that
 * could not be sent stays in the layer and is sent again by the next `drain`.
 */
export class UploadSession {
  readonly #store: StoreCalls;
  readonly #layer: Layer;
  readonly #flights = new Set<Promise<void>>();
  readonly target: UploadTarget;
  #created: Promise<UploadHead> | undefined;
  #failure: unknown;
  #isAborted = false;

  constructor(store: StoreCalls, layer: Layer, target: UploadTarget) {
    this.#store = store;
    this.#layer = layer;
    this.target = target;
  }

  /** Blocks are on their way: the memory they take comes back. */
  get isSending(): boolean {
    return this.#flights.size > 0;
  }

  /** Starts to send what is ready; with `partial` also blocks that could still grow. */
  pump(partial = false): void {
    if (this.#failure !== undefined || this.#isAborted) return;
    for (const extent of this.#layer.extents.all()) {
      if (this.#flights.size >= BLOCKS_IN_FLIGHT_MAX) return;
      if (extent.flight || (!partial && extent.length < BLOCK_BYTES)) continue;
      this.#send(extent, partial);
    }
  }

  /** Sends everything. Fails with the first error after what was under way has ended; a later call tries again. */
  async drain(): Promise<void> {
    this.#failure = undefined;
    await this.head();
    for (;;) {
      this.pump(true);
      if (this.#failure === undefined && this.#flights.size === 0) return;
      await Promise.all(this.#flights);
      if (this.#failure !== undefined) {
        const failure = this.#failure;
        this.#failure = undefined;
        throw failure;
      }
    }
  }

  /**
   * Lays bytes of a stored version at `offset`; none of them move. The layer has no byte
   * of the range, and gets none meanwhile.
   *
   * @throws StoreError `PreconditionFailed` or `NoSuchKey` when that version is not stored any more.
   */
  async copyRange(offset: number, source: CopySource): Promise<void> {
    const copying = this.#copy(offset, source);
    // Whoever drains waits for it; what it fails with is its caller's affair.
    const flight = copying.catch(() => undefined);
    this.#flights.add(flight);
    await flight;
    this.#flights.delete(flight);
    return copying;
  }

  /** The upload, created once; a failed creation is tried again. */
  async head(): Promise<UploadHead> {
    this.#created ??= this.#create();
    const attempt = this.#created;
    try {
      return await attempt;
    } catch (error) {
      if (this.#created === attempt) this.#created = undefined;
      throw error;
    }
  }

  async abort(): Promise<void> {
    this.#isAborted = true;
    await Promise.all(this.#flights);
    const created = await this.#created?.catch(() => undefined);
    if (!created) return;
    const { bucket, key } = this.target;
    await this.#store.uploads.abort({ bucket, key, uploadId: created.uploadId });
  }

  async #create(): Promise<UploadHead> {
    const { bucket, key, base } = this.target;
    const { cutAt } = this.#layer;
    const isEdit = base !== undefined && cutAt !== 0;
    const upload = await this.#store.uploads.create({
      bucket,
      key,
      expiresInMs: UPLOAD_LIFETIME_MS,
      ...(isEdit && { from: {} })
    });
    const at = { bucket, key, uploadId: upload.uploadId };
    if (isEdit && cutAt !== undefined) await this.#store.uploads.truncate({ ...at, size: cutAt });
    for (const { start, end } of isEdit ? this.#layer.holes.all() : [])
      await this.#store.uploads.punch({ ...at, offset: start, length: end - start });
    return upload;
  }

  #send(extent: DirtyExtent, partial: boolean): void {
    const flight = this.#write(extent).then(
      () => {
        this.#landed(extent, flight);
        this.#layer.uploaded.add(extent.offset, extent.offset + extent.length);
        this.#layer.extents.remove(extent);
        this.pump(partial);
      },
      (error: unknown) => {
        this.#landed(extent, flight);
        this.#failure ??= error;
      }
    );
    extent.flight = flight;
    this.#flights.add(flight);
  }

  async #write(extent: DirtyExtent): Promise<void> {
    const { uploadId } = await this.head();
    const { bucket, key } = this.target;
    const body = extent.buffer.subarray(0, extent.length);
    await this.#store.uploads.write({ bucket, key, uploadId, offset: extent.offset, body });
  }

  async #copy(offset: number, { head, offset: start, length }: CopySource): Promise<void> {
    const { uploadId } = await this.head();
    const { bucket, key } = this.target;
    const source = { bucket: head.bucket, key: head.key, offset: start, length, ifMatch: head.etag };
    await this.#store.uploads.copyRange({ bucket, key, uploadId, offset, source });
    this.#layer.uploaded.add(offset, offset + length);
  }

  #landed(extent: DirtyExtent, flight: Promise<void>): void {
    extent.flight = undefined;
    this.#flights.delete(flight);
  }
}
