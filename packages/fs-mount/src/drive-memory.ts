import { AttributeEntries } from './attribute-cache.js';
import { BlockCache } from './block-cache.js';
import type { FileSystemStatus } from './file-system.js';
import type { FileSystemOptions } from './file-system-options.js';
import { WriteMemory } from './write-memory.js';

export type DriveMemoryOptions = Pick<
  FileSystemOptions,
  | 'store'
  | 'clock'
  | 'readMemoryBytes'
  | 'writeMemoryBytes'
  | 'attributeCountMax'
  | 'deadlineMs'
  | 'diskCache'
>;

/** What a drive may take to remember things, all its buckets together. */
export class DriveMemory {
  /** Of what is not stored yet. */
  readonly writes: WriteMemory;
  /** Of what was read. */
  readonly blocks: BlockCache;
  /** Of what paths are. */
  readonly attributes: AttributeEntries;
  readonly #relievers = new Set<() => void>();

  constructor(options: DriveMemoryOptions) {
    const { store, clock, deadlineMs } = options;
    this.writes = new WriteMemory({
      limitBytes: options.writeMemoryBytes,
      deadlineMs,
      clock,
      onPressure: () => {
        for (const relieve of this.#relievers) relieve();
      }
    });
    this.blocks = new BlockCache({ store, limitBytes: options.readMemoryBytes, disk: options.diskCache });
    this.attributes = new AttributeEntries(options.attributeCountMax);
  }

  /** Calls `relieve`, which stores something, when a write waits for memory; until it is disposed of. */
  onPressure(relieve: () => void): Disposable {
    this.#relievers.add(relieve);
    return { [Symbol.dispose]: () => void this.#relievers.delete(relieve) };
  }

  get status(): Omit<FileSystemStatus, 'openFileCount' | 'dirtyBytes' | 'watchIsLive'> {
    return {
      writeMemoryBytes: this.writes.usedBytes,
      writeMemoryLimitBytes: this.writes.limitBytes,
      readMemoryBytes: this.blocks.bytes,
      caches: [this.attributes.status, ...this.blocks.statuses]
    };
  }
}
