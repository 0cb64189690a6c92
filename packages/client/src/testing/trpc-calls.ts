import { type CallOptions, jsonTransformer, type StoreCalls, type WatchEvent } from '@stampede/server/api';
import {
  createTRPCUntypedClient,
  createWSClient,
  httpBatchLink,
  httpLink,
  type TRPCLink,
  wsLink
} from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import { callsOver, kindOf } from '../call-table.js';
import { cancelledError, storeErrorFrom } from '../errors.js';

/* The calls of a store by the standard tRPC client, as programs without this SDK make them: to try the server with. */

export interface TrpcCallsOptions {
  /** As `http://HOST:7070`. */
  readonly endpoint: string;
  readonly token: () => Promise<string>;
}

const transformer = { input: jsonTransformer, output: jsonTransformer };

export function trpcHttpCalls(options: TrpcCallsOptions & { readonly isBatched: boolean }): StoreCalls {
  const { endpoint, token, isBatched } = options;
  const link = isBatched ? httpBatchLink : httpLink;
  const headers = async () => ({ authorization: `Bearer ${await token()}` });
  return trpcCalls(link({ url: `${endpoint}/trpc`, transformer, headers }));
}

/** @param options.WebSocket   The runtime's or a library's. */
export function trpcWebSocketCalls(options: TrpcCallsOptions & { readonly WebSocket: unknown }): {
  readonly calls: StoreCalls;
  readonly close: () => Promise<void>;
} {
  const { endpoint, token, WebSocket } = options;
  const client = createWSClient({
    url: `${endpoint.replace(/^http/, 'ws')}/trpc`,
    WebSocket: WebSocket as never,
    connectionParams: async () => ({ token: await token() })
  });
  return { calls: trpcCalls(wsLink({ client, transformer })), close: () => client.close() };
}

function trpcCalls(link: TRPCLink<AnyTRPCRouter>): StoreCalls {
  const client = createTRPCUntypedClient({ links: [link] });
  return callsOver({
    async call(path, input, { signal }: CallOptions) {
      if (signal?.aborted) throw cancelledError(signal);
      try {
        const type = kindOf(path) === 'read' ? 'query' : 'mutation';
        return await client[type](path, input, signal && { signal });
      } catch (error) {
        throw signal?.aborted ? cancelledError(signal) : storeErrorFrom(error);
      }
    },
    watch: (input, { signal }) => trpcEvents(client, input, signal)
  });
}

async function* trpcEvents(
  client: ReturnType<typeof createTRPCUntypedClient>,
  input: unknown,
  signal: AbortSignal
): AsyncGenerator<WatchEvent> {
  const events: WatchEvent[] = [];
  let end: { readonly error?: unknown } | undefined;
  let wake = (): void => {};
  const finish = (how: { readonly error?: unknown }) => {
    end ??= how;
    wake();
  };
  const stop = () => finish({ error: cancelledError(signal) });
  signal.addEventListener('abort', stop);
  const subscription = client.subscription('objects.watch', input, {
    onData: (event) => {
      // Beside it is the id to resume from, which the event itself has too.
      events.push((event as { readonly data: WatchEvent }).data);
      wake();
    },
    onError: (error) => finish({ error }),
    onComplete: () => finish({})
  });
  if (signal.aborted) stop();
  try {
    for (;;) {
      const event = events.shift();
      if (event) yield event;
      else if (end) break;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    if (end.error) throw storeErrorFrom(end.error);
  } finally {
    subscription.unsubscribe();
    signal.removeEventListener('abort', stop);
  }
}
