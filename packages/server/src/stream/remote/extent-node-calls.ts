import { z } from 'zod';
import { isStoreError, LIMITS, StoreError } from '../../api/index.js';
import {
  type CallTable,
  type RoleConnection,
  type RoleService,
  remoteCalls,
  serveCalls
} from '../../rpc/index.js';
import type { AppendMessage, ExtentNodeApi } from '../extent-node-api.js';
import { NodeDirectory } from '../node-directory.js';
import { appendSchema, toAppendWire } from './append-wire.js';
import {
  bytesSchema,
  epochSchema,
  extentIdSchema,
  lengthSchema,
  memberIdSchema,
  nodeStatusSchema,
  offsetSchema,
  rateSchema,
  spaceUseSchema
} from './remote-schemas.js';

/** The first part of the paths of an extent node's calls. */
export const EXTENT_NODE = 'extentNode';

/** What a call may take that reads or writes a whole extent. */
const LONG_MS = NodeDirectory.timeoutMsFor(2 * LIMITS.extentBytesMax);
/** The callers have their own, shorter ones; this one only ends what nobody waits for. */
const DEADLINE_MS = 2 * NodeDirectory.timeoutMs(1);

const extent = { extentId: extentIdSchema, epoch: epochSchema };
/** Of work that keeps to a rate. */
const pacedMs = (message: { readonly length: number; readonly bytesPerSecond: number }): number =>
  LONG_MS + (message.length * 1000) / message.bytesPerSecond;
const nothing = z.unknown().transform(() => undefined);

const TABLE: CallTable<ExtentNodeApi> = {
  createExtent: { input: z.object({ ...extent, use: spaceUseSchema.optional() }), output: nothing },
  append: { input: appendSchema, output: nothing },
  readBlock: {
    input: z.object({
      extentId: extentIdSchema,
      blockOffset: offsetSchema,
      start: offsetSchema,
      length: lengthSchema
    }),
    output: bytesSchema
  },
  scan: {
    input: z.object({
      extentId: extentIdSchema,
      offset: offsetSchema,
      limit: offsetSchema,
      pageBytes: lengthSchema
    }),
    output: z.object({
      blocks: z.array(
        z.object({ offset: offsetSchema, sequence: z.int(), payloadLength: lengthSchema, head: bytesSchema })
      ),
      nextOffset: offsetSchema,
      isDamaged: z.boolean()
    })
  },
  fetch: {
    input: z.object({ extentId: extentIdSchema, offset: offsetSchema, length: lengthSchema }),
    output: bytesSchema
  },
  freeze: {
    input: z.object(extent),
    output: z.discriminatedUnion('state', [
      z.object({ state: z.literal('sealed'), length: lengthSchema }),
      z.object({ state: z.literal('frozen'), length: lengthSchema, isUncertain: z.boolean().optional() }),
      z.object({ state: z.literal('damaged'), structuralLength: lengthSchema })
    ]),
    deadlineMs: LONG_MS
  },
  seal: {
    input: z.object({ ...extent, length: lengthSchema, acceptsDamage: z.boolean() }),
    output: z.object({ isComplete: z.boolean() }),
    deadlineMs: LONG_MS
  },
  rebuild: {
    input: z.object({
      ...extent,
      length: lengthSchema,
      sources: z.array(memberIdSchema).max(64),
      managerEpoch: epochSchema,
      bytesPerSecond: rateSchema
    }),
    output: nothing,
    deadlineMs: pacedMs
  },
  verify: {
    input: z.object({ extentId: extentIdSchema, length: lengthSchema, bytesPerSecond: rateSchema }),
    output: z.object({ blockCount: lengthSchema, verifiedBytes: lengthSchema, isIntact: z.boolean() }),
    deadlineMs: pacedMs
  },
  deleteExtents: {
    input: z.object({ extentIds: z.array(extentIdSchema).max(100_000), managerEpoch: epochSchema }),
    output: nothing
  },
  list: {
    input: z.object({ after: extentIdSchema.optional(), limit: lengthSchema }),
    output: z.array(extentIdSchema)
  },
  status: {
    input: z.unknown(),
    output: nodeStatusSchema
  }
};

/** Serves a node of this process to the others. */
export function serveExtentNode(node: ExtentNodeApi): RoleService {
  return serveCalls(EXTENT_NODE, TABLE, node);
}

/** A node in another process. What cannot be reached fails with `ReplicaUnavailable`. */
export function remoteExtentNode(connection: RoleConnection): ExtentNodeApi {
  const calls = remoteCalls<ExtentNodeApi>(TABLE, {
    name: EXTENT_NODE,
    connection,
    deadlineMs: DEADLINE_MS
  });
  const guarded = Object.entries(calls).map(([name, call]) => [
    name,
    async (message: unknown, options: unknown) => {
      const sent = name === 'append' ? toAppendWire(message as AppendMessage) : message;
      try {
        return await (call as (...args: unknown[]) => Promise<unknown>)(sent, options);
      } catch (error) {
        throw asUnavailable(error);
      }
    }
  ]);
  return Object.fromEntries(guarded) as ExtentNodeApi;
}

function asUnavailable(error: unknown): unknown {
  if (!isStoreError(error, 'ServiceUnavailable', 'DeadlineExceeded')) return error;
  return new StoreError('ReplicaUnavailable', error.message, { cause: error });
}
