import { LIMITS } from '../api/index.js';

/** How a stream manager watches over its nodes and their replicas. */
export interface UpkeepSettings {
  readonly heartbeatMs: number;
  /** A member that is silent for so long is dead: its replicas are made anew elsewhere. */
  readonly deadAfterMs: number;
  /** Of all copies together; clients' traffic goes first. */
  readonly repairBytesPerSecond: number;
  /** So many extents are worked on at the same time. */
  readonly repairConcurrencyMax: number;
  /** Every block is verified once in this time. */
  readonly scrubCycleMs: number;
  /** Of one node; more where a cycle would else not suffice. */
  readonly scrubBytesPerSecond: number;
  /** For so long a file that no table knows is kept. */
  readonly orphanGraceMs: number;
}

export const UPKEEP_DEFAULTS: UpkeepSettings = {
  heartbeatMs: LIMITS.heartbeatMs,
  deadAfterMs: LIMITS.memberDeadAfterMs,
  repairBytesPerSecond: LIMITS.repairBytesPerSecond,
  repairConcurrencyMax: LIMITS.repairConcurrencyMax,
  scrubCycleMs: LIMITS.scrubCycleMs,
  scrubBytesPerSecond: LIMITS.scrubBytesPerSecond,
  orphanGraceMs: LIMITS.orphanGraceMs
};
