import {
  initTRPC,
  type TRPC_ERROR_CODE_KEY,
  TRPCError,
  type TRPCMutationProcedure,
  type TRPCQueryProcedure,
  tracked
} from '@trpc/server';
import * as api from '../api/index.js';
import { bodyBytesOf, type Caller, type Dispatcher } from './dispatcher.js';
import type { Procedure } from './procedure.js';
import { PROCEDURES, WATCH } from './procedures.js';

/** What each tRPC request carries. */
export interface RouterContext {
  readonly dispatcher: Dispatcher;
  /**
   * Who calls, as of now.
   * @throws StoreError `Unauthenticated`
   */
  readonly caller: () => Caller;
  /** Aborts with the connection, for transports that do not end each call with it. */
  readonly signal?: AbortSignal | undefined;
  /** Waits for room for the body and answer of a call; call the result with the body of the answer when it is there. */
  readonly admit?: ((bytes: CallBytes) => Promise<(answerBytes: number) => void>) | undefined;
  /** Resolves when the connection can take more events; subscriptions wait for it. */
  readonly drained?: (() => Promise<void>) | undefined;
}

export interface CallBytes {
  readonly input: number;
  readonly answerMax: number;
}

/** Errors of tRPC itself, before a procedure is reached. */
const CODES_OF_TRPC: Readonly<Partial<Record<TRPC_ERROR_CODE_KEY, api.PublicErrorCode>>> = {
  PARSE_ERROR: 'InvalidArgument',
  BAD_REQUEST: 'InvalidArgument',
  NOT_FOUND: 'InvalidArgument',
  METHOD_NOT_SUPPORTED: 'InvalidArgument',
  UNSUPPORTED_MEDIA_TYPE: 'InvalidArgument',
  UNAUTHORIZED: 'Unauthenticated',
  PAYLOAD_TOO_LARGE: 'EntityTooLarge',
  CLIENT_CLOSED_REQUEST: 'Cancelled'
};

const t = initTRPC.context<RouterContext>().create({
  transformer: api.jsonTransformer,
  isDev: false,
  errorFormatter: ({ shape, error }) => {
    const { cause } = error;
    const storeError = cause instanceof api.StoreError ? cause : undefined;
    const storeCode = storeError
      ? api.publicCodeOf(storeError.code)
      : (CODES_OF_TRPC[error.code] ?? 'InternalError');
    return {
      ...shape,
      message: storeError || storeCode !== 'InternalError' ? shape.message : 'The store failed inside.',
      data: { ...shape.data, storeCode, retryAfterMs: storeError?.retryAfterMs }
    };
  }
});

/** A store error as tRPC wants it; anything else stays as it is. */
export function trpcErrorOf(thrown: unknown): unknown {
  if (!(thrown instanceof api.StoreError)) return thrown;
  return new TRPCError({ code: api.ERROR_CODES[thrown.code].trpc, message: thrown.message, cause: thrown });
}

interface ResolverOptions {
  readonly ctx: RouterContext;
  readonly input: unknown;
  readonly signal: AbortSignal | undefined;
}

async function serve<Output>(
  procedure: Procedure<Output>,
  { ctx, input, signal }: ResolverOptions
): Promise<Output> {
  let answered: ((answerBytes: number) => void) | undefined;
  let answerBytes = 0;
  try {
    answered = await ctx.admit?.({
      input: bodyBytesOf(input),
      answerMax: procedure.answerBytesMax(input)
    });
    const caller = { ...ctx.caller(), signal: ctx.signal ?? signal };
    const answer = await ctx.dispatcher.call(procedure, input, caller, { raced: true });
    answerBytes = bodyBytesOf(answer);
    return answer;
  } catch (thrown) {
    throw trpcErrorOf(thrown);
  } finally {
    answered?.(answerBytes);
  }
}

/** Inputs are checked by the dispatcher, once for all transports; here they only get their type. */
const unchecked = t.procedure.input((input: unknown) => input);

function query<Input>() {
  return <Output>(procedure: Procedure<Output>) =>
    unchecked.query((options) => serve(procedure, options)) as unknown as TRPCQueryProcedure<{
      input: Input;
      output: Output;
      meta: unknown;
    }>;
}

function mutation<Input>() {
  return <Output>(procedure: Procedure<Output>) =>
    unchecked.mutation((options) => serve(procedure, options)) as unknown as TRPCMutationProcedure<{
      input: Input;
      output: Output;
      meta: unknown;
    }>;
}

const { buckets, objects, uploads, locks, keys, admin } = PROCEDURES;

/** The calls of the store for any tRPC client. */
export const appRouter = t.router({
  buckets: t.router({
    create: mutation<api.CreateBucketInput>()(buckets.create),
    delete: mutation<api.DeleteBucketInput>()(buckets.delete),
    head: query<api.HeadBucketInput>()(buckets.head),
    // biome-ignore lint/suspicious/noConfusingVoidType: only void lets callers leave the input out.
    list: query<api.ListBucketsInput | void>()(buckets.list),
    configure: mutation<api.ConfigureBucketInput>()(buckets.configure)
  }),
  objects: t.router({
    put: mutation<api.PutInput>()(objects.put),
    edit: mutation<api.EditInput>()(objects.edit),
    read: query<api.ReadInput>()(objects.read),
    head: query<api.HeadInput>()(objects.head),
    holes: query<api.HolesInput>()(objects.holes),
    stat: query<api.StatInput>()(objects.stat),
    list: query<api.ListInput>()(objects.list),
    delete: mutation<api.DeleteInput>()(objects.delete),
    deleteMany: mutation<api.DeleteManyInput>()(objects.deleteMany),
    copy: mutation<api.CopyInput>()(objects.copy),
    rename: mutation<api.RenameInput>()(objects.rename),
    compose: mutation<api.ComposeInput>()(objects.compose),
    renamePrefix: mutation<api.RenamePrefixInput>()(objects.renamePrefix),
    deletePrefix: mutation<api.DeletePrefixInput>()(objects.deletePrefix),
    setAttributes: mutation<api.SetAttributesInput>()(objects.setAttributes),
    usage: query<api.UsageInput>()(objects.usage),
    watch: t.procedure
      .input((input: unknown) => input as api.WatchInput)
      .subscription(async function* ({ ctx, input, signal }) {
        assertSignal(signal);
        try {
          for await (const event of ctx.dispatcher.subscribe(WATCH, input, { ...ctx.caller(), signal })) {
            // A key that was deleted since learns nothing more.
            ctx.caller();
            yield tracked(WATCH.idOf(event), event);
            await ctx.drained?.();
          }
        } catch (thrown) {
          throw trpcErrorOf(thrown);
        }
      })
  }),
  uploads: t.router({
    create: mutation<api.CreateUploadInput>()(uploads.create),
    write: mutation<api.WriteUploadInput>()(uploads.write),
    putPart: mutation<api.PutPartInput>()(uploads.putPart),
    truncate: mutation<api.TruncateUploadInput>()(uploads.truncate),
    punch: mutation<api.PunchUploadInput>()(uploads.punch),
    copyRange: mutation<api.CopyRangeInput>()(uploads.copyRange),
    complete: mutation<api.CompleteUploadInput>()(uploads.complete),
    abort: mutation<api.AbortUploadInput>()(uploads.abort),
    list: query<api.ListUploadsInput>()(uploads.list),
    listParts: query<api.ListPartsInput>()(uploads.listParts)
  }),
  locks: t.router({
    renew: mutation<api.RenewLocksInput>()(locks.renew),
    acquire: mutation<api.AcquireLockInput>()(locks.acquire),
    release: mutation<api.ReleaseLockInput>()(locks.release),
    find: query<api.FindLockInput>()(locks.find),
    end: mutation<api.EndLocksInput>()(locks.end)
  }),
  keys: t.router({
    create: mutation<api.CreateKeyInput>()(keys.create),
    list: query<void>()(keys.list),
    delete: mutation<api.DeleteKeyInput>()(keys.delete)
  }),
  admin: t.router({
    status: query<void>()(admin.status),
    members: query<void>()(admin.members),
    extents: query<api.ExtentsInput>()(admin.extents),
    drain: mutation<api.DrainInput>()(admin.drain),
    removeMember: mutation<api.RemoveMemberInput>()(admin.removeMember),
    scrub: mutation<api.ScrubInput>()(admin.scrub)
  })
});

export type AppRouter = typeof appRouter;

function assertSignal(signal: AbortSignal | undefined): asserts signal is AbortSignal {
  if (!signal)
    throw new api.StoreError('InvalidArgument', 'A subscription takes a transport that can end it.');
}
