import { z } from 'zod';
import { faultDomain, type MemberId, memberId } from '../api/index.js';
import type { MetaEntry, MetaLease, MetaStore } from './meta-store.js';

/*
 * The processes of a stamp that are there now: rows members/<id> of the meta store, JSON, which vanish with the lease of
 * their process. They say where a member can be reached, never what it may do: that is decided by epochs.
 */

export const MEMBER_PREFIX = 'members/';

const rowSchema = z.object({
  /** `host:port` of its internal listener. */
  address: z.string(),
  faultDomain: z.string().transform(faultDomain),
  roles: z.array(z.enum(['streamManager', 'extentNode', 'partitionServer', 'frontEnd']))
});

export type MemberRole = z.infer<typeof rowSchema>['roles'][number];

export interface Member extends Omit<z.infer<typeof rowSchema>, 'roles'> {
  readonly roles: readonly MemberRole[];
  readonly memberId: MemberId;
  /** Of its row; another life of the same member has another one. */
  readonly revision: number;
}

/** Says that a member is there, until its lease ends. An earlier life of the same member is replaced. */
export async function putMember(
  meta: MetaStore,
  { memberId, ...row }: Omit<Member, 'revision'>,
  lease: MetaLease
): Promise<void> {
  const value = Buffer.from(JSON.stringify(row));
  await meta.transact({
    compares: [],
    puts: [{ key: MEMBER_PREFIX + memberId, value, leaseId: lease.leaseId }]
  });
}

/** Removes a member that is known to be gone, before its lease ends; another life of it stays. */
export async function removeMember(meta: MetaStore, { memberId, revision }: Member): Promise<void> {
  const key = MEMBER_PREFIX + memberId;
  await meta.transact({ compares: [{ key, revision }], deletes: [key] });
}

/** `undefined` for a row that another release wrote and this one cannot read. */
export function decodeMember({ key, value, revision }: MetaEntry): Member | undefined {
  try {
    const row = rowSchema.parse(JSON.parse(Buffer.from(value).toString()));
    return { ...row, memberId: memberId(key.slice(MEMBER_PREFIX.length)), revision };
  } catch {
    return undefined;
  }
}
