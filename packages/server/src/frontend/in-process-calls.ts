import type { CallOptions, StoreCalls, WatchInput } from '../api/index.js';
import type { Dispatcher } from './dispatcher.js';
import type { Principal } from './principal.js';
import type { Procedure } from './procedure.js';
import { PROCEDURES, WATCH } from './procedures.js';

/** These take no input: their options come first. */
const WITHOUT_INPUT: ReadonlySet<Procedure> = new Set<Procedure>([
  PROCEDURES.keys.list,
  PROCEDURES.admin.status,
  PROCEDURES.admin.members
]);

/**
 * The calls of the store for programs in its process: checked and authorised as over the network, and nothing is
 * serialised. Bytes that go in are borrowed until the call settles; bytes that come out are the caller's.
 */
export function inProcessCalls(dispatcher: Dispatcher, principal: Principal): StoreCalls {
  const callOf = (procedure: Procedure) => {
    const call = (input: unknown, options: CallOptions = {}) =>
      dispatcher.call(procedure, input, {
        principal,
        transport: 'in-process',
        signal: options.signal,
        deadlineMs: options.deadlineMs
      });
    return WITHOUT_INPUT.has(procedure) ? (options?: CallOptions) => call(undefined, options) : call;
  };
  const groups = Object.entries(PROCEDURES).map(([namespace, group]) => {
    const calls = Object.entries<Procedure>(group).map(([name, entry]) => [name, callOf(entry)]);
    return [namespace, Object.fromEntries(calls)];
  });
  const calls = Object.fromEntries(groups) as StoreCalls;
  const watch = (input: WatchInput, { signal }: { readonly signal: AbortSignal }) =>
    dispatcher.subscribe(WATCH, input, { principal, transport: 'in-process', signal });
  return { ...calls, objects: { ...calls.objects, watch } };
}
