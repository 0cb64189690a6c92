import { isStoreError, LIMITS, StoreError } from '../../api/index.js';
import type { MetaCallOptions, MetaTransaction, MetaTransactionResult } from '../meta-store.js';
import { checkTransaction } from '../meta-transaction-check.js';
import type { EtcdClient, Patience } from './etcd-client.js';
import type { EtcdMarkers, Marker } from './etcd-markers.js';
import type { KeyValue } from './etcd-range.js';

/** What etcd wants, as far as it is used here. */
interface Request {
  readonly compare: readonly object[];
  readonly success: readonly object[];
}

/** What one use of a marker found out. Neither result nor failure: nothing, as the marker was gone. */
interface Outcome {
  readonly result?: MetaTransactionResult;
  /** Why it certainly was not carried out. */
  readonly failure?: StoreError;
  /** To be used again. */
  readonly marker: Marker | undefined;
}

interface Answer {
  readonly succeeded: boolean;
  readonly header: { readonly revision: string };
  /** The marker as it is, if it is there; of one that did not succeed. */
  readonly found: KeyValue | undefined;
}

/**
 * Transactions whose outcome is found out also when etcd's members fail meanwhile: each is sent until it is answered, and a
 * marker keeps it from being carried out twice. Only when patience ends before an answer is the outcome unknown.
 */
export class EtcdTransactions {
  readonly #client: EtcdClient;
  readonly #markers: EtcdMarkers;

  constructor(client: EtcdClient, markers: EtcdMarkers) {
    this.#client = client;
    this.#markers = markers;
  }

  async transact(transaction: MetaTransaction, options: MetaCallOptions): Promise<MetaTransactionResult> {
    checkTransaction(transaction);
    const patience = this.#client.patience(options);
    if (patience.signal?.aborted)
      throw new StoreError('Cancelled', 'The caller gave the metadata call up.', {
        cause: patience.signal.reason
      });
    const request = this.#requestOf(transaction);
    const operationCount = Math.max(request.compare.length, request.success.length);
    // A full one has no room for the marker.
    if (operationCount === LIMITS.metaTransactionOperationsMax)
      return await this.#sendOnce(request, patience);
    for (;;) {
      const outcome = await this.#markers.use(patience, (marker) => this.#send(request, marker, patience));
      if (outcome.failure) throw outcome.failure;
      if (outcome.result) return outcome.result;
    }
  }

  #requestOf({ compares, puts = [], deletes = [] }: MetaTransaction): Request {
    const client = this.#client;
    return {
      compare: compares.map(({ key, revision }) => writtenAt(client.keyOf(key), String(revision))),
      success: [
        ...puts.map(({ key, value, leaseId }) => ({
          request_put: {
            key: client.keyOf(key),
            value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
            ...(leaseId !== undefined && { lease: leaseId })
          }
        })),
        ...deletes.map((key) => ({ request_delete_range: { key: client.keyOf(key) } }))
      ]
    };
  }

  /** Without proof: where the answer gets lost, the outcome is unknown. */
  async #sendOnce(request: Request, patience: Patience): Promise<MetaTransactionResult> {
    const { succeeded, header } = await this.#client.call('once', patience, ({ etcd, options }) =>
      etcd.kv.txn({ compare: [...request.compare], success: [...request.success] }, options)
    );
    return succeeded ? { committed: true, revision: Number(header.revision) } : { committed: false };
  }

  async #send(request: Request, marker: Marker, patience: Patience): Promise<Outcome> {
    const name = `transaction ${marker.useCount}`;
    let sentCount = 0;
    let answer: Answer;
    try {
      answer = await this.#sendMarked(request, { marker, name, patience }, () => sentCount++);
    } catch (error) {
      return await this.#explain(error, { marker, patience, isFirst: sentCount <= 1 });
    }
    const { succeeded, header, found } = answer;
    if (succeeded) return committed(marker, header.revision);
    if (found?.value.toString() === name) return committed(marker, found.mod_revision);
    if ((found?.mod_revision ?? '0') === marker.revision) {
      const refused = { result: { committed: false }, marker } as const;
      return sentCount === 1 ? refused : await this.#settle(marker, name, patience);
    }
    // The marker went with its lease, so that nothing was carried out on this try.
    if (sentCount === 1) return { marker: undefined };
    throw unknownOutcome(undefined);
  }

  /** A try that got lost may arrive yet: the marker is written, after which it cannot be carried out any more. */
  async #settle(marker: Marker, name: string, patience: Patience): Promise<Outcome> {
    const end = `no ${name}`;
    const { succeeded, header, found } = await this.#sendMarked(
      { compare: [], success: [] },
      { marker, name: end, patience },
      () => undefined
    );
    if (succeeded) return refused(marker, header.revision);
    if (found?.value.toString() === end) return refused(marker, found.mod_revision);
    if (found?.value.toString() === name) return committed(marker, found.mod_revision);
    throw unknownOutcome(undefined);
  }

  async #sendMarked(
    { compare, success }: Request,
    {
      marker,
      name,
      patience
    }: { readonly marker: Marker; readonly name: string; readonly patience: Patience },
    onSend: () => void
  ): Promise<Answer> {
    const { key, leaseId, revision } = marker;
    const put = { request_put: { key, value: Buffer.from(name), lease: leaseId } };
    const request = {
      compare: [...compare, writtenAt(key, revision)],
      success: [...success, put],
      failure: [{ request_range: { key } }]
    };
    const { succeeded, header, responses } = await this.#client.call(
      'repeatable',
      patience,
      ({ etcd, options }) => {
        onSend();
        return etcd.kv.txn(request, options);
      }
    );
    return { succeeded, header, found: succeeded ? undefined : responses[0]?.response_range?.kvs[0] };
  }

  async #explain(
    error: unknown,
    {
      marker,
      patience,
      isFirst
    }: { readonly marker: Marker; readonly patience: Patience; readonly isFirst: boolean }
  ): Promise<Outcome> {
    // Leases are looked at only when all compares hold, so that no earlier try was carried out, and none will be.
    if (isStoreError(error, 'StaleEpoch'))
      return (await this.#markers.isAlive(marker, patience))
        ? { failure: error, marker }
        : { marker: undefined };
    if (!isStoreError(error) || error.traits.outcome === 'unknown') throw error;
    // What refuses this try says nothing of an earlier one.
    if (!isFirst) throw unknownOutcome(error);
    return { failure: error, marker };
  }
}

function committed(marker: Marker, revision: string): Outcome {
  return { result: { committed: true, revision: Number(revision) }, marker: usedAt(marker, revision) };
}

function refused(marker: Marker, revision: string): Outcome {
  return { result: { committed: false }, marker: usedAt(marker, revision) };
}

function usedAt(marker: Marker, revision: string): Marker {
  return { ...marker, revision, useCount: marker.useCount + 1 };
}

/** `revision` '0' = the key is absent. */
function writtenAt(key: Buffer, revision: string): object {
  return { key, target: 'Mod' as const, result: 'Equal' as const, mod_revision: revision };
}

function unknownOutcome(cause: unknown): StoreError {
  return new StoreError(
    'ServiceUnavailable',
    'The transaction may have been carried out or not. Read back, then retry.',
    { cause }
  );
}
