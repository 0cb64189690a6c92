/** What `findBytes` reads at once. */
export const SMALL_FILE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * A disk as the store sees it. Nothing written is durable before `sync` (bytes) or `syncDirectory` (names) has
 * resolved. Paths are absolute. Every failure is a `StoreError`: `NoSpace` for a full disk or an exceeded quota,
 * `DiskFailed` for anything else; an absent file is a value, not an error.
 */
export interface Disk {
  /** Creates an empty file for reading and writing; fails with `DiskFailed` when the name is taken. */
  createFile(path: string): Promise<DiskFile>;
  /** Opens an existing file for reading and writing, or `undefined` when there is none. */
  findFile(path: string): Promise<DiskFile | undefined>;
  /** Names (not paths) in a directory, sorted; an absent directory is empty. */
  list(directory: string): Promise<readonly string[]>;
  /** Creates a directory and its missing parents; the names are durable on return. */
  createDirectory(path: string): Promise<void>;
  /** Renames over whatever has the new name. Durable after `syncDirectory` of the parent. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; an absent one is fine. Durable after `syncDirectory` of the parent. */
  remove(path: string): Promise<void>;
  /** Removes a directory and all below it; an absent one is fine. */
  removeDirectory(path: string): Promise<void>;
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Reads a whole small file (≤ 16 MiB), or `undefined` when there is none. */
  findBytes(path: string): Promise<Uint8Array | undefined>;
  /**
   * Replaces a whole small file atomically and durably; `modeBits` defaults to 0o644. A crash may leave a file
   * `<path>.<count>.tmp` beside it.
   */
  writeBytes(path: string, bytes: Uint8Array, modeBits?: number): Promise<void>;
  /** The space of the file system that holds `path`. */
  space(path: string): Promise<DiskSpace>;
}

export interface DiskSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface DiskFile {
  /** Fills `into` from `offset`; resolves to the bytes read, short only at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /**
   * Writes all parts back to back from `offset`. The parts are borrowed until it resolves. A failed write may have
   * written any part of the bytes.
   */
  write(parts: readonly Uint8Array[], offset: number): Promise<void>;
  /** Makes every write that resolved before this call durable (fdatasync). After a failure reopen the file. */
  sync(): Promise<void>;
  truncate(lengthBytes: number): Promise<void>;
  size(): Promise<number>;
  /** Closing twice is fine; use after close is a `DiskFailed`. */
  close(): Promise<void>;
}
