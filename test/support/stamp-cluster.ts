import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createStoreClient, type StoreClient } from '@stampede/client';
import { CutProxy } from './cut-proxy.js';
import { EtcdCluster, freePorts } from './etcd-cluster.js';
import { NetLab } from './net-lab.js';
import { SmallDisk } from './small-disk.js';
import { COMMAND } from './store-process.js';

/* A stamp of several processes and a real etcd, as an operator would run it. */

export type RoleName = 'stream-manager' | 'extent-node' | 'partition-server' | 'front-end';

export interface ServerPlan {
  readonly name: string;
  readonly rack: string;
  readonly roles: readonly RoleName[];
  /** Of an extent node: a disk of its own of so many bytes; needs what `SmallDisk` does. */
  readonly diskBytes?: number;
  /** Not started with the stamp. */
  readonly isLate?: boolean;
}

export interface StampPlan {
  readonly servers: readonly ServerPlan[];
  readonly replicas: number;
  readonly durability?: 'sync' | 'os';
  /** Of extents, in bytes; small ones make many of little. */
  readonly extentBytes?: number;
  /** Default 1. */
  readonly etcdMembers?: number;
  /** Each process on a network of its own, whose cable can be pulled; needs what `NetLab` does. */
  readonly hasCables?: boolean;
}

/** Three extent nodes in three racks, two of everything else, each in its own process. */
export const FULL_STAMP: StampPlan = {
  replicas: 3,
  servers: [
    { name: 'en-1', rack: 'rack-1', roles: ['extent-node'] },
    { name: 'en-2', rack: 'rack-2', roles: ['extent-node'] },
    { name: 'en-3', rack: 'rack-3', roles: ['extent-node'] },
    { name: 'sm-1', rack: 'rack-1', roles: ['stream-manager'] },
    { name: 'sm-2', rack: 'rack-2', roles: ['stream-manager'] },
    { name: 'ps-1', rack: 'rack-1', roles: ['partition-server'] },
    { name: 'ps-2', rack: 'rack-2', roles: ['partition-server'] },
    { name: 'fe-1', rack: 'rack-1', roles: ['front-end'] },
    { name: 'fe-2', rack: 'rack-2', roles: ['front-end'] }
  ]
};

const READY_TIMEOUT_MS = 60_000;
const ACCESS_KEY = 'operator';
/** In the folder of the process. */
const EXTENTS = 'extents';

/** One process of the stamp. Its folder outlives it. */
export class ServerProcess {
  readonly name: string;
  readonly plan: ServerPlan;
  readonly directory: string;
  readonly #configPath: string;
  readonly #prefix: readonly string[];
  #process: ChildProcess | undefined;
  #monitoring: string | undefined;

  /** @param prefix   Of the command line. */
  constructor(plan: ServerPlan, directory: string, prefix: readonly string[] = []) {
    this.plan = plan;
    this.#prefix = prefix;
    this.name = plan.name;
    this.directory = directory;
    this.#configPath = join(directory, 'server.yaml');
  }

  get isRunning(): boolean {
    const child = this.#process;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  get pid(): number | undefined {
    return this.isRunning ? this.#process!.pid : undefined;
  }

  /** Where its metrics and health are, as it said when it started last. */
  get monitoring(): string {
    return this.#monitoring!;
  }

  get extentsDirectory(): string {
    return join(this.directory, EXTENTS, 'extents');
  }

  /** Where its log is. */
  get logPath(): string {
    return join(this.directory, 'log');
  }

  async start(): Promise<void> {
    const words = [
      ...this.#prefix,
      process.execPath,
      COMMAND,
      'server',
      '--config',
      this.#configPath,
      '--json'
    ];
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, STAMPEDE_LOG: 'info' }
    });
    this.#process = child;
    let complaints = '';
    const log = createWriteStream(this.logPath, { flags: 'a' });
    child.stderr!.on('data', (text: Buffer) => {
      complaints = (complaints + text.toString()).slice(-2000);
      log.write(text);
    });
    child.once('exit', () => log.end());
    const timeout = AbortSignal.timeout(READY_TIMEOUT_MS);
    const ended = once(child, 'exit', { signal: timeout }).then(([code, signal]) => {
      throw new Error(`${this.name} ended with ${code ?? signal}: ${complaints}`);
    });
    ended.catch(() => undefined);
    const [ready] = await Promise.race([once(child.stdout!, 'data', { signal: timeout }), ended]);
    this.#monitoring = (JSON.parse(String(ready)) as { readonly monitoring?: string }).monitoring;
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (!this.isRunning) return;
    const child = this.#process!;
    const ended = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.isRunning) this.#process!.kill(name);
  }
}

export class StampCluster implements AsyncDisposable {
  readonly directory: string;
  readonly etcd: EtcdCluster;
  readonly servers: readonly ServerProcess[];
  /** Of the front ends. */
  readonly endpoints: readonly string[];
  readonly credentials: { readonly accessKey: string; readonly secretKey: string };

  readonly #lab: NetLab | undefined;
  readonly #etcdProxy: CutProxy | undefined;
  readonly #disks: readonly SmallDisk[];

  private constructor(options: StampParts) {
    this.directory = options.directory;
    this.etcd = options.etcd;
    this.servers = options.servers;
    this.endpoints = options.endpoints;
    this.credentials = options.credentials;
    this.#lab = options.lab;
    this.#etcdProxy = options.etcdProxy;
    this.#disks = options.disks;
  }

  /** Resolves when every process runs; the stamp serves soon after. */
  static async start(plan: StampPlan = FULL_STAMP): Promise<StampCluster> {
    const directory = await mkdtemp(join(process.env['BENCH_DIR'] ?? tmpdir(), 'stampede-stamp-'));
    const etcd = await EtcdCluster.start(plan.etcdMembers);
    const lab = plan.hasCables ? NetLab.create(plan.servers.length) : undefined;
    const [etcdUrl] = etcd.endpoints;
    const etcdProxy = lab && (await CutProxy.open(Number(new URL(etcdUrl!).port), lab.address));
    const etcdEndpoints = etcdProxy ? [`http://${lab.address}:${etcdProxy.port}`] : etcd.endpoints;
    const credentials = { accessKey: ACCESS_KEY, secretKey: randomBytes(24).toString('hex') };
    const secretly = { mode: 0o600 };
    await writeFile(join(directory, 'secret'), randomBytes(32).toString('hex'), secretly);
    await writeFile(join(directory, 'credentials.json'), JSON.stringify(credentials), secretly);
    const ports = await freePorts(2 * plan.servers.length);
    const servers: ServerProcess[] = [];
    const endpoints: string[] = [];
    const disks: SmallDisk[] = [];
    for (const [index, server] of plan.servers.entries()) {
      const host = lab?.hosts[index]?.address ?? '127.0.0.1';
      const listen = `${host}:${ports[2 * index]}`;
      const clientListen = `${host}:${ports[2 * index + 1]}`;
      const folder = join(directory, server.name);
      await mkdir(folder);
      if (server.diskBytes !== undefined)
        disks.push(SmallDisk.create(join(folder, EXTENTS), server.diskBytes));
      const config = configOf(server, { plan, etcdEndpoints, listen, clientListen });
      await writeFile(join(folder, 'server.yaml'), JSON.stringify(config, null, 2));
      servers.push(new ServerProcess(server, folder, lab?.hosts[index]?.prefix));
      if (server.roles.includes('front-end')) endpoints.push(`http://${clientListen}`);
    }
    const cluster = new StampCluster({
      ...{ directory, etcd, servers, endpoints, credentials, lab, etcdProxy, disks }
    });
    try {
      await Promise.all(servers.filter(({ plan }) => !plan.isLate).map((server) => server.start()));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Pulls the cable of a process, or plugs it in again. Only of a stamp with cables. */
  setConnected({ name }: ServerProcess, isConnected: boolean): void {
    const index = this.servers.findIndex((server) => server.name === name);
    this.#lab!.setConnected(index, isConnected);
  }

  find(name: string): ServerProcess {
    return this.servers.find((server) => server.name === name)!;
  }

  /** A client of one front end. */
  client(index = 0): StoreClient {
    return createStoreClient({
      endpoint: this.endpoints[index % this.endpoints.length]!,
      ...this.credentials
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
    this.#lab?.[Symbol.dispose]();
    await this.#etcdProxy?.[Symbol.asyncDispose]();
    await this.etcd[Symbol.asyncDispose]();
    for (const disk of this.#disks) disk[Symbol.dispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}

type StampParts = Pick<StampCluster, 'directory' | 'etcd' | 'servers' | 'endpoints' | 'credentials'> & {
  readonly lab: NetLab | undefined;
  readonly etcdProxy: CutProxy | undefined;
  readonly disks: readonly SmallDisk[];
};

interface ConfigInput {
  readonly plan: StampPlan;
  readonly etcdEndpoints: readonly string[];
  readonly listen: string;
  readonly clientListen: string;
}

/** JSON is YAML. */
function configOf(server: ServerPlan, { plan, etcdEndpoints, listen, clientListen }: ConfigInput): object {
  const has = (role: RoleName): boolean => server.roles.includes(role);
  const durability = plan.durability ?? 'sync';
  return {
    member: server.name,
    rack: server.rack,
    replicas: plan.replicas,
    etcd: { endpoints: etcdEndpoints },
    cluster: { listen, 'secret-file': '../secret' },
    monitoring: { listen: 0 },
    ...(plan.extentBytes !== undefined && { 'extent-size': plan.extentBytes }),
    roles: {
      ...(has('stream-manager') && { 'stream-manager': {} }),
      ...(has('extent-node') && { 'extent-node': { directory: EXTENTS } }),
      ...(has('partition-server') && { 'partition-server': { 'index-directory': 'index', durability } }),
      ...(has('front-end') && {
        'front-end': { listen: clientListen, 'credentials-file': '../credentials.json' }
      })
    }
  };
}
