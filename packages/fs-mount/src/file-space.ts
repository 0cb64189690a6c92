import type { ObjectHead } from '@stampede/client';
import type { FileSpace } from './attributes.js';
import type { Layer } from './layer.js';

/**
 * The space of a version with layers over it, the lowest first; `size` is that of the file. It is a guess, and never too
 * little, where the layers lie over bytes and holes of which nobody here knows which.
 */
export function spaceOf(base: ObjectHead | undefined, layers: readonly Layer[], size: number): FileSpace {
  const sizeBelow = base?.size ?? 0;
  let space: FileSpace = { size: sizeBelow, takenBytes: sizeBelow - (base?.holeBytes ?? 0), isGuess: false };
  for (const layer of layers) if (layer.hasBytes) space = over(space, layer);
  return { size, takenBytes: Math.min(space.takenBytes, size), isGuess: space.isGuess };
}

function over(below: FileSpace, layer: Layer): FileSpace {
  const { size, takenBytes, isGuess } = cut(below, layer.cutAt);
  const { extents, uploaded, holes, writtenEnd } = layer;
  const end = Math.max(size, writtenEnd);
  const isUnclear = isGuess || !holes.isEmpty || !uploaded.isEmpty;
  const written = extents.bytes + uploaded.bytes;
  const first = extents.all()[0]?.offset ?? end;
  // Behind the end nothing was there, and where all is bytes there are no more of them.
  if (first >= size) return { size: end, takenBytes: takenBytes + written, isGuess: isUnclear };
  if (takenBytes === size && end === size) return { size, takenBytes, isGuess: isUnclear };
  return { size: end, takenBytes: Math.min(end, takenBytes + written), isGuess: true };
}

function cut({ size, takenBytes, isGuess }: FileSpace, cutAt = size): FileSpace {
  if (cutAt >= size) return { size, takenBytes, isGuess };
  const isKnown = cutAt === 0 || (takenBytes === size && !isGuess);
  return { size: cutAt, takenBytes: Math.min(takenBytes, cutAt), isGuess: !isKnown };
}
