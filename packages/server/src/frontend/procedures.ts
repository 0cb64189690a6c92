import type { z } from 'zod';
import * as api from '../api/index.js';
import { type Procedure, parserOf, type RunOptions, type Services, type Subscription } from './procedure.js';

/** What a body-less answer may take while it is in flight. */
const ANSWER_BYTES = 64 * 1024;
/** So that many may wait. */
const LOCK_BYTES = 1024;
/** Of the longest listings. */
const LIST_BYTES = 1024 * 1024;

type InBucket = { readonly bucket: string };
type Buckets<Input> = (input: Input) => readonly string[] | undefined;

interface Kind<Input> {
  readonly type: Procedure['type'];
  readonly access: Procedure['access'];
  readonly buckets: Buckets<Input>;
  readonly answerBytesMax?: Procedure['answerBytesMax'];
}

const inBucket = ({ bucket }: InBucket): readonly string[] => [bucket];
const everyBucket = (): undefined => undefined;

const READ = { type: 'query', access: 'read', buckets: inBucket } as const;
const WRITE = { type: 'mutation', access: 'write', buckets: inBucket } as const;
const ADMIN = { type: 'mutation', access: 'admin', buckets: inBucket } as const;

function procedure<Schema extends z.ZodType, Output>(
  { type, access, buckets, answerBytesMax = () => ANSWER_BYTES }: Kind<z.output<Schema>>,
  schema: Schema,
  run: (services: Services, input: z.output<Schema>, options: RunOptions) => Promise<Output>
): Procedure<Output> {
  const check = parserOf(schema);
  const parse = (raw: unknown) => {
    const input = check(raw);
    return {
      buckets: buckets(input),
      run: (services: Services, options: RunOptions) => run(services, input, options)
    };
  };
  return { type, access, answerBytesMax, parse };
}

/** A query about the whole stamp, without input. */
function overview<Output>(
  run: (services: Services, options: RunOptions) => Promise<Output>
): Procedure<Output> {
  return {
    type: 'query',
    access: 'admin',
    answerBytesMax: () => LIST_BYTES,
    parse: () => ({ buckets: undefined, run })
  };
}

const buckets = {
  create: procedure(ADMIN, api.createBucketSchema, ({ layer }, input, options) =>
    layer.buckets.create(input, options)
  ),
  delete: procedure(ADMIN, api.deleteBucketSchema, ({ layer }, input, options) =>
    layer.buckets.delete(input, options)
  ),
  head: procedure(READ, api.headBucketSchema, ({ layer }, input, options) =>
    layer.buckets.head(input, options)
  ),
  /** A key of some buckets sees these; pages may then be short. */
  list: procedure(
    { ...READ, buckets: () => [], answerBytesMax: () => LIST_BYTES },
    api.listBucketsSchema,
    async ({ layer }, input, options) => {
      const page = await layer.buckets.list(input, options);
      const { buckets: scope } = options.principal;
      return scope ? { ...page, buckets: page.buckets.filter(({ bucket }) => scope.has(bucket)) } : page;
    }
  ),
  configure: procedure(ADMIN, api.configureBucketSchema, ({ layer }, input, options) =>
    layer.buckets.configure(input, options)
  )
};

const objects = {
  put: procedure(WRITE, api.putSchema, ({ layer }, input, options) => layer.objects.put(input, options)),
  edit: procedure(WRITE, api.editSchema, ({ layer }, input, options) => layer.objects.edit(input, options)),
  read: procedure({ ...READ, answerBytesMax: readBytesMax }, api.readSchema, ({ layer }, input, options) =>
    layer.objects.read(input, options)
  ),
  head: procedure(READ, api.headSchema, ({ layer }, input, options) => layer.objects.head(input, options)),
  holes: procedure(
    { ...READ, answerBytesMax: () => LIST_BYTES },
    api.holesSchema,
    ({ layer }, input, options) => layer.objects.holes(input, options)
  ),
  stat: procedure(READ, api.statSchema, ({ layer }, input, options) => layer.objects.stat(input, options)),
  list: procedure(
    { ...READ, answerBytesMax: () => LIST_BYTES },
    api.listSchema,
    ({ layer }, input, options) => layer.objects.list(input, options)
  ),
  delete: procedure(WRITE, api.deleteSchema, ({ layer }, input, options) =>
    layer.objects.delete(input, options)
  ),
  deleteMany: procedure(WRITE, api.deleteManySchema, ({ layer }, input, options) =>
    layer.objects.deleteMany(input, options)
  ),
  copy: procedure(
    { ...WRITE, buckets: ({ bucket, to }) => [bucket, to.bucket ?? bucket] },
    api.copySchema,
    ({ layer }, input, options) => layer.objects.copy(input, options)
  ),
  rename: procedure(WRITE, api.renameSchema, ({ layer }, input, options) =>
    layer.objects.rename(input, options)
  ),
  compose: procedure(WRITE, api.composeSchema, ({ layer }, input, options) =>
    layer.objects.compose(input, options)
  ),
  renamePrefix: procedure(WRITE, api.renamePrefixSchema, ({ layer }, input, options) =>
    layer.objects.renamePrefix(input, options)
  ),
  deletePrefix: procedure(WRITE, api.deletePrefixSchema, ({ layer }, input, options) =>
    layer.objects.deletePrefix(input, options)
  ),
  setAttributes: procedure(WRITE, api.setAttributesSchema, ({ layer }, input, options) =>
    layer.objects.setAttributes(input, options)
  ),
  usage: procedure(READ, api.usageSchema, ({ layer }, input, options) => layer.objects.usage(input, options))
};

const uploads = {
  create: procedure(WRITE, api.createUploadSchema, ({ layer }, input, options) =>
    layer.uploads.create(input, options)
  ),
  write: procedure(WRITE, api.writeUploadSchema, ({ layer }, input, options) =>
    layer.uploads.write(input, options)
  ),
  putPart: procedure(WRITE, api.putPartSchema, ({ layer }, input, options) =>
    layer.uploads.putPart(input, options)
  ),
  truncate: procedure(WRITE, api.truncateUploadSchema, ({ layer }, input, options) =>
    layer.uploads.truncate(input, options)
  ),
  punch: procedure(WRITE, api.punchUploadSchema, ({ layer }, input, options) =>
    layer.uploads.punch(input, options)
  ),
  copyRange: procedure(
    { ...WRITE, buckets: ({ bucket, source }) => [bucket, source.bucket ?? bucket] },
    api.copyRangeSchema,
    ({ layer }, input, options) => layer.uploads.copyRange(input, options)
  ),
  complete: procedure(WRITE, api.completeUploadSchema, ({ layer }, input, options) =>
    layer.uploads.complete(input, options)
  ),
  abort: procedure(WRITE, api.abortUploadSchema, ({ layer }, input, options) =>
    layer.uploads.abort(input, options)
  ),
  list: procedure(
    { ...READ, answerBytesMax: () => LIST_BYTES },
    api.listUploadsSchema,
    ({ layer }, input, options) => layer.uploads.list(input, options)
  ),
  listParts: procedure(
    { ...READ, answerBytesMax: () => LIST_BYTES },
    api.listPartsSchema,
    ({ layer }, input, options) => layer.uploads.listParts(input, options)
  )
};

/** Whoever has a lock keeps writers out. */
const LOCK = { ...WRITE, answerBytesMax: () => LOCK_BYTES } as const;

const locks = {
  renew: procedure(LOCK, api.renewLocksSchema, ({ layer }, input, options) =>
    layer.locks.renew(input, options)
  ),
  acquire: procedure(LOCK, api.acquireLockSchema, ({ layer }, input, options) =>
    layer.locks.acquire(input, options)
  ),
  release: procedure(LOCK, api.releaseLockSchema, ({ layer }, input, options) =>
    layer.locks.release(input, options)
  ),
  find: procedure(
    { ...READ, answerBytesMax: () => LOCK_BYTES },
    api.findLockSchema,
    ({ layer }, input, options) => layer.locks.find(input, options)
  ),
  end: procedure(LOCK, api.endLocksSchema, ({ layer }, input, options) => layer.locks.end(input, options))
};

const OF_ALL_BUCKETS = { type: 'mutation', access: 'admin', buckets: everyBucket } as const;

const keys = {
  create: procedure(OF_ALL_BUCKETS, api.createKeySchema, (services, input, options) =>
    services.keys.create(input, options)
  ),
  list: overview(async (services) => services.keys.list()),
  delete: procedure(OF_ALL_BUCKETS, api.deleteKeySchema, (services, input, options) =>
    services.keys.delete(input, options)
  )
};

const EXTENTS_MAX = 100;

const admin = {
  status: overview((services, options) => services.status(options)),
  members: overview(({ membership }) => membership.members()),
  extents: procedure(
    { type: 'query', access: 'admin', buckets: everyBucket, answerBytesMax: () => LIST_BYTES },
    api.extentsSchema,
    async ({ membership }, input) => {
      const { filter = 'all', after, limit = EXTENTS_MAX } = input ?? {};
      return await membership.extents({
        filter,
        limit,
        ...(after !== undefined && { after: api.extentId(after) })
      });
    }
  ),
  drain: procedure(OF_ALL_BUCKETS, api.drainSchema, ({ membership }, { memberId, cancel = false }) =>
    membership.drain({ memberId: api.memberId(memberId), isCancelled: cancel })
  ),
  removeMember: procedure(OF_ALL_BUCKETS, api.removeMemberSchema, ({ membership }, { memberId }) =>
    membership.removeMember({ memberId: api.memberId(memberId) })
  ),
  scrub: procedure(OF_ALL_BUCKETS, api.scrubSchema, async ({ membership }, input) => {
    const memberIds = input?.memberIds?.map(api.memberId);
    await membership.scrub(memberIds ? { memberIds } : {});
  })
};

/** Every call that answers once, by namespace and name. */
export const PROCEDURES = { buckets, objects, uploads, locks, keys, admin } as const;

const checkWatch = parserOf(api.watchSchema);

export const WATCH: Subscription<api.WatchEvent> = {
  type: 'subscription',
  access: 'read',
  idOf: ({ resumeToken }) => resumeToken,
  parse: (raw) => {
    const { lastEventId, ...input } = checkWatch(raw);
    const resumeToken = lastEventId ?? input.resumeToken;
    const watched = { ...input, ...(resumeToken !== undefined && { resumeToken }) };
    return {
      buckets: [input.bucket],
      run: ({ layer }, options) => layer.objects.watch(watched, options)
    };
  }
};
/** What the events of a subscription that are on their way may take. */
export const SUBSCRIPTION_BYTES = ANSWER_BYTES;
export const WATCH_PATH = 'objects.watch';
/** May wait for others to release theirs. */
export const LOCK_PATH = 'locks.acquire';

const BY_PATH: ReadonlyMap<string, Procedure> = new Map(
  Object.entries(PROCEDURES).flatMap(([namespace, group]) =>
    Object.entries<Procedure>(group).map(([name, entry]) => [`${namespace}.${name}`, entry] as const)
  )
);
const PATHS: ReadonlyMap<Procedure, string> = new Map([...BY_PATH].map(([path, entry]) => [entry, path]));

export function findProcedure(path: string): Procedure | undefined {
  return BY_PATH.get(path);
}

/** The name of a procedure, as `objects.put`. */
export function pathOf(entry: Procedure): string {
  return PATHS.get(entry)!;
}

function readBytesMax(input: unknown): number {
  const { length } = (input ?? {}) as { readonly length?: unknown };
  return typeof length === 'number' && length >= 0
    ? Math.min(length, api.LIMITS.bodyBytesMax) + ANSWER_BYTES
    : api.LIMITS.bodyBytesMax + ANSWER_BYTES;
}
