import { isStoreError, StoreError } from '../api/index.js';
import type {
  CampaignOptions,
  LeaderEntry,
  Leadership,
  MetaCallOptions,
  MetaEntry,
  MetaStore
} from './meta-store.js';

/*
 * Elections on nothing but the contract of MetaStore. Each candidate puts one key with its lease; the key that was
 * created first leads, so candidates are served in order, and the revision of its creation is the epoch. The key is
 * never written again: its revision proves the leadership in a compare.
 */

/** What an election needs of the store. */
export type ElectionStore = Pick<MetaStore, 'find' | 'range' | 'transact' | 'watch'>;

export interface Candidacy extends CampaignOptions {
  readonly election: string;
  readonly candidate: string;
  /** Distinguishes this campaign from every other one. */
  readonly campaignId: string;
}

/**
 * Waits to become the leader.
 *
 * @throws StoreError `Cancelled` when given up, `StaleEpoch` when the lease ended: grant a new one and try again.
 */
export async function campaign(store: ElectionStore, candidacy: Candidacy): Promise<Leadership> {
  const { lease, signal } = candidacy;
  const ended = AbortSignal.any([lease.lost, signal]);
  const key = electionPrefix(candidacy.election) + candidacy.campaignId;
  if (ended.aborted) throw endOfCampaign(candidacy);
  const value = Buffer.from(candidacy.candidate);
  const put = await store.transact({
    compares: [{ key, revision: 0 }],
    puts: [{ key, value, leaseId: lease.leaseId }]
  });
  if (!put.committed)
    throw new StoreError('InvalidArgument', `The campaign ${key} exists. Use a new campaign id.`);
  try {
    await waitForTurn(store, key, ended);
    if (ended.aborted) throw endOfCampaign(candidacy);
  } catch (error) {
    // Best effort: where the store cannot be reached, the key goes with the lease.
    await store.transact({ compares: [], deletes: [key] }).catch(() => undefined);
    throw ended.aborted ? endOfCampaign(candidacy) : error;
  }
  return lead(store, { key, revision: put.revision }, lease.lost);
}

export async function findLeader(
  store: ElectionStore,
  election: string,
  options?: MetaCallOptions
): Promise<LeaderEntry | undefined> {
  const { entries } = await store.range(electionPrefix(election), options);
  const first = firstCreated(entries);
  return first && { candidate: Buffer.from(first.value).toString(), epoch: first.createRevision };
}

/**
 * Ends the campaigns of a candidate that is known to be gone, before its lease does. One that is there after all campaigns
 * again: its leadership ends as by a lost lease.
 */
export async function depose(store: ElectionStore, election: string, candidate: string): Promise<void> {
  const { entries } = await store.range(electionPrefix(election));
  for (const { key, value, revision } of entries) {
    if (Buffer.from(value).toString() !== candidate) continue;
    await store.transact({ compares: [{ key, revision }], deletes: [key] });
  }
}

/** Encoded, so that no election's prefix is that of another. */
function electionPrefix(election: string): string {
  return `elections/${encodeURIComponent(election)}/`;
}

function firstCreated(entries: readonly MetaEntry[]): MetaEntry | undefined {
  let first: MetaEntry | undefined;
  for (const entry of entries) if (!first || entry.createRevision < first.createRevision) first = entry;
  return first;
}

/** Resolves when the key was created first among its siblings, or when `ended`. */
async function waitForTurn(store: ElectionStore, key: string, ended: AbortSignal): Promise<void> {
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  while (!ended.aborted) {
    const { entries, revision } = await store.range(prefix, { signal: ended });
    if (!entries.some((entry) => entry.key === key)) {
      throw new StoreError('StaleEpoch', `The campaign ${key} is gone: its lease ended. Grant a new one.`);
    }
    if (firstCreated(entries)?.key === key) return;
    await waitForDelete(store, { prefix, afterRevision: revision, signal: ended });
  }
}

interface DeleteWait {
  readonly prefix: string;
  readonly afterRevision: number;
  readonly signal: AbortSignal;
}

/** Resolves at the next delete under the prefix, or when aborted, or when only reading again can tell. */
async function waitForDelete(
  store: ElectionStore,
  { prefix, afterRevision, signal }: DeleteWait
): Promise<void> {
  try {
    for await (const change of store.watch(prefix, { afterRevision, signal }))
      if (change.type === 'delete') return;
  } catch (error) {
    if (!isStoreError(error, 'MetaCompacted')) throw error;
  }
}

function lead(
  store: ElectionStore,
  proof: { readonly key: string; readonly revision: number },
  leaseLost: AbortSignal
): Leadership {
  const end = new AbortController();
  const lost = AbortSignal.any([leaseLost, end.signal]);
  void waitForLoss(store, proof, lost).then(
    () => end.abort(lostError(proof.key)),
    // The store cannot be asked: the lease says when to stop, and the proof fences every transaction.
    () => undefined
  );
  return {
    epoch: proof.revision,
    proof,
    lost,
    async resign() {
      end.abort(lostError(proof.key));
      await store.transact({ compares: [], deletes: [proof.key] });
    }
  };
}

/** Resolves when the proof is gone or the leadership has ended otherwise. */
async function waitForLoss(
  store: ElectionStore,
  proof: { readonly key: string; readonly revision: number },
  lost: AbortSignal
): Promise<void> {
  let afterRevision = proof.revision;
  while (!lost.aborted) {
    await waitForDelete(store, { prefix: proof.key, afterRevision, signal: lost });
    if (lost.aborted) return;
    const { entries, revision } = await store.range(proof.key, { signal: lost });
    if (!entries.some((entry) => entry.key === proof.key && entry.revision === proof.revision)) return;
    afterRevision = revision;
  }
}

function endOfCampaign({ lease, election, signal }: Candidacy): StoreError {
  if (signal.aborted) {
    return new StoreError('Cancelled', `The campaign for ${election} was given up.`, {
      cause: signal.reason
    });
  }
  const cause: unknown = lease.lost.reason;
  return new StoreError('StaleEpoch', `The lease of the campaign for ${election} ended. Grant a new one.`, {
    cause
  });
}

function lostError(key: string): StoreError {
  return new StoreError(
    'StaleEpoch',
    `The leadership ${key} has ended. Stop acting on it; campaign again to lead.`
  );
}
