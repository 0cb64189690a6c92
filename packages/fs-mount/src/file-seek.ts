import type { ObjectHead } from '@stampede/client';
import type { LayerStack } from './layer-stack.js';
import type { StoredHoles } from './stored-holes.js';

/** A file as far as its holes are concerned. No byte may be in an upload only. */
export interface SeekableFile {
  readonly size: number;
  readonly base: ObjectHead | undefined;
  readonly layers: LayerStack;
  readonly holes: StoredHoles;
}

/**
 * As lseek(2) with SEEK_DATA and SEEK_HOLE: the first byte from `offset` on that is, or is not, in a hole. The end of the
 * file is a hole. Undefined when there is none.
 *
 * @throws StoreError `PreconditionFailed` or `NoSuchKey` when the version below is not stored any more.
 */
export async function seekIn(
  file: SeekableFile,
  offset: number,
  wanted: 'data' | 'hole'
): Promise<number | undefined> {
  let position = offset;
  while (position < file.size) {
    const { isHole, end } = await stretchAt(file, position);
    if (isHole === (wanted === 'hole')) return position;
    position = end;
  }
  return wanted === 'hole' && offset < file.size ? file.size : undefined;
}

async function stretchAt(
  { size, base, layers, holes }: SeekableFile,
  position: number
): Promise<{ readonly isHole: boolean; readonly end: number }> {
  const { type, end } = layers.stretchAt(position, size);
  if (type !== 'below') return { isHole: type === 'hole', end };
  if (!base || position >= base.size) return { isHole: true, end };
  const stored = await holes.at(base, position);
  return { isHole: stored.isHole, end: Math.min(end, stored.end) };
}
