/** A file of the cache's folder that is open. Offsets and lengths in bytes. */
export interface CacheFile {
  /** The process's number for it, for a kernel that reads by itself; undefined where there is none. */
  readonly descriptor: number | undefined;
  /** Fills `into` as far as the file goes; returns how many bytes that were. */
  read(offset: number, into: Uint8Array): Promise<number>;
  /** As `read`, of what needs no waiting for the disk: fewer bytes, or none, where that is not all. */
  readNow(offset: number, into: Uint8Array): number;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface ListedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** What it takes on the disk; less than its size where parts were never written. */
  readonly usedBytes: number;
  readonly usedAtMs: number;
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/**
 * The folder of a disk cache, which nobody else uses until it is closed. Names have no folders in them. Nothing is
 * synced: what a crash leaves is told apart by checksums. Every method fails with the error of the operating system.
 */
export interface CacheDisk {
  /** Every file, in batches; files whose names begin with the same two characters come together. */
  list(): AsyncIterable<readonly ListedFile[]>;
  /** A whole file, or undefined where there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Makes a whole file appear under its name in one step. */
  replace(name: string, bytes: Uint8Array): Promise<void>;
  /** For reading and writing, or undefined where there is none. */
  open(name: string): Promise<CacheFile | undefined>;
  /** A file of zeros that takes no space yet, in the place of any that is there. */
  create(name: string, sizeBytes: number): Promise<CacheFile>;
  /** Also when it is not there. Who has it open goes on. */
  remove(name: string): Promise<void>;
  space(): Promise<DiskSpace>;
  close(): Promise<void>;
}
