import type { ExtentId } from '../api/index.js';
import type { StreamExtent } from '../stream/index.js';

export interface CompactionLimits {
  /** Nothing is done while the extents take at most this many times what is used of them, and `slackBytes`. */
  readonly spaceFactorMax: number;
  readonly slackBytes: number;
  /** An extent of which a smaller part than this is unused costs more than it gives. */
  readonly unusedPartMin: number;
  /** In one pass over the index. */
  readonly extentsMax: number;
  /** Bytes that are written again before any extent may have gone; of one extent they may be more. */
  readonly movedBytesMax: number;
}

export interface CompactionInput {
  /** Sealed, and before the checkpoint. */
  readonly extents: readonly StreamExtent[];
  /** Bytes of an extent that something uses. */
  readonly liveBytes: (id: ExtentId) => number;
  /** Those that a pass could not empty, as pending uploads use them. */
  readonly isStuck: (id: ExtentId) => boolean;
}

/**
 * Which extents to empty so that they can go: those of which least is used, as many as it takes for the space to be within
 * its bound again.
 */
export function chooseCompaction(
  { extents, liveBytes, isStuck }: CompactionInput,
  { spaceFactorMax, slackBytes, unusedPartMin, extentsMax, movedBytesMax }: CompactionLimits
): readonly ExtentId[] {
  let totalBytes = 0;
  let usedBytes = 0;
  for (const { extentId, length } of extents) {
    totalBytes += length;
    usedBytes += Math.min(length, liveBytes(extentId));
  }
  const boundBytes = usedBytes * spaceFactorMax + slackBytes;
  const usedPart = ({ extentId, length }: StreamExtent): number => liveBytes(extentId) / length;
  const candidates = extents
    // One of which nothing is used goes by itself.
    .filter(({ extentId }) => liveBytes(extentId) > 0 && !isStuck(extentId))
    .filter((extent) => usedPart(extent) <= 1 - unusedPartMin)
    .sort((a, b) => usedPart(a) - usedPart(b));
  const chosen: ExtentId[] = [];
  let movedBytes = 0;
  for (const extent of candidates) {
    if (totalBytes <= boundBytes || chosen.length === extentsMax) break;
    // What is used of it is written again.
    movedBytes += liveBytes(extent.extentId);
    if (movedBytes > movedBytesMax && chosen.length > 0) break;
    chosen.push(extent.extentId);
    totalBytes -= extent.length - liveBytes(extent.extentId);
  }
  return chosen;
}
