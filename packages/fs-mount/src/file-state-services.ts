import { isStoreError, type ObjectHead, type StoreCalls } from '@stampede/client';
import type { AttributeDefaults } from './attributes.js';
import type { Clock } from './clock.js';
import { FileSystemError } from './errno.js';
import type { FileState } from './file-state.js';
import type { OpenScratch } from './scratch.js';
import type { WriteMemory } from './write-memory.js';

/** What the states of all files of a mount share. */
export interface FileStateServices {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly memory: WriteMemory;
  readonly clock: Clock;
  readonly defaults: AttributeDefaults;
  readonly openScratch: OpenScratch;
  /** A new version is in the store. */
  readonly onCommitted: (state: FileState, head: ObjectHead) => void;
  /** Bytes that others wrote may have come to lie under those of the file. */
  readonly onForeignBytes: (state: FileState) => void;
}

/** The version a key has by now; fails with `ESTALE` when there is none any more. */
export async function currentVersion(
  { store, bucket }: Pick<FileStateServices, 'store' | 'bucket'>,
  key: string
): Promise<ObjectHead> {
  try {
    return await store.objects.head({ bucket, key });
  } catch (error) {
    if (!isStoreError(error, 'NoSuchKey')) throw error;
    throw new FileSystemError('ESTALE', `${key} was removed elsewhere`, { cause: error });
  }
}
