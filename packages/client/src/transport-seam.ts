import type { CallOptions, WatchEvent } from '@stampede/server/api';
import { type Invoker, kindOf } from './call-table.js';

/** Carries calls to a store: what the framed connection offers, and whatever else a program brings. */
export interface Transport {
  /** One call and its answer. Fails with `StoreError`, or with an error that `storeErrorFrom` understands. */
  request(type: 'query' | 'mutation', path: string, input: unknown, options: CallOptions): Promise<unknown>;
  /** Events until the signal aborts or the connection ends (then it fails). */
  subscribe(path: string, input: unknown, options: { readonly signal: AbortSignal }): AsyncIterable<unknown>;
  close(): Promise<void>;
}

/** The calls of a store over a transport, without retries. */
export function invokerOverTransport(transport: Transport): Invoker {
  return {
    call: (call, input, options) =>
      transport.request(kindOf(call) === 'read' ? 'query' : 'mutation', call, input, options),
    watch: (input, options) =>
      transport.subscribe('objects.watch', input, options) as AsyncIterable<WatchEvent>
  };
}
