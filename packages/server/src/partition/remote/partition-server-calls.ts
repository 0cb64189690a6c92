import { z } from 'zod';
import * as api from '../../api/index.js';
import type { RoleService } from '../../rpc/index.js';
import { type OnceCall, PARTITION_CALLS, type PartitionCalls } from '../partition-calls.js';
import type { PartitionServer } from '../partition-server.js';

/** The first part of the paths of a partition server's calls: `partition.objects.put`. */
export const PARTITION = 'partition';

type Group = keyof PartitionCalls;

const SCHEMAS: { readonly [Name in Group]: Readonly<Record<string, z.ZodType>> } = {
  buckets: {
    create: api.createBucketSchema,
    delete: api.deleteBucketSchema,
    head: api.headBucketSchema,
    list: api.listBucketsSchema,
    configure: api.configureBucketSchema
  },
  objects: {
    put: api.putSchema,
    edit: api.editSchema,
    read: api.readSchema,
    head: api.headSchema,
    holes: api.holesSchema,
    stat: api.statSchema,
    list: api.listSchema,
    delete: api.deleteSchema,
    deleteMany: api.deleteManySchema,
    copy: api.copySchema,
    rename: api.renameSchema,
    compose: api.composeSchema,
    renamePrefix: api.renamePrefixSchema,
    deletePrefix: api.deletePrefixSchema,
    setAttributes: api.setAttributesSchema,
    usage: api.usageSchema
  },
  uploads: {
    create: api.createUploadSchema,
    write: api.writeUploadSchema,
    putPart: api.putPartSchema,
    truncate: api.truncateUploadSchema,
    punch: api.punchUploadSchema,
    copyRange: api.copyRangeSchema,
    complete: api.completeUploadSchema,
    abort: api.abortUploadSchema,
    list: api.listUploadsSchema,
    listParts: api.listPartsSchema
  },
  locks: {
    renew: api.renewLocksSchema,
    acquire: api.acquireLockSchema,
    release: api.releaseLockSchema,
    find: api.findLockSchema,
    end: api.endLocksSchema
  }
};

/** Beside the fields of the call itself, so that its bytes stay at the top of the message. */
const addressSchema = z.object({ partitionId: z.string().min(1).max(128).transform(api.partitionId) });

/** A message to a partition server: the call's fields and the range. */
export function partitionMessage(partitionId: api.PartitionId, input: object | undefined): object {
  return { ...input, partitionId };
}

/** Serves the ranges of a partition server to front ends elsewhere. */
export function servePartitions(server: PartitionServer): RoleService {
  return {
    async call(path, payload, { signal }) {
      const [, group = '', name = ''] = path.split('.');
      const { partitionId } = parse(addressSchema, payload, path);
      if (group === 'admin' && name === 'status') return await server.status(partitionId);
      const schema = Object.hasOwn(SCHEMAS, group) ? SCHEMAS[group as Group][name] : undefined;
      if (!schema || !(PARTITION_CALLS[group as Group] as readonly string[]).includes(name))
        throw unknownCall(path);
      const input = parse(schema, payload, path);
      return await server.answer(partitionId, async (calls) => {
        const target = calls[group as Group] as unknown as Readonly<Record<string, OnceCall>>;
        return await target[name]!(input as never, { signal });
      });
    },
    async *subscribe(path, payload, { signal }) {
      if (path !== `${PARTITION}.objects.watch`) throw unknownCall(path);
      const { partitionId } = parse(addressSchema, payload, path);
      const input = parse(api.watchSchema, payload, path);
      yield* server.answers(partitionId, (calls) => calls.objects.watch(input, { signal }));
    }
  };
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'the message';
  throw new api.StoreError('InvalidArgument', `${path}: ${where} is wrong (${issue?.message}).`);
}

function unknownCall(path: string): api.StoreError {
  return new api.StoreError(
    'InvalidArgument',
    `There is no call ${JSON.stringify(path.slice(0, 100))} here. Run the same release everywhere.`
  );
}
