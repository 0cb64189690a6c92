import type { z } from 'zod';
import { StoreError } from '../api/index.js';
import type { RoleCallOptions, RoleConnection, RoleService } from './role-network.js';

/** The schemas of one call. Absent output: the answer is taken as it is. */
export interface RemoteCall {
  readonly input: z.ZodType;
  readonly output?: z.ZodType;
  /** Of a call that must be waited for longer than others, in ms; default `deadlineMs` of `remoteCalls`. */
  readonly deadlineMs?: number | ((input: never) => number);
}

/** Every call of an API, by name. An API is an object of functions of one message each. */
export type CallTable<Api> = { readonly [Name in keyof Api]-?: RemoteCall };

type AnyCall = (message: unknown, options?: { readonly signal?: AbortSignal }) => Promise<unknown>;

/** Serves the calls of `api` as `<name>.<call>`, each message checked before it gets there. */
export function serveCalls<Api extends object>(name: string, table: CallTable<Api>, api: Api): RoleService {
  const calls = api as unknown as Record<string, AnyCall>;
  const schemas = table as unknown as Record<string, RemoteCall>;
  return {
    async call(path, payload, options) {
      const callName = path.startsWith(`${name}.`) ? path.slice(name.length + 1) : '';
      const schema = Object.hasOwn(schemas, callName) ? schemas[callName] : undefined;
      if (!schema) throw unknownCall(path);
      return await calls[callName]!(parse(schema.input, payload, path), options);
    },
    // biome-ignore lint/correctness/useYield: there are no subscriptions
    async *subscribe(path) {
      throw unknownCall(path);
    }
  };
}

export interface RemoteCallsOptions {
  readonly name: string;
  readonly connection: RoleConnection;
  readonly deadlineMs: number;
}

/** An API that is somewhere else. Its calls take a signal in their options. */
export function remoteCalls<Api extends object>(
  table: CallTable<Api>,
  { name, connection, deadlineMs }: RemoteCallsOptions
): Api {
  const calls = Object.entries<RemoteCall>(table).map(([callName, { output, deadlineMs: own }]) => {
    const path = `${name}.${callName}`;
    const call: AnyCall = async (message, options) => {
      const limitMs = typeof own === 'function' ? own(message as never) : (own ?? deadlineMs);
      const answer = await connection.call(path, message, { deadlineMs: limitMs, signal: options?.signal });
      return output ? parse(output, answer, path) : answer;
    };
    return [callName, call] as const;
  });
  return Object.fromEntries(calls) as unknown as Api;
}

/** Several services at one address, told apart by the first part of the path. */
export function combineServices(services: Readonly<Record<string, RoleService>>): RoleService {
  const find = (path: string): RoleService => {
    const name = path.slice(0, Math.max(0, path.indexOf('.')));
    const service = Object.hasOwn(services, name) ? services[name] : undefined;
    if (service) return service;
    // It may be starting or have ended.
    const message = `This member does not serve ${JSON.stringify(name.slice(0, 100))} now. Try again, or another one.`;
    throw new StoreError('ServiceUnavailable', message);
  };
  return {
    async call(path, payload, options) {
      return await find(path).call(path, payload, options);
    },
    async *subscribe(path: string, payload: unknown, options: RoleCallOptions) {
      yield* find(path).subscribe(path, payload, options);
    }
  };
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, path: string): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') || 'the message';
  throw new StoreError(
    'InvalidArgument',
    `${path}: ${where} is wrong (${issue?.message}). Run the same release everywhere.`
  );
}

function unknownCall(path: string): StoreError {
  return new StoreError(
    'InvalidArgument',
    `There is no call ${JSON.stringify(path.slice(0, 100))} here. Run the same release everywhere.`
  );
}
