import type { ExtentId } from '../api/index.js';
import type { Leadership, MetaStore } from '../coordination/index.js';
import type { Clock, Random } from '../platform/index.js';
import { ExtentCollector } from './extent-collector.js';
import { ExtentRepair } from './extent-repair.js';
import { ExtentScrubber } from './extent-scrubber.js';
import type { NodeDirectory } from './node-directory.js';
import type { NodeRegistry } from './node-registry.js';
import { OrphanSweep } from './orphan-sweep.js';
import { ReplicaCopier } from './replica-copier.js';
import type { OnStreamEvent } from './stream-event.js';
import type { StreamTables } from './stream-tables.js';
import type { UpkeepSettings } from './upkeep-settings.js';

export interface UpkeepPartsOptions {
  readonly metaStore: MetaStore;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly nodes: NodeDirectory;
  readonly registry: NodeRegistry;
  readonly tables: StreamTables;
  readonly onEvent: OnStreamEvent;
  readonly settings: UpkeepSettings;
  /** Files of these exist, or may soon, although no stream lists them yet. */
  readonly allocating: ReadonlySet<ExtentId>;
  readonly signal: AbortSignal;
}

/** What watches over the replicas of a stamp, one class for each duty. */
export interface UpkeepParts {
  readonly registry: NodeRegistry;
  readonly repair: ExtentRepair;
  readonly collector: ExtentCollector;
  readonly orphans: OrphanSweep;
  readonly scrubber: ExtentScrubber;
}

export async function openUpkeepParts(options: UpkeepPartsOptions): Promise<UpkeepParts> {
  const { registry, nodes, settings, onEvent } = options;
  const shared = { ...options, managerEpoch: options.leadership.epoch, wantedCount: nodes.replicaCount };
  const concurrencyMax = settings.repairConcurrencyMax;
  const bytesPerSecond = settings.repairBytesPerSecond / concurrencyMax;
  const copier = new ReplicaCopier({ ...shared, bytesPerSecond });
  const collector: ExtentCollector = new ExtentCollector({
    ...shared,
    isBusy: (extentId) => repair.isActive(extentId),
    isDead: (memberId) => registry.livenessOf(memberId) === 'dead'
  });
  const repair: ExtentRepair = new ExtentRepair({
    ...shared,
    copier,
    concurrencyMax,
    onUnlisted: () => {
      collector.collect().catch((cause: unknown) => onEvent({ type: 'sweep-failed', cause }));
    }
  });
  const orphans = new OrphanSweep({
    ...shared,
    repair,
    copier,
    delete: (memberId, extentIds) => collector.delete(memberId, extentIds),
    graceMs: settings.orphanGraceMs
  });
  const scrubber = await ExtentScrubber.load({
    ...shared,
    repair,
    cycleMs: settings.scrubCycleMs,
    bytesPerSecond: settings.scrubBytesPerSecond
  });
  return { registry, repair, collector, orphans, scrubber };
}
