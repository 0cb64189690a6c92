import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { CommandError } from '../usage-error.js';
import type { ReadServerConfig } from './read-server-config.js';

/* The files that a configuration names, read: paths in it are relative to it. */

const SECRET_LENGTH_MIN = 16;
const OTHERS_MAY_READ = 0o004;
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

/** @throws CommandError that names each line with a file that is missing or wrong, and what to do. */
export async function openServerConfig(read: ReadServerConfig): Promise<OpenedServerConfig> {
  const { config } = read;
  const { cluster, etcd, roles } = config;
  const files = new ConfiguredFiles(read);
  const { tls } = cluster;
  const frontEnd = roles['front-end'];
  const secret = await files.secret(['cluster', 'secret-file'], cluster['secret-file'], checkSecret);
  const clusterTls = tls && {
    ca: await files.certificate(['cluster', 'tls', 'ca-file'], tls['ca-file']),
    ...(await files.pair(['cluster', 'tls'], tls))
  };
  const password = await files.secret(['etcd', 'password-file'], etcd['password-file'], (text) =>
    text.trim()
  );
  const ca = await files.certificate(['etcd', 'ca-file'], etcd['ca-file']);
  const pair = await files.pair(['etcd'], etcd);
  const credentials = await files.secret(
    ['roles', 'front-end', 'credentials-file'],
    frontEnd?.['credentials-file'],
    parseCredentials
  );
  const frontEndTls = frontEnd && (await files.pair(['roles', 'front-end'], frontEnd));
  files.assertWhole();
  return {
    secret: secret!,
    clusterTls: clusterTls && { ca: clusterTls.ca!, cert: clusterTls.cert!, key: clusterTls.key! },
    etcd: { password, ca, cert: pair?.cert, key: pair?.key },
    frontEnd: frontEnd && { credentials: credentials!, tls: frontEndTls },
    resolve: (name) => files.resolve(name)
  };
}

interface PairPaths {
  readonly 'cert-file'?: string | undefined;
  readonly 'key-file'?: string | undefined;
}

/** Opens files, and gathers what is wrong with any of them. */
class ConfiguredFiles {
  readonly #read: ReadServerConfig;
  readonly #complaints: CommandError[] = [];

  constructor(read: ReadServerConfig) {
    this.#read = read;
  }

  resolve(name: string): string {
    return resolve(dirname(this.#read.path), name);
  }

  /** @throws CommandError with all that is wrong. */
  assertWhole(): void {
    if (this.#complaints.length === 0) return;
    throw new CommandError(this.#complaints.map(({ message }) => message).join('\n'));
  }

  /** What only the owner of the process should know. `parse` gives undefined and a reason for what is wrong. */
  async secret<Value>(
    setting: readonly string[],
    name: string | undefined,
    parse: (text: string) => Value | Complaint
  ): Promise<Value | undefined> {
    if (name === undefined) return undefined;
    const text = await this.#text(setting, name);
    if (text === undefined) return undefined;
    const { mode } = await stat(this.resolve(name));
    if ((mode & OTHERS_MAY_READ) !== 0) {
      const path = this.resolve(name);
      return this.#complain(
        setting,
        `names ${path}, which every user of this machine can read; run "chmod 600 ${path}"`
      );
    }
    const value = parse(text);
    return value instanceof Complaint
      ? this.#complain(setting, `names ${this.resolve(name)}, which ${value.reason}`)
      : value;
  }

  async certificate(setting: readonly string[], name: string | undefined): Promise<string | undefined> {
    if (name === undefined) return undefined;
    const text = await this.#text(setting, name);
    if (text === undefined) return undefined;
    try {
      // Only the first one: a chain follows it.
      void new X509Certificate(text);
      return text;
    } catch {
      return this.#complain(
        setting,
        `names ${this.resolve(name)}, which is no certificate; it must be PEM, "-----BEGIN CERTIFICATE-----"`
      );
    }
  }

  async pair(
    group: readonly string[],
    { 'cert-file': certName, 'key-file': keyName }: PairPaths
  ): Promise<{ readonly cert: string; readonly key: string } | undefined> {
    if (certName === undefined || keyName === undefined) return undefined;
    const cert = await this.certificate([...group, 'cert-file'], certName);
    const keySetting = [...group, 'key-file'];
    const key = await this.secret(keySetting, keyName, (text) =>
      findKey(text) ? text : new Complaint('is no private key; it must be PEM, without a passphrase')
    );
    if (cert === undefined || key === undefined) return undefined;
    if (!new X509Certificate(cert).checkPrivateKey(findKey(key)!))
      return this.#complain(
        keySetting,
        `names ${this.resolve(keyName)}, which is not the key of the certificate in cert-file`
      );
    return { cert, key };
  }

  async #text(setting: readonly string[], name: string): Promise<string | undefined> {
    const path = this.resolve(name);
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      return this.#complain(setting, `names ${path}, ${whyUnreadable(error as NodeJS.ErrnoException)}`);
    }
  }

  #complain(setting: readonly string[], message: string): undefined {
    this.#complaints.push(this.#read.complain(setting, message));
    return undefined;
  }
}

/** Why the content of a file is of no use, as the end of a sentence. */
class Complaint {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

function whyUnreadable({ code }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT')
    return 'which is not there; create it, or correct the path (it is relative to this file)';
  if (code === 'EACCES') return 'which this user may not read; change its owner (chown)';
  if (code === 'EISDIR') return 'which is a directory; name a file';
  return `which cannot be read (${code})`;
}

function checkSecret(text: string): string | Complaint {
  const secret = text.trim();
  if (secret.length >= SECRET_LENGTH_MIN) return secret;
  return new Complaint(
    `holds no secret of ${SECRET_LENGTH_MIN} characters at least; make one with "openssl rand -hex 32"`
  );
}

function parseCredentials(text: string): z.output<typeof credentialsSchema> | Complaint {
  try {
    return credentialsSchema.parse(JSON.parse(text));
  } catch {
    // The cause is left out: it might show a secret.
    return new Complaint('must hold {"accessKey": "…", "secretKey": "…"}');
  }
}

function findKey(text: string): KeyObject | undefined {
  try {
    return createPrivateKey(text);
  } catch {
    return undefined;
  }
}
