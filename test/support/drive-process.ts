import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DRIVER_NAMES, type DriverName, type MountOptions, whyNoLinuxDriver } from '@stampede/fs-mount';
import { COMMAND, ROOT, residentBytesOf, startStore } from './store-process.js';

/* A mounted drive served by a process of its own: whoever serves a mount must never touch it synchronously. */

/**
 * What lies under the drive. `memory` shows the drive alone; `stamp` is the whole of `stampede up --mount`; `sink` keeps
 * names and sizes but of bytes only their pattern, so that any amount can be copied; `slow` is `memory` whose answers take
 * a moment, some longer than others.
 */
export type DriveStore = 'memory' | 'slow' | 'sink' | 'stamp';

/** What tests of the drive are run on. */
export const DRIVES = DRIVER_NAMES.flatMap((driver) =>
  (['memory', 'stamp'] as const).map((store) => ({ driver, store }))
);

export interface DriveProcess extends AsyncDisposable {
  readonly directory: string;
  readonly process: ChildProcess;
  /** The events of the mount so far, as JSON lines; empty for a stamp. */
  readonly events: readonly DriveEvent[];
  residentBytes(): { readonly now: number; readonly peak: number };
  /** Sends the signal and waits; resolves with the exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface DriveEvent {
  readonly type?: string;
  readonly [field: string]: unknown;
}

export interface DriveProcessOptions {
  readonly store: DriveStore;
  /** Default: that of the mount. */
  readonly driver?: DriverName;
  /** Gets the mount point `drive` and, for a stamp, the data folder; created when it is not there. */
  readonly folder: string;
  /** A disk cache there; with DRIVE_CACHE set every drive has one in its folder. */
  readonly cacheDirectory?: string;
  /** Options of the mount and of the process that serves it; a stamp has its own. */
  readonly mount?: Partial<MountOptions>;
  readonly nodeArguments?: readonly string[];
}

/** Why this store cannot be mounted here, or false: for tap's `skip`. */
export function withoutDrive(store: DriveStore, driver?: DriverName): string | false {
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse on this machine';
  const why = driver === 'linux' ? whyNoLinuxDriver() : undefined;
  if (why !== undefined) return `there is no linux driver: ${why}`;
  return store === 'stamp' && !existsSync(COMMAND) ? 'the command is not built' : false;
}

/** Mounts a new store and waits until the drive is there. */
export async function startDrive(options: DriveProcessOptions): Promise<DriveProcess> {
  const directory = join(options.folder, 'drive');
  // Not the mount point itself: a mount that crashed may be there still.
  mkdirSync(options.folder, { recursive: true });
  const withCache =
    process.env['DRIVE_CACHE'] === undefined
      ? options
      : { cacheDirectory: join(options.folder, 'cache'), ...options };
  return options.store === 'stamp' ? startStamp(withCache, directory) : startMemory(withCache, directory);
}

async function startStamp(
  { folder, driver, cacheDirectory }: DriveProcessOptions,
  directory: string
): Promise<DriveProcess> {
  const store = await startStore({
    data: join(folder, 'data'),
    mount: directory,
    ...(driver && { driver }),
    ...(cacheDirectory && { cacheDirectory })
  });
  return driveOf(store.process, directory, []);
}

async function startMemory(options: DriveProcessOptions, directory: string): Promise<DriveProcess> {
  const { store, driver, cacheDirectory, nodeArguments = [] } = options;
  const mount = {
    ...(cacheDirectory && { cacheDirectory }),
    ...options.mount,
    ...(driver && { driver })
  };
  const program = join(ROOT, 'test/support/memory-drive.ts');
  const node = ['--import=tsx', '--conditions=stampede-source', ...nodeArguments, program];
  const parameters = ['--directory', directory, '--store', store, '--options', JSON.stringify(mount)];
  const child = spawn(process.execPath, [...node, ...parameters], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe']
  });
  const events: DriveEvent[] = [];
  let complaints = '';
  child.stderr.on('data', (text) => {
    complaints = (complaints + text).slice(-4000);
  });
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const event = JSON.parse(line) as DriveEvent;
      if (event['ready'] === true) resolve();
      else events.push(event);
    });
    child.once('exit', (code, signal) =>
      reject(new Error(`the drive ended with ${code ?? signal}: ${complaints}`))
    );
  });
  return driveOf(child, directory, events);
}

function driveOf(child: ChildProcess, directory: string, events: readonly DriveEvent[]): DriveProcess {
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const end = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    return ended;
  };
  return {
    directory,
    process: child,
    events,
    residentBytes: () => residentBytesOf(child.pid!),
    end,
    async [Symbol.asyncDispose]() {
      await end();
    }
  };
}
