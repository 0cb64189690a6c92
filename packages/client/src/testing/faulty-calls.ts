import assert from 'node:assert/strict';
import { type ErrorCode, type StoreCalls, StoreError } from '@stampede/server/api';
import { type CallName, callsOver, type Invoker, invokerOver } from '../call-table.js';
import type { Clock, Random } from '../clock.js';

/** What goes wrong. */
export type Fault =
  /** Nothing happens, the call fails. */
  | { readonly type: 'failBefore'; readonly code?: ErrorCode; readonly retryAfterMs?: number }
  /** The call happens, its answer is lost. */
  | { readonly type: 'dropAnswer'; readonly code?: ErrorCode }
  /** The call happens `durationMs` later; needs `clock`. */
  | { readonly type: 'delay'; readonly durationMs: number }
  /** One bit of the answer's `body` is flipped, its checksum is not. */
  | { readonly type: 'corruptAnswer' }
  /** One bit of the input's `body` is flipped on the way to the store. */
  | { readonly type: 'corruptInput' }
  /** A watch fails after so many events. */
  | { readonly type: 'breakWatch'; readonly afterEventCount: number };

export interface FaultRule {
  /** A call, all of a group as `uploads.*`, or all. */
  readonly on: CallName | `${string}.*` | '*';
  readonly fault: Fault;
  /** Calls that match and are left alone first. Default 0. */
  readonly skip?: number;
  /** How often it happens. Default: always. */
  readonly times?: number;
  /** How likely it is, from 0 to 1; needs `random`. Default 1. */
  readonly chance?: number;
}

export interface FaultyOptions {
  readonly clock?: Pick<Clock, 'sleep'>;
  readonly random?: Pick<Random, 'fraction'>;
}

/** Calls that go wrong by rules: the first rule that applies to a call decides. The rules can be changed meanwhile. */
export function faultyCalls(
  calls: StoreCalls,
  rules: readonly FaultRule[],
  options: FaultyOptions = {}
): StoreCalls {
  const inner = invokerOver(calls);
  const counts = new Map<FaultRule, { seen: number; done: number }>();
  const faultOf = (call: CallName): Fault | undefined => {
    for (const rule of rules) {
      if (!matches(rule, call)) continue;
      const count = counts.get(rule) ?? { seen: 0, done: 0 };
      counts.set(rule, count);
      count.seen += 1;
      if (count.seen <= (rule.skip ?? 0) || count.done >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.chance !== undefined) {
        assert(options.random, 'a rule with a chance needs a random');
        if (options.random.fraction() >= rule.chance) continue;
      }
      count.done += 1;
      return rule.fault;
    }
    return undefined;
  };
  const faulty: Invoker = {
    async call(call, input, callOptions) {
      const fault = faultOf(call);
      if (fault?.type === 'failBefore') throw failure(call, fault);
      if (fault?.type === 'delay') {
        assert(options.clock, 'a delay needs a clock');
        await options.clock.sleep(fault.durationMs, callOptions.signal);
      }
      const sent = fault?.type === 'corruptInput' ? withFlippedBit(input) : input;
      const answer = await inner.call(call, sent, callOptions);
      if (fault?.type === 'dropAnswer') throw failure(call, fault);
      return fault?.type === 'corruptAnswer' ? withFlippedBit(answer) : answer;
    },
    async *watch(input, watchOptions) {
      const fault = faultOf('objects.watch');
      if (fault?.type === 'failBefore') throw failure('objects.watch', fault);
      let left = fault?.type === 'breakWatch' ? fault.afterEventCount : Number.POSITIVE_INFINITY;
      if (left <= 0) throw failure('objects.watch', {});
      for await (const event of inner.watch(input, watchOptions)) {
        yield event;
        left -= 1;
        if (left <= 0) throw failure('objects.watch', {});
      }
    }
  };
  return callsOver(faulty);
}

function matches({ on }: FaultRule, call: CallName): boolean {
  return on === '*' || on === call || (on.endsWith('.*') && call.startsWith(on.slice(0, -1)));
}

function failure(
  call: CallName,
  fault: { readonly code?: ErrorCode; readonly retryAfterMs?: number }
): StoreError {
  const { code = 'ServiceUnavailable', retryAfterMs } = fault;
  return new StoreError(code, `injected into ${call}`, retryAfterMs === undefined ? {} : { retryAfterMs });
}

function withFlippedBit(carrier: unknown): unknown {
  assert(typeof carrier === 'object' && carrier !== null && 'body' in carrier, 'there is a body to corrupt');
  assert(carrier.body instanceof Uint8Array, 'a body is bytes');
  const body = new Uint8Array(carrier.body);
  if (body.length > 0) body[body.length >>> 1]! ^= 1;
  return { ...carrier, body };
}
