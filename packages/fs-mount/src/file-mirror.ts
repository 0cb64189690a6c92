/**
 * A local copy of a file's bytes that others read directly. It is told of every change at once, in order, and may copy
 * what it is given only before it returns.
 */
export interface FileMirror {
  wrote(offset: number, bytes: Uint8Array): void;
  cut(sizeBytes: number): void;
  /** The copy is what it was told. Never rejects. */
  settled(): Promise<void>;
}
