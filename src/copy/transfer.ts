import type { StoreClient } from '@stampede/client';
import type { Outcome } from './outcome.js';
import { runTransfers } from './transfer-pool.js';

/** Bytes of buffers that all transfers of a command may hold together. */
const BUFFER_BYTES_MAX = 128 * 1024 * 1024;

/** One object on its way. */
export interface Transfer {
  /** As it is told when it fails. */
  readonly name: string;
  /** Most bytes of buffers that it takes. */
  readonly bufferBytes: number;
  /** @returns How many bytes the object has. */
  run(): Promise<number>;
}

/** What every transfer of a command works with. */
export interface TransferScope {
  readonly store: StoreClient;
  readonly signal: AbortSignal;
  readonly onBytes: (count: number) => void;
  readonly outcome: Outcome;
}

/** Runs many at once; one that fails is told and counted, and the others go on. */
export function runAll(
  transfers: AsyncIterable<Transfer>,
  { outcome, signal }: TransferScope,
  jobsMax: number
): Promise<void> {
  return runTransfers(transfers, {
    workersMax: jobsMax,
    bytesMax: BUFFER_BYTES_MAX,
    bytesOf: ({ bufferBytes }) => bufferBytes,
    signal,
    async run({ name, run }) {
      try {
        outcome.done(await run());
      } catch (error) {
        if (signal.aborted) throw error;
        outcome.failed(name, error);
      }
    }
  });
}
