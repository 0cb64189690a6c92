import { z } from 'zod';
import type { CallTable } from '../../rpc/index.js';
import type { MembershipApi } from '../membership-api.js';
import {
  extentIdSchema,
  faultDomainSchema,
  lengthSchema,
  memberIdSchema,
  nodeStatusSchema
} from './remote-schemas.js';

/* The calls of the stream manager about nodes and their replicas. */

const nothing = z.unknown().transform(() => undefined);
const member = { memberId: memberIdSchema };

const scrub = z.object({
  startedAtMs: z.number().optional(),
  finishedAtMs: z.number().optional(),
  blockCount: lengthSchema,
  verifiedBytes: lengthSchema,
  corruptCount: lengthSchema,
  repairedCount: lengthSchema
});

const memberView = z.object({
  ...member,
  faultDomain: faultDomainSchema,
  liveness: z.enum(['up', 'suspect', 'dead']),
  duty: z.enum(['active', 'draining', 'drained']),
  silentMs: z.number(),
  totalBytes: lengthSchema,
  freeBytes: lengthSchema,
  isFull: z.boolean(),
  replicaCount: lengthSchema,
  replicaBytes: lengthSchema,
  scrub
});

const extentState = z.object({
  extentId: extentIdSchema,
  state: z.enum(['open', 'sealing', 'sealed']),
  length: lengthSchema.optional(),
  wantedCount: lengthSchema,
  replicas: z.array(
    z.object({ ...member, condition: z.enum(['good', 'unconfirmed', 'damaged', 'dead', 'draining']) })
  )
});

const totals = z.object({
  extentCount: lengthSchema,
  openCount: lengthSchema,
  underReplicatedCount: lengthSchema,
  damagedCount: lengthSchema,
  unavailableCount: lengthSchema,
  movingCount: lengthSchema,
  bytesToCopy: lengthSchema
});

export const membershipTable = {
  heartbeat: { input: nodeStatusSchema, output: z.object({ intervalMs: z.number().positive() }) },
  members: { input: z.unknown(), output: z.object({ members: z.array(memberView) }) },
  extents: {
    input: z.object({
      filter: z.enum(['all', 'open', 'under-replicated', 'damaged', 'moving']),
      after: extentIdSchema.optional(),
      limit: lengthSchema
    }),
    output: z.object({ extents: z.array(extentState), isTruncated: z.boolean(), totals })
  },
  drain: { input: z.object({ ...member, isCancelled: z.boolean() }), output: nothing },
  removeMember: { input: z.object(member), output: nothing },
  scrub: { input: z.object({ memberIds: z.array(memberIdSchema).max(100_000).optional() }), output: nothing }
} satisfies CallTable<MembershipApi>;
