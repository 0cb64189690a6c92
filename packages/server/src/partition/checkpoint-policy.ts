import type { ExtentId } from '../api/index.js';
import type { StreamExtent } from '../stream/index.js';
import type { LiveBytes } from './live-bytes.js';

export interface CheckpointLimits {
  readonly recordBytesMin: number;
  readonly logExtentsMax: number;
  /** Bytes of the log that nothing uses and that only a checkpoint can give back. */
  readonly deadBytesMax: number;
}

export interface LogState {
  /** Bytes of mutations, without those of objects, since the last checkpoint. */
  readonly recordBytes: number;
  /** Bytes of rows of the last checkpoint. */
  readonly checkpointBytes: number;
  readonly extents: readonly StreamExtent[];
}

/** Whether a new checkpoint is worth its price: a short replay, and space that comes back. */
export function isCheckpointDue(state: LogState, liveBytes: LiveBytes, limits: CheckpointLimits): boolean {
  const { recordBytes, checkpointBytes, extents } = state;
  if (recordBytes > Math.max(limits.recordBytesMin, checkpointBytes / 2)) return true;
  if (extents.length > limits.logExtentsMax) return true;
  // The last extent stays whatever is in it.
  const deadBytes = extents
    .slice(0, -1)
    .reduce((sum, { extentId, length }) => sum + Math.max(0, length - liveBytes.of(extentId)), 0);
  return deadBytes > limits.deadBytesMax;
}

/** What a store that is full gives back when asked: the last extent of the log, too, when enough of it is unused. */
export function isRollDue(
  extents: readonly StreamExtent[],
  liveBytes: LiveBytes,
  deadBytesMin: number
): boolean {
  const last = extents.at(-1);
  if (!last) return false;
  const deadBytes = last.length - liveBytes.of(last.extentId);
  return deadBytes > deadBytesMin && deadBytes > last.length / 4;
}

/** Where the extents of the log that lie before a checkpoint go: away when nothing uses them, else to the data. */
export function sortCoveredExtents(
  extents: readonly StreamExtent[],
  positionExtent: ExtentId,
  liveBytes: LiveBytes
): { readonly free: readonly ExtentId[]; readonly live: readonly ExtentId[] } {
  const end = extents.findIndex(({ extentId }) => extentId === positionExtent);
  const covered = extents.slice(0, Math.max(0, end)).filter(({ state }) => state === 'sealed');
  const ids = covered.map(({ extentId }) => extentId);
  return {
    free: ids.filter((id) => liveBytes.isFree(id)),
    live: ids.filter((id) => !liveBytes.isFree(id))
  };
}
