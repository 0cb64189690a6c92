import type { MemberId, PartitionId } from '../api/index.js';

/** What an operator may want to know; nothing depends on it being heard. */
export type PartitionEvent =
  | {
      readonly type: 'partition-loaded';
      readonly partitionId: PartitionId;
      readonly epoch: number;
      readonly sequence: number;
      readonly durationMs: number;
    }
  /** It is being loaded again; calls wait or are told to try again. */
  | { readonly type: 'partition-failed'; readonly partitionId: PartitionId; readonly cause: unknown }
  | { readonly type: 'partition-load-failed'; readonly partitionId: PartitionId; readonly cause: unknown }
  /** The index cannot be read: it is made anew from the checkpoint and the log. */
  | { readonly type: 'index-damaged'; readonly partitionId: PartitionId; readonly cause: unknown }
  /** The index cannot be written: reads go on, mutations are refused. */
  | { readonly type: 'index-write-failed'; readonly partitionId: PartitionId; readonly cause: unknown }
  | {
      readonly type: 'checkpoint-written';
      readonly partitionId: PartitionId;
      readonly sequence: number;
      readonly rowCount: number;
      readonly durationMs: number;
    }
  /** Extents of which little was used were emptied, so that their space comes back. */
  | {
      readonly type: 'extents-compacted';
      readonly partitionId: PartitionId;
      readonly extentCount: number;
      readonly objectCount: number;
      readonly bytes: number;
      readonly durationMs: number;
    }
  /** This process is the partition manager from now on, or is it no more. */
  | { readonly type: 'partition-manager-leads'; readonly epoch: number }
  | { readonly type: 'partition-manager-ended'; readonly epoch: number }
  /** The partition manager gave a range to a server. */
  | { readonly type: 'partition-assigned'; readonly partitionId: PartitionId; readonly owner: MemberId }
  /** The partition manager could not do its work and tries again. */
  | { readonly type: 'assignment-failed'; readonly cause: unknown }
  /** A partition server may have been taken for gone: it stopped serving, and joins again. */
  | { readonly type: 'membership-lost'; readonly memberId: MemberId }
  /** Background work failed and will be tried again. */
  | { readonly type: 'upkeep-failed'; readonly partitionId: PartitionId; readonly cause: unknown };

export type OnPartitionEvent = (event: PartitionEvent) => void;
