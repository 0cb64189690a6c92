import { FileSystemError } from '../errno.js';
import type { FileState } from '../file-state.js';
import { isGuardedBy } from './guarded-names.js';

/**
 * Files whose locks were lost while programs that may not know it still have them open. Until these have closed them, what
 * lies beside the file, such as its journal, may be another holder's, and is not changed from here.
 */
export class LostFiles {
  readonly #states = new Set<FileState>();

  add(state: FileState): void {
    this.#states.add(state);
  }

  /** Fails with `EIO` for a name beside such a file. */
  assertNotBeside(key: string): void {
    for (const state of this.#states) {
      if (state.deadHandleCount === 0) this.#states.delete(state);
      else if (isGuardedBy(key, state.key))
        throw new FileSystemError('EIO', `locks of ${state.key} were lost; close it everywhere first`);
    }
  }
}
