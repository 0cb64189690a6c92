import { z } from 'zod';
import type { CallOptions, StampStatus } from './calls.js';

/* The calls of those who operate a stamp. */

export interface AdminCalls {
  status(options?: CallOptions): Promise<StampStatus>;
  /** Every extent node that ever was and has not been removed, with how it fares. */
  members(options?: CallOptions): Promise<StampMembers>;
  /** Extents by what is wrong with them, by pages, with sums over all. */
  extents(input?: ExtentsInput, options?: CallOptions): Promise<StampExtents>;
  /** Has everything moved off a node, in the background, or takes that back. Durable on return; `members` tells how far it is. */
  drain(input: DrainInput, options?: CallOptions): Promise<void>;
  /** Forgets a node that has nothing left and does not run. */
  removeMember(input: RemoveMemberInput, options?: CallOptions): Promise<void>;
  /** Begins to verify every block of every sealed extent now; `members` tells how far it is. */
  scrub(input?: ScrubInput, options?: CallOptions): Promise<void>;
}

const member = z.string().min(1).max(128);

export const extentsSchema = z
  .object({
    filter: z.enum(['all', 'open', 'under-replicated', 'damaged', 'moving']).optional(),
    /** Of the last extent of the page before. */
    after: z.int().nonnegative().optional(),
    limit: z.int().min(1).max(1000).optional()
  })
  .optional();
export const drainSchema = z.object({ memberId: member, cancel: z.boolean().optional() });
export const removeMemberSchema = z.object({ memberId: member });
export const scrubSchema = z
  .object({
    /** Absent = all. */
    memberIds: z.array(member).max(1000).optional()
  })
  .optional();

export type ExtentsInput = z.input<typeof extentsSchema>;
export type DrainInput = z.input<typeof drainSchema>;
export type RemoveMemberInput = z.input<typeof removeMemberSchema>;
export type ScrubInput = z.input<typeof scrubSchema>;

export interface StampMembers {
  readonly members: readonly {
    readonly memberId: string;
    readonly faultDomain: string;
    /** By heartbeats. */
    readonly liveness: 'up' | 'suspect' | 'dead';
    /** By an operator. */
    readonly duty: 'active' | 'draining' | 'drained';
    readonly silentMs: number;
    readonly totalBytes: number;
    readonly freeBytes: number;
    readonly isFull: boolean;
    /** Replicas that it should have, and their bytes in sealed extents. */
    readonly replicaCount: number;
    readonly replicaBytes: number;
    /** The last walk over all its blocks, or the one under way. */
    readonly scrub: {
      readonly startedAtMs?: number | undefined;
      readonly finishedAtMs?: number | undefined;
      readonly blockCount: number;
      readonly verifiedBytes: number;
      readonly corruptCount: number;
      readonly repairedCount: number;
    };
  }[];
}

export interface StampExtents {
  readonly extents: readonly {
    readonly extentId: number;
    readonly state: 'open' | 'sealing' | 'sealed';
    readonly length?: number | undefined;
    readonly wantedCount: number;
    readonly replicas: readonly {
      readonly memberId: string;
      readonly condition: 'good' | 'unconfirmed' | 'damaged' | 'dead' | 'draining';
    }[];
  }[];
  readonly isTruncated: boolean;
  /** Over all extents, whatever the filter. */
  readonly totals: {
    readonly extentCount: number;
    readonly openCount: number;
    readonly underReplicatedCount: number;
    readonly damagedCount: number;
    readonly unavailableCount: number;
    readonly movingCount: number;
    readonly bytesToCopy: number;
  };
}
