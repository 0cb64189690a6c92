import type { CallOptions, StoreCalls, WatchEvent, WatchInput } from '@stampede/server/api';

/**
 * What each call is. `read`: changes nothing, may be repeated. `mutation`: takes a `requestId`, with which it may be
 * repeated. `repeatable`: changes something, and nothing more when it is repeated. `unrepeatable`: changes something and takes no `requestId`.
 */
export type CallKind = 'read' | 'mutation' | 'repeatable' | 'unrepeatable' | 'subscription';

const KINDS = {
  buckets: { create: 'mutation', delete: 'mutation', head: 'read', list: 'read', configure: 'mutation' },
  objects: {
    put: 'mutation',
    edit: 'mutation',
    read: 'read',
    head: 'read',
    holes: 'read',
    stat: 'read',
    list: 'read',
    delete: 'mutation',
    deleteMany: 'mutation',
    copy: 'mutation',
    rename: 'mutation',
    compose: 'mutation',
    renamePrefix: 'mutation',
    deletePrefix: 'mutation',
    setAttributes: 'mutation',
    usage: 'read',
    watch: 'subscription'
  },
  uploads: {
    create: 'mutation',
    write: 'mutation',
    putPart: 'mutation',
    truncate: 'mutation',
    punch: 'mutation',
    copyRange: 'mutation',
    complete: 'mutation',
    abort: 'mutation',
    list: 'read',
    listParts: 'read'
  },
  locks: {
    renew: 'repeatable',
    acquire: 'repeatable',
    release: 'repeatable',
    find: 'read',
    end: 'repeatable'
  },
  keys: { create: 'unrepeatable', list: 'read', delete: 'unrepeatable' },
  admin: {
    status: 'read',
    members: 'read',
    extents: 'read',
    drain: 'unrepeatable',
    removeMember: 'unrepeatable',
    scrub: 'unrepeatable'
  }
} as const satisfies { [Group in keyof StoreCalls]: Record<keyof StoreCalls[Group], CallKind> };

type Kinds = typeof KINDS;

/** A call by its path, as `objects.put`. */
export type CallName = {
  [Group in keyof Kinds]: `${Group}.${keyof Kinds[Group] & string}`;
}[keyof Kinds];

/** Every call that answers once. */
export type UnaryCallName = Exclude<CallName, 'objects.watch'>;

export function kindOf(call: CallName): CallKind {
  const { group, name } = parsePath(call);
  return (KINDS[group] as Record<string, CallKind>)[name]!;
}

/** Every call of the store through two functions: what a transport, retries and injected faults have in common. */
export interface Invoker {
  call(call: UnaryCallName, input: unknown, options: CallOptions): Promise<unknown>;
  watch(input: WatchInput, options: { readonly signal: AbortSignal }): AsyncIterable<WatchEvent>;
}

/** These take no input: their options come first. */
const WITHOUT_INPUT: ReadonlySet<CallName> = new Set(['keys.list', 'admin.status', 'admin.members']);

/** The typed calls on top of an invoker. */
export function callsOver(invoker: Invoker): StoreCalls {
  const groups = Object.entries(KINDS).map(([group, names]) => {
    const calls = Object.keys(names).map((name) => [name, callOver(invoker, `${group}.${name}` as CallName)]);
    return [group, Object.fromEntries(calls)];
  });
  return Object.fromEntries(groups) as StoreCalls;
}

function callOver(invoker: Invoker, call: CallName) {
  if (call === 'objects.watch') return invoker.watch.bind(invoker);
  if (WITHOUT_INPUT.has(call)) return (options?: CallOptions) => invoker.call(call, undefined, options ?? {});
  return (input?: unknown, options?: CallOptions) => invoker.call(call, input, options ?? {});
}

/** The other way round: typed calls as an invoker. */
export function invokerOver(calls: StoreCalls): Invoker {
  return {
    async call(call, input, options) {
      const { group, name } = parsePath(call);
      const target = calls[group] as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return WITHOUT_INPUT.has(call) ? target[name]!(options) : target[name]!(input, options);
    },
    watch: (input, options) => calls.objects.watch(input, options)
  };
}

function parsePath(call: CallName): { readonly group: keyof Kinds; readonly name: string } {
  const [group, name] = call.split('.');
  return { group: group as keyof Kinds, name: name! };
}
