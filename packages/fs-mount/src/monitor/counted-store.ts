import { isStoreError, type StoreCalls } from '@stampede/client';
import type { Clock } from '../clock.js';
import type { CallCount, CallCounts } from './call-counts.js';

type AnyCall = (...parameters: readonly unknown[]) => unknown;
type Group = Readonly<Record<string, AnyCall>>;

/** The store, with every call counted. Watches, which do not end, are not. */
export function countedStore(store: StoreCalls, counts: CallCounts, clock: Clock): StoreCalls {
  const groups = store as unknown as Readonly<Record<string, Group>>;
  const counted = (name: string) => countedGroup(groups[name]!, name, { counts, clock });
  return {
    buckets: counted('buckets'),
    objects: counted('objects'),
    uploads: counted('uploads'),
    locks: counted('locks'),
    keys: counted('keys'),
    admin: counted('admin')
  } as unknown as StoreCalls;
}

function countedGroup(
  group: Group,
  groupName: string,
  { counts, clock }: { readonly counts: CallCounts; readonly clock: Clock }
): Group {
  const wrapped = new Map<string, AnyCall>();
  // What calls a group has is known to who made it only: each is wrapped when it is first asked for.
  return new Proxy(group, {
    get(target, name) {
      if (typeof name !== 'string' || typeof target[name] !== 'function') return Reflect.get(target, name);
      const known = wrapped.get(name);
      if (known) return known;
      const call: AnyCall = (...parameters) => target[name]!(...parameters);
      const made = name === 'watch' ? call : countedCall(call, counts.of(`${groupName}.${name}`), clock);
      wrapped.set(name, made);
      return made;
    }
  });
}

function countedCall(call: AnyCall, count: CallCount, clock: Clock): AnyCall {
  return async (...parameters) => {
    const startedAtMs = clock.monotonicMs();
    try {
      return await call(...parameters);
    } catch (error) {
      count.failed(isStoreError(error) ? error.code : 'unexpected');
      throw error;
    } finally {
      count.ended(clock.monotonicMs() - startedAtMs);
    }
  };
}
