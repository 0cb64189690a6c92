import { type ExtentId, isStoreError, LIMITS, type MemberId, StoreError } from '../api/index.js';
import type { Clock } from '../platform/index.js';
import { NodeDirectory } from './node-directory.js';
import { decideSeal, type ReplicaAnswer } from './seal-decision.js';
import type { OnStreamEvent } from './stream-event.js';
import type { SealExtentAnswer } from './stream-manager-api.js';
import type { ExtentRecord, StreamTables } from './stream-tables.js';

/** Once the length is certain, replicas that have not answered yet get this long to be frozen too. */
const STRAGGLER_MS = 250;

export interface ExtentSealerOptions {
  readonly clock: Clock;
  readonly nodes: NodeDirectory;
  readonly tables: StreamTables;
  readonly onEvent: OnStreamEvent;
}

/**
 * Fixes the length of extents, once and for ever:
 *
 *   open ──▶ sealing(epoch) ──▶ sealed(length)
 *
 * Both steps are compare-and-set transactions; the replicas are frozen in between.
 */
export class ExtentSealer {
  readonly #options: ExtentSealerOptions;

  /** Extents that could not be sealed when it was tried last. */
  readonly #undecided = new Set<ExtentId>();

  constructor(options: ExtentSealerOptions) {
    this.#options = options;
  }

  /** How many extents have a length that nobody knows for now. */
  undecidedCount(): number {
    const { tables } = this.#options;
    for (const extentId of this.#undecided)
      if ((tables.findExtent(extentId)?.state ?? 'sealed') === 'sealed') this.#undecided.delete(extentId);
    return this.#undecided.size;
  }

  /** @throws StoreError `ReplicaUnavailable` when too few replicas answer, `StaleEpoch`. */
  async seal(extentId: ExtentId, epoch: number): Promise<SealExtentAnswer> {
    const { tables, onEvent } = this.#options;
    const record = tables.findExtent(extentId);
    if (!record)
      throw new StoreError('ExtentNotFound', `There is no extent ${extentId}. Open the stream again.`);
    if (record.state === 'sealed') return sealedAnswer(record);
    if (record.state !== 'sealing' || record.epoch !== epoch) {
      const sealing = { ...withoutState(record), state: 'sealing', epoch, ownerEpoch: epoch } as const;
      await tables.commit({ extents: new Map([[extentId, sealing]]) });
    }
    const answers = await this.#freezeAll(extentId, record, epoch);
    const decision = decideSeal({ answers, acknowledgedBy: record.acknowledgedBy });
    if (decision.result === 'undecided') {
      this.#undecided.add(extentId);
      const states = record.replicas.map((memberId, index) => `${memberId} ${answers[index]!.state}`);
      throw new StoreError(
        'ReplicaUnavailable',
        `Extent ${extentId} cannot be sealed: ${states.join(', ')}. Bring a replica back.`
      );
    }
    this.#undecided.delete(extentId);
    const { length, isDamaged } = decision;
    const sealed = sealedRecord({ record, epoch, length });
    await tables.commit({ extents: new Map([[extentId, isDamaged ? { ...sealed, isDamaged } : sealed]]) });
    if (isDamaged) onEvent({ type: 'extent-sealed-damaged', extentId, length });
    const isOnAllReplicas = answers.every((answer) => hasLength(answer, length));
    return { length, isOnAllReplicas };
  }

  async #freezeAll(
    extentId: ExtentId,
    { replicas, acknowledgedBy }: ExtentRecord,
    epoch: number
  ): Promise<readonly ReplicaAnswer[]> {
    const answers: ReplicaAnswer[] = replicas.map(() => ({ state: 'unreachable' }));
    let staleEpoch: StoreError | undefined;
    const calls = replicas.map(async (memberId, index) => {
      try {
        // After a restart the node looks at every block first; one that hangs is not waited for if others suffice.
        const timeoutMs = NodeDirectory.timeoutMsFor(LIMITS.extentBytesMax);
        const what = `Freezing extent ${extentId}`;
        const call = { memberId, replicaCount: replicas.length, what, timeoutMs };
        answers[index] = await this.#options.nodes.call(call, (node) => node.freeze({ extentId, epoch }));
      } catch (error) {
        if (isStoreError(error, 'StaleEpoch')) staleEpoch = error;
        if (isStoreError(error, 'ExtentNotFound')) answers[index] = { state: 'absent' };
        else this.#options.nodes.suspect(memberId);
      }
    });
    await this.#enough(calls, () => {
      const decision = decideSeal({ answers, acknowledgedBy });
      return decision.result === 'sealed' && !decision.isDamaged;
    });
    if (staleEpoch) throw staleEpoch;
    return [...answers];
  }

  /** Waits for all calls, or only a little longer once the rest cannot matter: a hanging node must not block. */
  async #enough(calls: readonly Promise<void>[], isEnough: () => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      let timer: Disposable | undefined;
      const finish = (): void => {
        timer?.[Symbol.dispose]();
        resolve();
      };
      for (const call of calls) {
        void call.then(() => {
          if (isEnough()) timer ??= this.#options.clock.setTimer(STRAGGLER_MS, finish);
        });
      }
      void Promise.all(calls).then(finish);
    });
  }
}

function hasLength(answer: ReplicaAnswer, length: number): boolean {
  return (answer.state === 'frozen' || answer.state === 'sealed') && answer.length >= length;
}

export function sealedAnswer({ length, unconfirmed }: ExtentRecord & { state: 'sealed' }): SealExtentAnswer {
  return { length, isOnAllReplicas: unconfirmed.length === 0 };
}

/** The record of an extent whose length is decided and that no node has confirmed yet. */
export function sealedRecord(options: {
  readonly record: ExtentRecord;
  readonly epoch: number;
  readonly length: number;
}): ExtentRecord {
  const { record, epoch, length } = options;
  return {
    ...withoutState(record),
    state: 'sealed',
    length,
    ownerEpoch: epoch,
    unconfirmed: record.replicas
  };
}

function withoutState(record: ExtentRecord): {
  readonly replicas: readonly MemberId[];
  readonly acknowledgedBy: number;
  readonly unconfirmed: readonly MemberId[];
} {
  const { replicas, acknowledgedBy, unconfirmed } = record;
  return { replicas, acknowledgedBy, unconfirmed };
}
