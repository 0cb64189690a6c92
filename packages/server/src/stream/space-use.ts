/*
 * What an append is for decides how much of a node's reserve it may use: the part of the disk above the high watermark. What
 * stores bytes of objects ends first, so that what gives space back can still be written.
 */

/** From what must end first to what must go on longest. */
const SPACE_USES = ['bytes', 'changes', 'frees'] as const;

/**
 * `bytes` of objects; `changes`: all else that makes rows, and bytes that are moved so that extents can go; `frees`: what
 * gives space back, such as a deletion or a checkpoint.
 */
export type SpaceUse = (typeof SPACE_USES)[number];

/** For which uses a node takes new extents: for this one and those after it. */
export type SpaceRoom = SpaceUse | 'none';

/** How much of the reserve must be left to create an extent, and after an append to one. */
interface ReserveParts {
  readonly create: number;
  readonly append: number;
}

/** Extents that exist may take bytes past the watermark: what is under way when a node gets full is not refused. */
const RESERVE_PARTS: Readonly<Record<SpaceUse, ReserveParts>> = {
  bytes: { create: 1, append: 1 / 2 },
  changes: { create: 1 / 4, append: 1 / 4 },
  frees: { create: 0, append: 0 }
};

export function reservePartFor(use: SpaceUse, step: keyof ReserveParts): number {
  return RESERVE_PARTS[use][step];
}

export function isRoomFor(room: SpaceRoom, use: SpaceUse): boolean {
  return room !== 'none' && SPACE_USES.indexOf(use) >= SPACE_USES.indexOf(room);
}

/** By whether each use is taken. */
export function roomOf(isTaken: (use: SpaceUse) => boolean): SpaceRoom {
  return SPACE_USES.find(isTaken) ?? 'none';
}

/** Of several uses, the one that must end first. */
export function firstToEnd(uses: Iterable<SpaceUse>): SpaceUse {
  let first = SPACE_USES.length - 1;
  for (const use of uses) first = Math.min(first, SPACE_USES.indexOf(use));
  return SPACE_USES[first]!;
}
