import { EXTENT_BYTES_MAX, type Machine } from './machine.js';
import type { MetaCore } from './meta-core.js';
import { extentPath, findExtentRow, listedExtents } from './stream-rows.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

export interface SpaceMonitorOptions {
  readonly world: World;
  readonly core: MetaCore;
  readonly machines: ReadonlyMap<string, Machine>;
  /** Of all objects. */
  readonly liveBytes: () => number;
}

const CHECK_MS = 60_000;
const SPACE_FACTOR_MAX = 1.3;
const EXTENTS_MORE = 2;
/** Of the log since the checkpoint, and of the checkpoint itself. */
const OTHER_STREAMS = ['log', 'checkpoint', 'metadata'];
/** A failover or a pass that is under way may take so long. */
const EXCESS_MS_MAX = 600_000;

/** What extents take beside what objects have, while most of it is written again and again. */
export class SpaceMonitor {
  readonly #options: SpaceMonitorOptions;
  #withinAtMs = 0;
  /** Of the bytes of objects, what their extents took, at worst and beyond two extents. */
  factorMax = 0;

  constructor(options: SpaceMonitorOptions) {
    this.#options = options;
    this.#withinAtMs = options.world.nowMs;
    this.#checkLater();
  }

  #checkLater(): void {
    const run = (): void => {
      this.#check();
      this.#checkLater();
    };
    this.#options.world.schedule({ afterMs: CHECK_MS, label: '', run });
  }

  #check(): void {
    const { world, liveBytes } = this.#options;
    const live = liveBytes();
    const used = this.#usedBytes();
    const factor = (used - EXTENTS_MORE * EXTENT_BYTES_MAX) / Math.max(1, live);
    world.note(() => `objects have ${live} bytes, their extents ${used}`);
    if (factor <= SPACE_FACTOR_MAX) this.#withinAtMs = world.nowMs;
    else if (world.nowMs - this.#withinAtMs > EXCESS_MS_MAX)
      world.fail(
        new Violation('space', `objects have ${live} bytes, and their extents take ${used} for ten minutes`)
      );
    this.factorMax = Math.max(this.factorMax, factor);
  }

  #usedBytes(): number {
    const { core, machines } = this.#options;
    let used = 0;
    for (const extentId of listedExtents(core, (name) => !OTHER_STREAMS.some((end) => name.endsWith(end)))) {
      const row = findExtentRow(core, extentId);
      const stored = row?.replicas.map(
        (member) => machines.get(member)?.memory.findDurableBytes(extentPath(extentId))?.byteLength ?? 0
      );
      used += row?.length ?? Math.max(0, ...(stored ?? []));
    }
    return used;
  }
}
