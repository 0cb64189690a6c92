import { type ExtentId, type MemberId, memberId } from '../api/index.js';
import type { MetaEntry } from '../coordination/index.js';
import type { ScrubView } from './membership-api.js';

/*
 * How far the verification of each node's replicas is, in the meta store: streams/scrub/<member id>, values as JSON.
 */
export const SCRUB_PREFIX = 'streams/scrub/';

export interface ScrubRecord extends ScrubView {
  /** Wall clock: when the next walk begins. */
  readonly dueAtMs: number;
  /** While one is under way: all up to this one are done. */
  readonly after?: ExtentId | undefined;
}

export function scrubKey(id: MemberId): string {
  return SCRUB_PREFIX + id;
}

export function scrubMemberOf(key: string): MemberId {
  return memberId(key.slice(SCRUB_PREFIX.length));
}

export function encodeScrub(record: ScrubRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

export function decodeScrub({ value }: Pick<MetaEntry, 'value'>): ScrubRecord {
  return JSON.parse(Buffer.from(value).toString()) as ScrubRecord;
}

/** One that has not begun, due at a time. */
export function newScrub(dueAtMs: number): ScrubRecord {
  return { dueAtMs, blockCount: 0, verifiedBytes: 0, corruptCount: 0, repairedCount: 0 };
}
