import { isStoreError, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
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
  readonly clock: Clock;
}

const RETRY_MS = 200;
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
  const steady = steadyStore(store, candidacy.clock, ended);
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

/**
 * Tries again what the store cannot do now, until `ended`. Only for what may be done twice: a campaign that gave up on a
 * failure would leave its key before that of its next try, for as long as the lease lives.
 */
function steadyStore(store: ElectionStore, clock: Clock, ended: AbortSignal): ElectionStore {
  const persist = async <Result>(run: () => Promise<Result>): Promise<Result> => {
    for (;;) {
      try {
        return await run();
      } catch (error) {
        if (!isStoreError(error) || error.traits.retry !== 'later' || ended.aborted) throw error;
      }
      await clock.sleep(RETRY_MS, ended).catch(() => undefined);
    }
  };
  return {
    find: (key) => persist(() => store.find(key, { signal: ended })),
    range: (prefix) => persist(() => store.range(prefix, { signal: ended })),
    transact: (transaction) => persist(() => store.transact(transaction)),
    watch: (prefix, options) => store.watch(prefix, options)
  };
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
async function enter(store: ElectionStore, key: string, { candidate, lease }: Candidacy): Promise<number> {
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
async function waitForTurn(store: ElectionStore, key: string, ended: AbortSignal): Promise<void> {
  const prefix = key.slice(0, key.lastIndexOf('/') + 1);
  while (!ended.aborted) {
    const { entries, revision } = await store.range(prefix);
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
  { lease, clock }: Candidacy
): Leadership {
  const end = new AbortController();
  const lost = AbortSignal.any([lease.lost, end.signal]);
  void waitForLoss(steadyStore(store, clock, lost), proof, lost).then(
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
    const { entries, revision } = await store.range(proof.key);
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
