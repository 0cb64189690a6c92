import type { AppRouter } from '@stampede/server';
import { ERROR_CODES } from '@stampede/server/api';
import type { Operation, TRPCLink } from '@trpc/client';
import { observable } from '@trpc/server/observable';
import type { Clock } from './clock.js';
import type { ConnectionOptions } from './create-store-client.js';
import { storeErrorFrom } from './errors.js';
import { FramedTransport } from './transport/framed-transport.js';

export interface FramedLinkOptions extends ConnectionOptions {
  readonly clock?: Clock;
}

/** A link whose connection is closed by `close`; until then it keeps the process running. */
export interface FramedLink extends TRPCLink<AppRouter>, AsyncDisposable {
  close(): Promise<void>;
}

/**
 * Carries the calls of a tRPC client over the framed transport: bytes stay bytes. It ends the chain of links. Calls are
 * not repeated; an operation's `context.deadlineMs` limits it. Errors carry `data.storeCode` and `data.retryAfterMs`.
 *
 * @throws StoreError `InvalidArgument` for an endpoint or credentials that cannot be right.
 */
export function framedLink(options: FramedLinkOptions): FramedLink {
  const transport = new FramedTransport(options);
  const link: TRPCLink<AppRouter> =
    () =>
    ({ op }) =>
      observable((observer) => {
        const stop = new AbortController();
        const signal = op.signal ? AbortSignal.any([op.signal, stop.signal]) : stop.signal;
        const run = async () => {
          try {
            if (op.type === 'subscription') {
              observer.next({ result: { type: 'started' } });
              for await (const { id, data } of transport.events(op.path, op.input, { signal }))
                observer.next({
                  result: id === undefined ? { type: 'data', data } : { type: 'data', id, data: { id, data } }
                });
              observer.next({ result: { type: 'stopped' } });
            } else {
              const data = await transport.request(op.type, op.path, op.input, {
                signal,
                ...deadlineOf(op)
              });
              observer.next({ result: { type: 'data', data } });
            }
            observer.complete();
          } catch (error) {
            if (!stop.signal.aborted) observer.error(await clientErrorFrom(error, op.path));
          }
        };
        void run();
        return () => stop.abort();
      });
  const close = () => transport.close();
  return Object.assign(link, { close, [Symbol.asyncDispose]: close });
}

function deadlineOf({ context }: Operation): { readonly deadlineMs?: number } {
  const { deadlineMs } = context;
  return typeof deadlineMs === 'number' ? { deadlineMs } : {};
}

/** The error in the shape that the store's own tRPC endpoints give it. */
async function clientErrorFrom(thrown: unknown, path: string) {
  // Loaded by now in every program that has a link, and by no other.
  const [{ TRPCClientError }, { TRPCError }, { getHTTPStatusCodeFromError }, { TRPC_ERROR_CODES_BY_KEY }] =
    await Promise.all([
      import('@trpc/client'),
      import('@trpc/server'),
      import('@trpc/server/http'),
      import('@trpc/server/rpc')
    ]);
  const { code: storeCode, message, retryAfterMs } = storeErrorFrom(thrown);
  const code = ERROR_CODES[storeCode].trpc;
  const httpStatus = getHTTPStatusCodeFromError(new TRPCError({ code }));
  const data = { code, httpStatus, path, storeCode, retryAfterMs };
  return TRPCClientError.from<AppRouter>({
    error: { code: TRPC_ERROR_CODES_BY_KEY[code], message, data } as never
  });
}
