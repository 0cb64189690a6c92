import { type CallOptions, type ObjectHead, StoreError } from '@stampede/server/api';
import { cancelledError } from '../errors.js';

interface Schema<Output> {
  safeParse(
    input: unknown
  ):
    | { readonly success: true; readonly data: Output }
    | { readonly success: false; readonly error: { readonly issues: readonly Issue[] } };
}
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Checks a call at the door, runs its action in one step and hands out a copy of the result. */
export async function answer<Input, Result>(
  schema: Schema<Input>,
  input: unknown,
  options: CallOptions | undefined,
  action: (input: Input) => Result
): Promise<Result> {
  const parsed = parse(schema, input);
  if (options?.signal?.aborted) throw cancelledError(options.signal);
  return structuredClone(action(parsed));
}

export function parse<Output>(schema: Schema<Output>, input: unknown): Output {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const said = result.error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`);
  throw new StoreError('InvalidArgument', `correct the call: ${said.join('; ')}`);
}

interface Conditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

/** `PreconditionFailed` unless what is there now is as the caller says. */
export function checkConditions(current: ObjectHead | undefined, { ifMatch, ifNoneMatch }: Conditions): void {
  const state = current ? `etag ${current.etag}, generation ${current.generation}` : 'nothing';
  if (ifMatch !== undefined && !matches(current, ifMatch))
    throw new StoreError('PreconditionFailed', `expected ${ifMatch}, there is ${state}; read it again`);
  if (ifNoneMatch !== undefined && matches(current, ifNoneMatch))
    throw new StoreError('PreconditionFailed', `expected not ${ifNoneMatch}, there is ${state}`);
}

function matches(current: ObjectHead | undefined, condition: string): boolean {
  if (!current) return false;
  if (condition === '*') return true;
  return condition === current.etag || condition === `generation:${current.generation}`;
}
