/**
 * A nameless local file that holds the bytes of a removed file for those who still have it open. Gone when closed, or
 * with the process. Bytes never written read as zeros.
 */
export interface Scratch {
  read(offset: number, into: Uint8Array): Promise<void>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export type OpenScratch = () => Promise<Scratch>;
