import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
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
  static async start(memberCount = 1): Promise<EtcdCluster> {
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
          clientUrl: `http://127.0.0.1:${ports[2 * index]}`,
          peerUrl: peerUrl(index),
          initialCluster
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

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

interface EtcdMemberOptions {
  readonly name: string;
  readonly directory: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly initialCluster: string;
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
    const { name, directory, clientUrl, peerUrl, initialCluster } = this.#options;
    const child = spawn(
      'etcd',
      [
        ...['--name', name, '--data-dir', directory, '--initial-cluster', initialCluster],
        ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
        ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
        ...['--heartbeat-interval', '50', '--election-timeout', '500', '--log-level', 'error']
      ],
      { stdio: 'ignore' }
    );
    this.#process = child;
    const failed = once(child, 'error').then(([error]) => {
      throw new Error(`etcd cannot be started (${error}); install the Debian package etcd-server`);
    });
    await Promise.race([once(child, 'spawn'), failed]);
  }

  async ready(): Promise<void> {
    for (;;) {
      const isHealthy = await fetch(`${this.clientUrl}/health`, { signal: AbortSignal.timeout(1000) })
        .then(async (answer) => /true/.test(await answer.text()))
        .catch(() => false);
      if (isHealthy) return;
      if (!this.#process || this.#process.exitCode !== null)
        throw new Error(`the member ${this.#options.name} of etcd ended with ${this.#process?.exitCode}`);
      await sleep(50);
    }
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
