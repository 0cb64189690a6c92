import { LIMITS } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { NodeDirectory } from './node-directory.js';
import { StreamOwner } from './owned-stream.js';
import type { OnStreamEvent } from './stream-event.js';
import type { BlockRange, OpenStreamOptions, OwnedStream } from './stream-layer.js';
import type { StreamManagerApi } from './stream-manager-api.js';
import { StreamReader } from './stream-reader.js';

export interface StreamClientOptions {
  readonly manager: StreamManagerApi;
  readonly nodes: NodeDirectory;
  readonly clock: Clock;
  readonly onEvent: OnStreamEvent;
  /** Default `LIMITS.extentBytesMax`. */
  readonly extentBytesMax?: number | undefined;
}

/** Owns streams and reads blocks, wherever the stream manager and the extent nodes are. */
export class StreamClient {
  readonly #options: StreamClientOptions;
  readonly #reader: StreamReader;
  readonly #owners = new Set<StreamOwner>();

  constructor(options: StreamClientOptions) {
    this.#options = options;
    this.#reader = new StreamReader(options);
  }

  /** See `StreamLayer.openStream`. */
  async openStream({ streamId, epoch, durability }: OpenStreamOptions): Promise<OwnedStream> {
    const { manager, nodes, clock, onEvent, extentBytesMax = LIMITS.extentBytesMax } = this.#options;
    const { extents } = await manager.openStream({ streamId, epoch });
    const owner: StreamOwner = new StreamOwner({
      streamId,
      epoch,
      durability,
      extents,
      manager,
      nodes,
      clock,
      onEvent,
      extentBytesMax,
      reader: this.#reader,
      onClosed: () => this.#owners.delete(owner)
    });
    this.#owners.add(owner);
    return owner;
  }

  /** See `StreamLayer.readBlock`. */
  readBlock(range: BlockRange, options?: { readonly signal?: AbortSignal }): Promise<Uint8Array> {
    return this.#reader.readBlock(range, options);
  }

  /** Waits for the appends in flight. */
  async close(): Promise<void> {
    for (const owner of this.#owners) await owner.close();
  }
}
