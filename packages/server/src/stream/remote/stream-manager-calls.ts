import { z } from 'zod';
import {
  type CallTable,
  type RoleConnection,
  type RoleService,
  remoteCalls,
  serveCalls
} from '../../rpc/index.js';
import { NodeDirectory } from '../node-directory.js';
import type { StreamManagerApi } from '../stream-manager-api.js';
import { membershipTable } from './membership-calls.js';
import {
  epochSchema,
  extentIdSchema,
  lengthSchema,
  memberIdSchema,
  spaceUseSchema,
  streamIdSchema
} from './remote-schemas.js';

/** The first part of the paths of the stream manager's calls. */
export const STREAM_MANAGER = 'streamManager';

/** Sealing waits for nodes, each no longer than this. */
const DEADLINE_MS = 3 * NodeDirectory.timeoutMs(1);

const owner = { streamId: streamIdSchema, epoch: epochSchema };
const extentIds = z.array(extentIdSchema).max(1_000_000);
const nothing = z.unknown().transform(() => undefined);
const streamExtent = z.object({
  extentId: extentIdSchema,
  state: z.enum(['open', 'sealed']),
  length: lengthSchema
});

const TABLE = {
  openStream: { input: z.object(owner), output: z.object({ extents: z.array(streamExtent) }) },
  allocateExtent: {
    input: z.object({
      ...owner,
      previous: z.object({ extentId: extentIdSchema, length: lengthSchema }).optional(),
      suspects: z.array(memberIdSchema).max(64),
      use: spaceUseSchema.optional()
    }),
    output: z.object({ extentId: extentIdSchema, replicas: z.array(memberIdSchema) })
  },
  sealExtent: {
    input: z.object({ ...owner, extentId: extentIdSchema, length: lengthSchema.optional() }),
    output: z.object({ length: lengthSchema, isOnAllReplicas: z.boolean() })
  },
  releaseExtents: { input: z.object({ ...owner, extentIds }), output: nothing },
  moveExtents: {
    input: z.object({ from: z.object(owner), to: z.object(owner), extentIds }),
    output: nothing
  },
  findExtent: {
    input: z.object({ extentId: extentIdSchema }),
    output: z
      .object({ replicas: z.array(memberIdSchema), sealedLength: lengthSchema.optional() })
      .nullish()
      .transform((view) => view ?? undefined)
  },
  reportDamage: {
    input: z.object({ extentId: extentIdSchema, memberId: memberIdSchema }),
    output: nothing
  },
  ...membershipTable
} satisfies CallTable<StreamManagerApi>;

/** Serves the stream manager of this process, whether it leads or not, to the others. */
export function serveStreamManager(manager: StreamManagerApi): RoleService {
  return serveCalls<StreamManagerApi>(STREAM_MANAGER, TABLE, manager);
}

/** The stream manager at one address. */
export function remoteStreamManager(connection: RoleConnection): StreamManagerApi {
  return remoteCalls<StreamManagerApi>(TABLE, { name: STREAM_MANAGER, connection, deadlineMs: DEADLINE_MS });
}
