import { type ExtentId, isStoreError, StoreError } from '../api/index.js';
import type { Random } from '../platform/index.js';
import type { NodeDirectory } from './node-directory.js';
import type { NodeRegistry } from './node-registry.js';
import { choosePlacement, countDomains, type PlacementCandidate } from './placement.js';
import type { SpaceUse } from './space-use.js';
import type { OnStreamEvent } from './stream-event.js';
import type { AllocateExtentAnswer } from './stream-manager-api.js';
import type { StreamTables } from './stream-tables.js';

/** Other nodes are tried so many times when some fail to create a replica. */
const PLACEMENT_ATTEMPTS = 4;

export interface ExtentCreatorOptions {
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
  /** Asks all nodes for their status. */
  readonly poll: () => Promise<void>;
  readonly tables: StreamTables;
  readonly random: Random;
  readonly onEvent: OnStreamEvent;
}

/** Whose it will be, and what for. */
export interface WantedExtent {
  readonly epoch: number;
  /** Absent: `bytes`. */
  readonly use?: SpaceUse | undefined;
}

/** Chooses nodes for new extents and creates the files there, before any stream lists them. */
export class ExtentCreator {
  readonly #options: ExtentCreatorOptions;
  readonly #allocating = new Set<ExtentId>();

  constructor(options: ExtentCreatorOptions) {
    this.#options = options;
  }

  /** Files of these exist, or may soon, although no stream lists them yet. */
  get allocating(): ReadonlySet<ExtentId> {
    return this.#allocating;
  }

  /** Runs with an extent whose files are durable on all its replicas, and which counts as being allocated meanwhile. */
  async withExtent<Result>(
    wanted: WantedExtent,
    run: (created: AllocateExtentAnswer) => Promise<Result>
  ): Promise<Result> {
    const created = await this.#create(wanted);
    try {
      return await run(created);
    } finally {
      this.#allocating.delete(created.extentId);
    }
  }

  async #create({ epoch, use = 'bytes' }: WantedExtent): Promise<AllocateExtentAnswer> {
    const { nodes, tables, random } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const candidates = await this.#candidates(use);
      const wantedCount = nodes.placeableCount(candidates);
      const placement = { candidates, replicaCount: wantedCount, fraction: () => random.fraction() };
      const replicas = choosePlacement(placement);
      if (wantedCount < nodes.replicaCountMin) throw tooFewNodes(wantedCount);
      if (replicas.length < wantedCount) throw noSpace(use, replicas.length, wantedCount);
      const extentId = await tables.allocateId();
      this.#allocating.add(extentId);
      const failure = await this.#createReplicas({ extentId, epoch, use, replicas });
      if (!failure) {
        this.#tellIfDegraded({ extentId, replicas });
        return { extentId, replicas };
      }
      this.#allocating.delete(extentId);
      if (attempt === PLACEMENT_ATTEMPTS) throw failure;
    }
  }

  /** Where what is known does not suffice, the nodes are asked: one may be back, or have space again. */
  async #candidates(use: SpaceUse): Promise<readonly PlacementCandidate[]> {
    const { nodes, registry, poll } = this.#options;
    const candidates = nodes.candidates(registry.placeable(), use);
    if (!nodes.isFull(candidates) && countDomains(candidates) >= nodes.replicaCountMin) return candidates;
    await poll();
    return nodes.candidates(registry.placeable(), use);
  }

  async #createReplicas(created: AllocateExtentAnswer & WantedExtent): Promise<StoreError | undefined> {
    const { extentId, epoch, use, replicas } = created;
    const { nodes } = this.#options;
    const what = `Creating extent ${extentId}`;
    const results = await Promise.allSettled(
      replicas.map((memberId) =>
        nodes.call({ memberId, replicaCount: replicas.length, what }, (node) =>
          node.createExtent({ extentId, epoch, use })
        )
      )
    );
    let failure: StoreError | undefined;
    results.forEach((result, index) => {
      if (result.status === 'fulfilled') return;
      const error: unknown = result.reason;
      failure = isStoreError(error)
        ? error
        : new StoreError('InternalError', `${what} failed.`, { cause: error });
      // A full disk is known as such by its status.
      if (!isStoreError(error, 'NoSpace')) nodes.exclude(replicas[index]!);
    });
    return failure;
  }

  #tellIfDegraded({ extentId, replicas }: AllocateExtentAnswer): void {
    const { nodes, onEvent } = this.#options;
    if (replicas.length >= nodes.replicaCount) return;
    const counts = { replicaCount: replicas.length, wantedCount: nodes.replicaCount };
    onEvent({ type: 'extent-under-replicated', extentId, ...counts });
  }
}

function tooFewNodes(count: number): StoreError {
  return new StoreError(
    'ReplicaUnavailable',
    `Only ${count} fault domains can take a new extent, too few. Bring nodes back.`
  );
}

function noSpace(use: SpaceUse, count: number, wantedCount: number): StoreError {
  const counts = `${count} of ${wantedCount} fault domains`;
  const space = use === 'bytes' ? 'space' : 'any space, not even what is kept for deletions,';
  return new StoreError('NoSpace', `Only ${counts} have ${space} for a new extent. Free space or add disks.`);
}
