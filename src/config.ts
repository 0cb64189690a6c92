import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Credentials, DEFAULT_PORT } from './credentials.js';
import { isLogLevel, type LogLevel } from './log.js';
import { UsageError } from './usage-error.js';

export const DEFAULT_DATA_DIRECTORY = './.stampede';
const DEFAULT_ENDPOINT = `http://127.0.0.1:${DEFAULT_PORT}`;

/** What the environment says, parsed. Variables that are set to nothing count as not set. */
export interface Environment {
  readonly endpoint: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  readonly logLevel: LogLevel | undefined;
  readonly hasColor: boolean;
  readonly homeDirectory: string;
  /** Where a user's programs keep what is to outlive them. */
  readonly stateDirectory: string;
  /** Where programs are looked for. */
  readonly programDirectories: readonly string[];
}

/** What the command line says about the store to reach. */
export interface ConnectionOptions {
  readonly endpoint: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
  /** The data folder of a local store, when it was given. */
  readonly data: string | undefined;
}

/** A store and the right to use it. */
export interface Connection extends Credentials {
  readonly endpoint: string;
  /** Where the credentials came from, for messages. */
  readonly source: string;
}

/** The only place that reads the environment. @throws UsageError */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env
): Environment {
  const read = (name: string) => variables[name] || undefined;
  const logLevel = read('STAMPEDE_LOG');
  if (logLevel !== undefined && !isLogLevel(logLevel))
    throw new UsageError(`STAMPEDE_LOG is "${logLevel}"; set it to debug, info, warn or error`);
  return {
    endpoint: read('STAMPEDE_ENDPOINT'),
    accessKey: read('STAMPEDE_ACCESS_KEY'),
    secretKey: read('STAMPEDE_SECRET_KEY'),
    logLevel,
    hasColor: read('NO_COLOR') === undefined && read('TERM') !== 'dumb',
    homeDirectory: read('HOME') ?? homedir(),
    stateDirectory: join(
      read('XDG_STATE_HOME') ?? join(read('HOME') ?? homedir(), '.local/state'),
      'stampede'
    ),
    programDirectories: (read('PATH') ?? '').split(':').filter((directory) => directory !== '')
  };
}

/**
 * Finds the store and the credentials: the command line, the environment, `~/.stampede/credentials`, and the
 * `credentials.json` of the local store, in this order; a data folder on the command line comes before the environment.
 *
 * @throws UsageError that says which of them is missing or wrong.
 */
export async function resolveConnection(
  options: ConnectionOptions,
  environment: Environment,
  workingDirectory: string
): Promise<Connection> {
  const endpoint = options.endpoint ?? (options.data === undefined ? environment.endpoint : undefined);
  const found = await findCredentials(options, environment, workingDirectory);
  return { ...found, endpoint: endpoint ?? found.endpoint ?? DEFAULT_ENDPOINT };
}

type Found = Credentials & { readonly endpoint?: string | undefined; readonly source: string };

async function findCredentials(
  options: ConnectionOptions,
  environment: Environment,
  workingDirectory: string
): Promise<Found> {
  const given = pairOf(options, { source: 'the command line', names: ['--access-key', '--secret-key'] });
  if (given) return given;
  const local = resolve(workingDirectory, options.data ?? DEFAULT_DATA_DIRECTORY, 'credentials.json');
  if (options.data !== undefined) {
    const found = await readCredentials(local);
    if (found) return found;
    throw new UsageError(`there is no ${local}; start the store first: stampede up --data ${options.data}`);
  }
  const names = ['STAMPEDE_ACCESS_KEY', 'STAMPEDE_SECRET_KEY'] as const;
  const fromEnvironment = pairOf(environment, { source: 'the environment', names });
  if (fromEnvironment) return fromEnvironment;
  const found =
    (await readCredentials(join(environment.homeDirectory, '.stampede', 'credentials'))) ??
    (await readCredentials(local));
  if (found) return found;
  throw new UsageError(
    `no credentials; start a store here with "stampede up", name its folder with --data, or set ${names.join(' and ')}`
  );
}

function pairOf(
  {
    accessKey,
    secretKey
  }: { readonly accessKey: string | undefined; readonly secretKey: string | undefined },
  { source, names }: { readonly source: string; readonly names: readonly [string, string] }
): Found | undefined {
  if (accessKey === undefined && secretKey === undefined) return undefined;
  if (accessKey === undefined) throw new UsageError(`${names[1]} is set without ${names[0]}; set both`);
  if (secretKey === undefined) throw new UsageError(`${names[0]} is set without ${names[1]}; set both`);
  return { accessKey, secretKey, source };
}

/** Reads a file of credentials: JSON with `accessKey`, `secretKey` and perhaps `endpoint`. */
async function readCredentials(path: string): Promise<Found | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw new UsageError(`${path} cannot be read (${error.code}); check who owns it`);
  });
  if (text === undefined) return undefined;
  const wrong = (what: string) =>
    new UsageError(
      `${path} ${what}; it is JSON as {"accessKey": "…", "secretKey": "…", "endpoint": "http://HOST:${DEFAULT_PORT}"}`
    );
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw wrong('is not JSON');
  }
  if (typeof content !== 'object' || content === null) throw wrong('holds no object');
  const { accessKey, secretKey, endpoint } = content as Readonly<Record<string, unknown>>;
  if (typeof accessKey !== 'string' || accessKey === '') throw wrong('has no accessKey');
  if (typeof secretKey !== 'string' || secretKey === '') throw wrong('has no secretKey');
  if (endpoint !== undefined && endpoint !== null && typeof endpoint !== 'string')
    throw wrong('has an endpoint that is no text');
  return { accessKey, secretKey, endpoint: endpoint ?? undefined, source: path };
}
