import { z } from 'zod';
import { faultDomain, type MemberId, memberId, StoreError } from '../api/index.js';
import type { MetaEntry, MetaLease, MetaStore } from './meta-store.js';
import type { RowProof } from './steady-store.js';

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

export interface JoinOptions {
  readonly lease: MetaLease;
  /** The row of another process under the same name stays: this one was here before, and does not take its name again. */
  readonly yields: boolean;
}

/**
 * Says that a member is there, until its lease ends. An earlier life of the same member is replaced.
 *
 * @returns Its row.
 * @throws StoreError `ServiceUnavailable` when another process is this member now.
 */
export async function putMember(
  meta: MetaStore,
  { memberId, ...row }: Omit<Member, 'revision'>,
  { lease, yields }: JoinOptions
): Promise<RowProof> {
  const key = MEMBER_PREFIX + memberId;
  const value = Buffer.from(JSON.stringify(row));
  const compares = yields ? [{ key, revision: await findOwnRevision(meta, key, row.address) }] : [];
  const put = await meta.transact({ compares, puts: [{ key, value, leaseId: lease.leaseId }] });
  if (put.committed) return { key, revision: put.revision };
  throw new StoreError('ServiceUnavailable', `The row of member ${memberId} changed meanwhile. Try again.`);
}

/** Of the row that this process left, 0 when there is none. */
async function findOwnRevision(meta: MetaStore, key: string, address: string): Promise<number> {
  const entry = await meta.find(key);
  const other = entry && decodeMember(entry);
  if (other && other.address !== address) throw nameTaken(other);
  return entry?.revision ?? 0;
}

function nameTaken({ memberId, address }: Member): StoreError {
  const advice = 'Stop one of the two, or give each its own name.';
  return new StoreError(
    'ServiceUnavailable',
    `Another process at ${address} is member ${memberId} now. ${advice}`
  );
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
