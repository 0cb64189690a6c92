import type { LockMode } from '../lock-calls.js';

/** Half-open, in bytes; `end` may be infinite. */
export interface LockRange {
  readonly start: number;
  readonly end: number;
}

export interface LockSegment extends LockRange {
  readonly mode: LockMode;
}

/** What one owner has of one file: in order, apart from each other, and neighbours of one mode are one. */
export type LockSegments = readonly LockSegment[];

/** The segments with a range set to a mode, or to nothing. */
export function withMode(segments: LockSegments, range: LockRange, mode: LockMode | undefined): LockSegments {
  const { start, end } = range;
  const before: LockSegment[] = [];
  const after: LockSegment[] = [];
  for (const segment of segments) {
    if (segment.start < start) before.push(segment.end > start ? { ...segment, end: start } : segment);
    if (segment.end > end) after.push(segment.start < end ? { ...segment, start: end } : segment);
  }
  if (!mode) return [...before, ...after];
  let merged: LockSegment = { start, end, mode };
  const left = before.at(-1);
  if (left && left.end === start && left.mode === mode) {
    before.pop();
    merged = { ...merged, start: left.start };
  }
  const [right] = after;
  if (right && right.start === end && right.mode === mode) {
    after.shift();
    merged = { ...merged, end: right.end };
  }
  return [...before, merged, ...after];
}

/** The range piece by piece, with what the owner has of each. */
export function modesIn(
  segments: LockSegments,
  { start, end }: LockRange
): readonly (LockRange & { readonly mode: LockMode | undefined })[] {
  const pieces: (LockRange & { readonly mode: LockMode | undefined })[] = [];
  let at = start;
  for (const segment of segments) {
    if (segment.end <= at) continue;
    if (segment.start >= end) break;
    if (segment.start > at) pieces.push({ start: at, end: segment.start, mode: undefined });
    const stop = Math.min(end, segment.end);
    pieces.push({ start: Math.max(at, segment.start), end: stop, mode: segment.mode });
    at = stop;
  }
  if (at < end) pieces.push({ start: at, end, mode: undefined });
  return pieces;
}

/** The first segment that a lock of another owner could not be beside. */
export function findConflict(
  segments: LockSegments,
  range: LockRange,
  mode: LockMode
): LockSegment | undefined {
  return segments.find(
    (segment) => overlap(segment, range) && (mode === 'exclusive' || segment.mode === 'exclusive')
  );
}

export function overlap(one: LockRange, other: LockRange): boolean {
  return one.start < other.end && other.start < one.end;
}
