import type { ExtentId, FaultDomain, MemberId, StreamId } from '../api/index.js';
import type { MemberDuty, MemberLiveness } from './membership-api.js';
import type { CopyReason } from './stream-measure.js';

/** What an operator may want to know; nothing depends on it being heard. */
export type StreamEvent =
  /** An append failed; the extent is being sealed and its stream goes on in a new one. */
  | {
      readonly type: 'extent-replaced';
      readonly streamId: StreamId;
      readonly extentId: ExtentId;
      readonly memberIds: readonly MemberId[];
      readonly cause: unknown;
    }
  /** No replica had the extent undamaged: it is sealed with what there is, and reads of the damaged blocks fail. */
  | { readonly type: 'extent-sealed-damaged'; readonly extentId: ExtentId; readonly length: number }
  /** A new extent got fewer replicas than it should have. */
  | {
      readonly type: 'extent-under-replicated';
      readonly extentId: ExtentId;
      readonly replicaCount: number;
      readonly wantedCount: number;
    }
  | { readonly type: 'replica-damaged'; readonly extentId: ExtentId; readonly memberId: MemberId }
  | {
      readonly type: 'replica-rebuilt';
      readonly extentId: ExtentId;
      readonly memberId: MemberId;
      readonly bytes: number;
    }
  | {
      readonly type: 'replica-rebuild-failed';
      readonly extentId: ExtentId;
      readonly memberId: MemberId;
      readonly cause: unknown;
    }
  /** A new replica was made on another node, in the place of one or in addition. */
  | {
      readonly type: 'replica-copied';
      readonly extentId: ExtentId;
      readonly memberId: MemberId;
      readonly replacedMemberId: MemberId | undefined;
      readonly reason: CopyReason;
      readonly bytes: number;
    }
  /** The blocks of a sealed replica were compared with their checksums. */
  | {
      readonly type: 'replica-verified';
      readonly extentId: ExtentId;
      readonly memberId: MemberId;
      readonly bytes: number;
      readonly isIntact: boolean;
    }
  /** Files that no list names were deleted. */
  | { readonly type: 'orphans-deleted'; readonly memberId: MemberId; readonly extentIds: readonly ExtentId[] }
  /** This process is the stream manager from now on, or is it no more. */
  | { readonly type: 'stream-manager-leads'; readonly epoch: number }
  | { readonly type: 'stream-manager-ended'; readonly epoch: number }
  /** A node fell silent, came back, or an operator changed its duty. */
  | {
      readonly type: 'member-changed';
      readonly memberId: MemberId;
      readonly faultDomain: FaultDomain;
      readonly liveness: MemberLiveness;
      readonly duty: MemberDuty;
    }
  /** Every block of a node's sealed extents was read and compared with its checksum. */
  | {
      readonly type: 'scrub-finished';
      readonly memberId: MemberId;
      readonly blockCount: number;
      readonly verifiedBytes: number;
      readonly corruptCount: number;
      readonly repairedCount: number;
    }
  /** A folder is missing or unreadable; the other nodes serve. */
  | {
      readonly type: 'node-unavailable';
      readonly memberId: MemberId;
      readonly faultDomain: FaultDomain;
      readonly directory: string;
      readonly cause: unknown;
    }
  /** A node has files that this meta store never allocated: its tables may be older than the files. They are kept. */
  | {
      readonly type: 'unknown-extents-kept';
      readonly memberId: MemberId;
      readonly extentIds: readonly ExtentId[];
    }
  /** Background work failed and will be tried again. */
  | { readonly type: 'sweep-failed'; readonly cause: unknown };

export type OnStreamEvent = (event: StreamEvent) => void;
