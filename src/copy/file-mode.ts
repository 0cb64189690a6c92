import type { BigIntStats } from 'node:fs';
import type { ObjectHead, PosixAttributes, Timestamp } from '@stampede/client';

const TYPE_BITS = 0o170000;
const LINK_BITS = 0o120000;
const DIRECTORY_BITS = 0o040000;
const NANOSECONDS = 1_000_000_000n;

export function isLink({ attributes }: ObjectHead): boolean {
  return ((attributes.mode ?? 0) & TYPE_BITS) === LINK_BITS;
}

/** Read, write and execute for owner, group and others. The others (set-user-id, …) are no one's to hand out. */
export function permissionsOf({ attributes }: ObjectHead): number | undefined {
  return attributes.mode === undefined ? undefined : attributes.mode & 0o777;
}

/** The attributes that a copy keeps: mode and time of modification. */
export function attributesOfStats(stats: BigIntStats): PosixAttributes {
  return { mode: Number(stats.mode), mtime: timestampOf(stats.mtimeNs) };
}

export function modifiedAt(head: ObjectHead): Timestamp {
  const { mtime } = head.attributes;
  if (mtime) return mtime;
  const seconds = Math.floor(head.modifiedAtMs / 1000);
  return { seconds, nanoseconds: Math.round((head.modifiedAtMs - seconds * 1000) * 1e6) };
}

export function secondsOf({ seconds, nanoseconds }: Timestamp): number {
  return seconds + nanoseconds / 1e9;
}

/** As `ls -l` shows it: `-rw-r--r--`. */
export function formatMode(mode: number): string {
  const type = { [LINK_BITS]: 'l', [DIRECTORY_BITS]: 'd' }[mode & TYPE_BITS] ?? '-';
  const bits = [6, 3, 0].map((shift) => {
    const part = (mode >> shift) & 7;
    return `${part & 4 ? 'r' : '-'}${part & 2 ? 'w' : '-'}${part & 1 ? 'x' : '-'}`;
  });
  return type + bits.join('');
}

function timestampOf(nanoseconds: bigint): Timestamp {
  const rest = ((nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return { seconds: Number((nanoseconds - rest) / NANOSECONDS), nanoseconds: Number(rest) };
}
