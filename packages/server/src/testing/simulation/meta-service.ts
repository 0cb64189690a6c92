import { StoreError } from '../../api/index.js';
import type { MetaChange, MetaTransaction } from '../../coordination/index.js';
import type { Random } from '../../platform/index.js';
import type { RoleCallOptions, RoleService } from '../../rpc/index.js';
import { keyOf, type MetaCore } from './meta-core.js';
import { wireCopy } from './wire-copy.js';
import type { World } from './world.js';

export const META = 'meta';

type Message = Readonly<Record<string, never>> & {
  readonly key: string;
  readonly prefix: string;
  readonly leaseId: string;
  readonly timeToLiveMs: number;
  readonly transaction: MetaTransaction;
  readonly afterRevision: number;
};

/**
 * Answers calls of the meta store. While it has no leader, some calls wait and others fail, and of those that fail some
 * have taken effect or still do later.
 */
export class MetaService implements RoleService {
  readonly #world: World;
  readonly #core: MetaCore;
  readonly #random: Random;
  readonly #cuts = new Set<() => void>();
  #leaderless: Promise<void> | undefined;
  #elect: (() => void) | undefined;

  constructor(world: World, core: MetaCore) {
    this.#world = world;
    this.#core = core;
    this.#random = world.random('etcd');
  }

  loseLeader(durationMs: number): void {
    if (this.#leaderless) return;
    this.#leaderless = new Promise((resolve) => {
      this.#elect = resolve;
    });
    this.cutWatches();
    this.#world.schedule({ afterMs: durationMs, label: 'etcd has a leader', run: () => this.haveLeader() });
  }

  haveLeader(): void {
    this.#core.extendLeases();
    this.#elect?.();
    this.#leaderless = undefined;
  }

  /** Every watch ends and has to be made again. */
  cutWatches(): void {
    for (const cut of [...this.#cuts]) cut();
  }

  async call(path: string, payload: unknown): Promise<unknown> {
    const message = payload as Message;
    if (this.#leaderless) await this.#withoutLeader(path, message);
    return this.#answer(path, message);
  }

  async #withoutLeader(path: string, message: Message): Promise<void> {
    const fate = this.#random.fraction();
    if (fate < 0.4) {
      await this.#leaderless;
      return;
    }
    // The old leader may have passed it on before it was lost: it happens soon, or when the next one has it.
    if (fate < 0.7 && path === `${META}.transact`) {
      const afterMs = this.#random.fraction() * 1000;
      // The message's own bytes are gone when the call has failed.
      const copy = wireCopy(message) as Message;
      const run = (): void => {
        void Promise.resolve(this.#leaderless)
          .then(() => this.#answer(path, copy))
          .catch(() => undefined);
      };
      this.#world.schedule({ afterMs, label: 'etcd late transaction', run });
    }
    throw new StoreError('ServiceUnavailable', 'The meta store has no leader now. Try again.');
  }

  #answer(path: string, { key, prefix, leaseId, timeToLiveMs, transaction }: Message): unknown {
    switch (path) {
      case `${META}.find`:
        return this.#core.find(key);
      case `${META}.range`:
        return this.#core.range(prefix);
      case `${META}.transact`:
        return this.#core.transact(transaction);
      case `${META}.grant`:
        return this.#core.grant(leaseId, timeToLiveMs);
      case `${META}.keepAlive`:
        return this.#core.keepAlive(leaseId);
      case `${META}.revoke`:
        return this.#core.revoke(leaseId);
      default:
        throw new StoreError('InvalidArgument', `There is no call ${path}.`);
    }
  }

  async *subscribe(_path: string, payload: unknown, { signal }: RoleCallOptions): AsyncIterable<MetaChange> {
    const { prefix, afterRevision } = payload as Message;
    const queue: MetaChange[] = [];
    let isCut = false;
    let wake: (() => void) | undefined;
    using _ = this.#core.onCommit(({ changes }) => {
      queue.push(...changes.filter((change) => keyOf(change).startsWith(prefix)));
      wake?.();
    });
    queue.push(...this.#core.changesAfter(prefix, afterRevision));
    const cut = (): void => {
      isCut = true;
      wake?.();
    };
    this.#cuts.add(cut);
    const aborted = (): void => wake?.();
    signal.addEventListener('abort', aborted, { once: true });
    try {
      while (!signal.aborted && !isCut) {
        const change = queue.shift();
        if (change) yield change;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
      if (isCut) throw new StoreError('ServiceUnavailable', 'The watch was cut. Watch again.');
    } finally {
      this.#cuts.delete(cut);
      signal.removeEventListener('abort', aborted);
    }
  }
}
