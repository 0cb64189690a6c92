import type { z } from 'zod';
import { type CallOptions, type StampStatus, StoreError } from '../api/index.js';
import type { PartitionLayer } from '../partition/index.js';
import type { MembershipApi } from '../stream/index.js';
import type { AccessKeys } from './access-keys.js';
import type { Access, Principal } from './principal.js';

/** What procedures are made of. */
export interface Services {
  readonly layer: PartitionLayer;
  readonly keys: AccessKeys;
  readonly status: (options: CallOptions) => Promise<StampStatus>;
  readonly membership: Membership;
}

/** The stream manager as operators need it. */
export type Membership = Omit<MembershipApi, 'heartbeat'>;

/** What a run gets besides its input; the signal also aborts at the deadline. */
export interface RunOptions {
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly principal: Principal;
}

/** A call whose input has been checked. */
export interface ParsedCall<Output> {
  /** Every bucket that the input names; `undefined` = the call is about all of them. */
  readonly buckets: readonly string[] | undefined;
  readonly run: (services: Services, options: RunOptions) => Promise<Output>;
}

/** One call of the store: its shape, who may make it, and what it does. */
export interface Procedure<Output = unknown> {
  readonly type: 'query' | 'mutation';
  readonly access: Access;
  /**
   * Checks an input from outside.
   * @throws StoreError `InvalidArgument`
   */
  readonly parse: (input: unknown) => ParsedCall<Output>;
  /** Most bytes of the answer, by an input that need not be valid. */
  readonly answerBytesMax: (input: unknown) => number;
}

/** A subscription whose input has been checked. */
export interface ParsedSubscription<Event> {
  readonly buckets: readonly string[] | undefined;
  readonly run: (services: Services, options: { readonly signal: AbortSignal }) => AsyncIterable<Event>;
}

export interface Subscription<Event = unknown> {
  readonly type: 'subscription';
  readonly access: Access;
  readonly parse: (input: unknown) => ParsedSubscription<Event>;
  /** After which a subscription may resume. */
  readonly idOf: (event: Event) => string;
}

const ISSUE_COUNT_MAX = 3;

/** A schema as a check. The message names the fields and never holds a value. */
export function parserOf<Schema extends z.ZodType>(schema: Schema): (input: unknown) => z.output<Schema> {
  return (input) => {
    const parsed = schema.safeParse(input);
    if (parsed.success) return parsed.data;
    const issues = parsed.error.issues.slice(0, ISSUE_COUNT_MAX);
    const text = issues.map(({ path, message }) =>
      path.length > 0 ? `${path.join('.')}: ${message}` : message
    );
    throw new StoreError('InvalidArgument', text.join('; '));
  };
}
