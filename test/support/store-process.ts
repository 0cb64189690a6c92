import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/* `stampede up` as its own process, as a user would run it: for tests and benchmarks. */

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const COMMAND = join(ROOT, 'dist/src/main.js');
const READY_TIMEOUT_MS = 60_000;

/** A command that runs until it is ended. */
export interface CommandProcess extends AsyncDisposable {
  readonly process: ChildProcess;
  /** Milliseconds from the start of the process until it said that it is ready. */
  readonly readyAfterMs: number;
  /** Resident bytes now, and the most they ever were. */
  residentBytes(): { readonly now: number; readonly peak: number };
  /** Ends the process at once, as a power cut of the process would. */
  kill(): Promise<void>;
}

export interface StoreProcess extends CommandProcess {
  readonly endpoint: string;
}

export interface StoreProcessOptions {
  readonly data: string;
  /** Default: one that is free. */
  readonly port?: number;
  readonly mount?: string;
  /** Of the mount. */
  readonly driver?: string;
  readonly locks?: 'local' | 'server';
  readonly cacheDirectory?: string;
  readonly durability?: 'sync' | 'os';
  readonly nodes?: number;
}

/** Starts the store and waits until it is ready. */
export async function startStore(options: StoreProcessOptions): Promise<StoreProcess> {
  const port = options.port ?? (await freePort());
  const args = ['up', '--data', options.data, '--port', String(port)];
  if (options.mount) args.push('--mount', options.mount);
  if (options.driver) args.push('--driver', options.driver);
  if (options.locks) args.push('--locks', options.locks);
  if (options.cacheDirectory) args.push('--cache-dir', options.cacheDirectory);
  if (options.durability) args.push('--durability', options.durability);
  if (options.nodes) args.push('--nodes', String(options.nodes));
  return { endpoint: `http://127.0.0.1:${port}`, ...(await startCommand(args)) };
}

export interface MountProcessOptions {
  /** Of the store, for the credentials and the endpoint in it. */
  readonly data: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly directory: string;
  readonly driver?: string;
  readonly locks?: 'local' | 'server';
}

/** `stampede mount` as its own process, over the network; waits until it is mounted. */
export function startMount(options: MountProcessOptions): Promise<CommandProcess> {
  const { data, endpoint, bucket, directory, driver, locks } = options;
  const args = ['mount', bucket, directory, '--data', data, '--endpoint', endpoint];
  if (driver) args.push('--driver', driver);
  if (locks) args.push('--locks', locks);
  return startCommand(args);
}

/** Starts a command that runs until it is ended and waits for its first line. */
async function startCommand(args: readonly string[]): Promise<CommandProcess> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [COMMAND, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, STAMPEDE_LOG: 'error' }
  });
  let complaints = '';
  child.stderr.on('data', (text) => {
    complaints = (complaints + text).slice(-4000);
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`stampede ${args[0]} was not ready in time: ${complaints}`)),
      READY_TIMEOUT_MS
    );
    child.stdout.once('data', () => {
      clearTimeout(timer);
      resolve();
    });
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`stampede ${args[0]} ended with ${code ?? signal}: ${complaints}`));
    });
  });
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  };
  return {
    process: child,
    readyAfterMs: performance.now() - startedAt,
    residentBytes: () => residentBytesOf(child.pid!),
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGTERM')
  };
}

/** Credentials that `up` wrote. */
export function credentialsOf(data: string): { accessKey: string; secretKey: string; endpoint: string } {
  return JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8'));
}

/** A new folder on the disk under test (BENCH_DIR, else the system's temporary folder), removed by dispose. */
export function scratch(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'stampede-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

export function residentBytesOf(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0);
  return { now: kib('VmRSS') * 1024, peak: kib('VmHWM') * 1024 };
}

/** Why a drive cannot be mounted here, or false: for tap's `skip`. */
export function withoutFuse(): string | false {
  return existsSync('/dev/fuse') ? false : 'there is no /dev/fuse on this machine';
}
