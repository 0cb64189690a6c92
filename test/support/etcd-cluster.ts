import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Real etcd on free ports of the loopback, in a folder that goes with it. */
export class EtcdCluster implements AsyncDisposable {
  readonly endpoints: readonly string[];
  readonly #directory: string;
  readonly #members: readonly EtcdMember[];

  private constructor(directory: string, members: readonly EtcdMember[]) {
    this.#directory = directory;
    this.#members = members;
    this.endpoints = members.map(({ clientUrl }) => clientUrl);
  }

  /** @throws Error that says what is missing on a machine without etcd. */
  static async start(memberCount = 1, options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'stampede-etcd-'));
    const ports = await freePorts(2 * memberCount);
    const names = Array.from({ length: memberCount }, (_, index) => `m${index}`);
    const peerUrl = (index: number): string => `http://127.0.0.1:${ports[2 * index + 1]}`;
    const initialCluster = names.map((name, index) => `${name}=${peerUrl(index)}`).join(',');
    const members = names.map(
      (name, index) =>
        new EtcdMember({
          name,
          directory: join(directory, name),
          clientUrl: `${options.tls ? 'https' : 'http'}://127.0.0.1:${ports[2 * index]}`,
          peerUrl: peerUrl(index),
          initialCluster,
          ...options
        })
    );
    const cluster = new EtcdCluster(directory, members);
    try {
      for (const member of members) await member.start();
      await cluster.ready();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  get members(): readonly EtcdMember[] {
    return this.#members;
  }

  /** Resolves when every member serves. */
  async ready(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.ready()));
  }

  /** The member that leads the others now. */
  async leader(): Promise<EtcdMember> {
    for (;;) {
      for (const member of this.#members) if (await member.isLeader()) return member;
      await sleep(50);
    }
  }

  /** Gives up the history before the revision. */
  async compact(revision: number): Promise<void> {
    await this.#members[0]!.call('kv/compaction', { revision: String(revision), physical: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

export interface EtcdClusterOptions {
  /** Paths of PEM files. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** Of the database; etcd's own default unless given. */
  readonly quotaBytes?: number | undefined;
}

interface EtcdMemberOptions extends EtcdClusterOptions {
  readonly name: string;
  readonly directory: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly initialCluster: string;
}

interface EtcdAnswer {
  readonly header?: { readonly member_id?: string; readonly revision?: string };
  readonly leader?: string;
  readonly token?: string;
  readonly leases?: readonly { readonly ID: string }[];
}

export class EtcdMember {
  readonly clientUrl: string;
  readonly #options: EtcdMemberOptions;
  #process: ChildProcess | undefined;

  constructor(options: EtcdMemberOptions) {
    this.#options = options;
    this.clientUrl = options.clientUrl;
  }

  async start(): Promise<void> {
    const { name, directory, clientUrl, peerUrl, initialCluster, tls, quotaBytes } = this.#options;
    const child = spawn(
      'etcd',
      [
        ...['--name', name, '--data-dir', directory, '--initial-cluster', initialCluster],
        ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--heartbeat-interval', '50', '--election-timeout', '500', '--log-level', 'error'],
        ...(quotaBytes === undefined ? [] : ['--quota-backend-bytes', String(quotaBytes)]),
        ...(tls ? ['--cert-file', tls.cert, '--key-file', tls.key] : [])
      ],
      { stdio: 'ignore' }
    );
    this.#process = child;
    await once(child, 'spawn').catch((cause: unknown) => {
      throw new Error('The program etcd cannot be started. Install the Debian package etcd-server.', {
        cause
      });
    });
  }

  async ready(): Promise<void> {
    for (;;) {
      const isHealthy = await this.#fetch('/health')
        .then((text) => /true/.test(text))
        .catch(() => false);
      if (isHealthy) return;
      if (!this.#process || this.#process.exitCode !== null)
        throw new Error(`the member ${this.#options.name} of etcd ended with ${this.#process?.exitCode}`);
      await sleep(50);
    }
  }

  async isLeader(): Promise<boolean> {
    const status = await this.call('maintenance/status', {}).catch(() => undefined);
    return status?.leader !== undefined && status.leader === status.header?.member_id;
  }

  /** One call of the interface that etcd has for JSON. */
  async call(path: string, request: object, token?: string): Promise<EtcdAnswer> {
    return JSON.parse(await this.#fetch(`/v3/${path}`, JSON.stringify(request), token));
  }

  #fetch(path: string, body?: string, token?: string): Promise<string> {
    const { tls } = this.#options;
    const url = new URL(path, this.clientUrl);
    return new Promise((resolve, reject) => {
      const options = {
        method: body === undefined ? 'GET' : 'POST',
        signal: AbortSignal.timeout(1000),
        agent: false as const,
        headers: token === undefined ? {} : { authorization: token },
        ...(tls && { ca: readFileSync(tls.ca) })
      };
      const call = (tls ? httpsRequest : httpRequest)(url, options, async (answer) => {
        const text = (await answer.setEncoding('utf8').toArray()).join('');
        if (answer.statusCode === 200) resolve(text);
        else reject(new Error(`etcd answered ${answer.statusCode} to ${path}: ${text}`));
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
