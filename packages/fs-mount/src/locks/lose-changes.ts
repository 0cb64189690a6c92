import type { ObjectHead } from '@stampede/client';
import type { FileState } from '../file-state.js';

/**
 * Gives up what was written under locks that are lost: somebody else may have written there by now. Returns how many bytes
 * that was, or undefined when somebody else does it. What has been sent to the store may be stored all the same.
 */
export async function loseChanges(state: FileState): Promise<number | undefined> {
  loseHandles(state);
  if (state.isLosingChanges) return undefined;
  state.isLosingChanges = true;
  return await state.exclusively(async () => {
    const { dirtyBytes } = state;
    // A file that was never stored is nothing without them.
    if (!state.base) await state.abandon();
    else drop(state, state.base);
    state.isLosingChanges = false;
    // What was opened and written in between is gone as well.
    loseHandles(state);
    return dirtyBytes;
  });
}

function loseHandles(state: FileState): void {
  state.lockLossCount++;
  state.deadHandleCount = state.handleCount;
}

function drop(state: FileState, base: ObjectHead): void {
  if (state.isDetached) return;
  // Not waited for: the store may be away.
  void state.layers.abortUploads();
  state.layers.clear();
  state.size = base.size;
  state.dirtySinceMs = undefined;
  state.foreignChangeCount++;
}
