import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { CommandError } from '../usage-error.js';
import type { ServerConfig } from './server-config.js';

/* The files that a configuration names, read: paths in it are relative to it. */

const SECRET_LENGTH_MIN = 16;
const credentialsSchema = z.object({ accessKey: z.string().min(1), secretKey: z.string().min(1) });

/** A configuration with its secrets. Never shown. */
export interface OpenedServerConfig {
  readonly secret: string;
  readonly clusterTls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  readonly etcd: {
    readonly password: string | undefined;
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
  readonly frontEnd:
    | {
        readonly credentials: { readonly accessKey: string; readonly secretKey: string };
        readonly tls: { readonly cert: string; readonly key: string } | undefined;
      }
    | undefined;
  /** A path of the configuration. */
  readonly resolve: (path: string) => string;
}

/** @throws CommandError that names the file that is missing or wrong. */
export async function openServerConfig(config: ServerConfig, path: string): Promise<OpenedServerConfig> {
  const base = dirname(path);
  const read = (name: string): Promise<string> => readText(resolve(base, name));
  const find = async (name: string | undefined): Promise<string | undefined> =>
    name === undefined ? undefined : await read(name);
  const { cluster, etcd, roles } = config;
  const secret = (await read(cluster['secret-file'])).trim();
  if (secret.length < SECRET_LENGTH_MIN)
    throw new CommandError(
      `${resolve(base, cluster['secret-file'])} holds no secret of ${SECRET_LENGTH_MIN} characters at least; make one with "openssl rand -hex 32"`
    );
  const { tls } = cluster;
  const frontEnd = roles['front-end'];
  return {
    secret,
    clusterTls: tls && {
      ca: await read(tls['ca-file']),
      cert: await read(tls['cert-file']),
      key: await read(tls['key-file'])
    },
    etcd: {
      password: (await find(etcd['password-file']))?.trim(),
      ca: await find(etcd['ca-file']),
      cert: await find(etcd['cert-file']),
      key: await find(etcd['key-file'])
    },
    frontEnd: frontEnd && {
      credentials: parseCredentials(
        await read(frontEnd['credentials-file']),
        resolve(base, frontEnd['credentials-file'])
      ),
      tls: await frontEndTls(frontEnd, find)
    },
    resolve: (name) => resolve(base, name)
  };
}

async function frontEndTls(
  { 'cert-file': certFile, 'key-file': keyFile }: NonNullable<ServerConfig['roles']['front-end']>,
  find: (name: string | undefined) => Promise<string | undefined>
): Promise<{ readonly cert: string; readonly key: string } | undefined> {
  const cert = await find(certFile);
  const key = await find(keyFile);
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === undefined && key === undefined) return undefined;
  throw new CommandError('roles.front-end needs both cert-file and key-file, or neither');
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CommandError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function parseCredentials(text: string, path: string): z.output<typeof credentialsSchema> {
  try {
    return credentialsSchema.parse(JSON.parse(text));
  } catch {
    // The cause is left out: it might show a secret.
    throw new CommandError(`${path} must hold {"accessKey": "…", "secretKey": "…"}`);
  }
}
