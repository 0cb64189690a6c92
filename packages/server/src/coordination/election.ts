import { StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import type { CampaignOptions, LeaderEntry, Leadership, MetaCallOptions, MetaEntry } from './meta-store.js';
import { type ElectionStore, type RowProof, SteadyStore } from './steady-store.js';

/*
 * Elections on nothing but the contract of MetaStore. Each candidate puts one key with its lease; the key that was
 * created first leads, so candidates are served in order, and the revision of its creation is the epoch. The key is
 * never written again: its revision proves the leadership in a compare.
 */

export interface Candidacy extends CampaignOptions {
  readonly election: string;
  readonly candidate: string;
  /** Distinguishes this campaign from every other one. */
  readonly campaignId: string;
  readonly clock: Clock;
}

const LEAVE_MS_MAX = 1000;

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
  const steady = new SteadyStore(store, candidacy.clock, ended);
  const entering = enter(steady, key, candidacy);
  let isEntered = false;
  try {
    const revision = await orEnded(entering, ended);
    isEntered = true;
    await waitForTurn(steady, key, ended);
    if (ended.aborted) throw endOfCampaign(candidacy);
    return lead(store, { key, revision }, candidacy);
  } catch (error) {
    // Only once the put is answered, lest it arrives after the delete. What cannot be deleted goes with the lease.
    const leaving = entering
      .catch(() => undefined)
      .then(() => store.transact({ compares: [], deletes: [key] }, { deadlineMs: LEAVE_MS_MAX }))
      .catch(() => undefined);
    if (isEntered) await leaving;
    throw ended.aborted ? endOfCampaign(candidacy) : error;
  }
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

/** The answer, or a rejection when `ended` aborts first. */
function orEnded<Result>(answer: Promise<Result>, ended: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(ended.reason);
    ended.addEventListener('abort', abort, { once: true });
    answer.then(resolve, reject).finally(() => ended.removeEventListener('abort', abort));
  });
}

/** Puts the key of the campaign; returns the revision. */
async function enter(store: SteadyStore, key: string, { candidate, lease }: Candidacy): Promise<number> {
  const value = Buffer.from(candidate);
  const put = await store.transact({
    compares: [{ key, revision: 0 }],
    puts: [{ key, value, leaseId: lease.leaseId }]
  });
  if (put.committed) return put.revision;
  // Nobody else has this id: an earlier try was carried out whose answer got lost.
  const entry = await store.find(key);
  if (entry) return entry.revision;
  throw new StoreError('StaleEpoch', `The campaign ${key} is gone. Campaign again.`);
}

/** Resolves when the key was created first among its siblings, or when `ended`. */
async function waitForTurn(store: SteadyStore, key: string, ended: AbortSignal): Promise<void> {
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  while (!ended.aborted) {
    const { entries, revision } = await store.range(prefix);
    if (!entries.some((entry) => entry.key === key)) {
      throw new StoreError('StaleEpoch', `The campaign ${key} is gone: its lease ended. Grant a new one.`);
    }
    if (firstCreated(entries)?.key === key) return;
    await store.untilWorthReading(prefix, revision);
  }
}

function lead(store: ElectionStore, proof: RowProof, { lease, clock }: Candidacy): Leadership {
  const end = new AbortController();
  const lost = AbortSignal.any([lease.lost, end.signal]);
  // A leader that cannot find out whether it is deposed ends as well: else it would stay one in its own eyes only, for good.
  new SteadyStore(store, clock, lost).untilRowGone(proof).then(
    () => end.abort(lostError(proof.key)),
    (cause: unknown) => end.abort(lostError(proof.key, cause))
  );
  return {
    epoch: proof.revision,
    proof,
    lost,
    isOver: () => lost.aborted || clock.elapsedMs() >= lease.deadlineElapsedMs(),
    async resign() {
      end.abort(lostError(proof.key));
      await store.transact({ compares: [], deletes: [proof.key] });
    }
  };
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

function lostError(key: string, cause?: unknown): StoreError {
  return new StoreError(
    'StaleEpoch',
    `The leadership ${key} has ended. Stop acting on it; campaign again to lead.`,
    { cause }
  );
}
