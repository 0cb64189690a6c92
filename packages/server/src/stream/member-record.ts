import { type FaultDomain, type MemberId, memberId } from '../api/index.js';
import type { MetaEntry } from '../coordination/index.js';
import type { MemberDuty } from './membership-api.js';

/*
 * The extent nodes that ever were, in the meta store: streams/member/<member id>, values as JSON. The stream manager
 * owns the duty, the node its fault domain.
 */
export const MEMBER_PREFIX = 'streams/member/';

export interface MemberRecord {
  readonly faultDomain: FaultDomain;
  /** Absent = active. */
  readonly duty?: Exclude<MemberDuty, 'active'>;
}

export function memberKey(id: MemberId): string {
  return MEMBER_PREFIX + id;
}

export function memberIdOf(key: string): MemberId {
  return memberId(key.slice(MEMBER_PREFIX.length));
}

export function encodeMember(record: MemberRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

export function decodeMember({ value }: Pick<MetaEntry, 'value'>): MemberRecord {
  return JSON.parse(Buffer.from(value).toString()) as MemberRecord;
}
