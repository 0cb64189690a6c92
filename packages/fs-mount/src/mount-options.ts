import { isAbsolute, relative, resolve } from 'node:path';
import type { StoreCalls } from '@stampede/client';
import type { Clock } from './clock.js';
import { chooseDriver, type DriverName } from './drivers/choose-driver.js';
import type { Driver } from './drivers/driver.js';
import { randomId } from './drivers/random-id.js';
import { openScratchFile } from './drivers/scratch-file.js';
import { systemClock } from './drivers/system-clock.js';
import { FileSystemError } from './errno.js';
import type { FileSystemOptions } from './file-system-options.js';
import type { OnMountEvent } from './mount-event.js';

const MIB = 1024 * 1024;
const MEMORY_BYTES_MIN = 16 * MIB;
/*
 * Together with a store in the same process a mount stays below 600 MiB resident by default: these two, a quarter of the
 * second for free buffers, what V8 has not noticed to be free (about 80 MiB), and the paths.
 */
const READ_MEMORY_BYTES = 96 * MIB;
const WRITE_MEMORY_BYTES = 96 * MIB;
const CACHE_BYTES = 10 * 1024 * MIB;
const CACHE_BYTES_MIN = 64 * MIB;
/** A store on the same disk takes no bytes any more when nine tenths are full: the cache is gone by then. */
const CACHE_FREE_SHARE_MIN = 0.12;
const ATTRIBUTE_COUNT_MAX = 200_000;
/** In the place of a bucket's name, which never begins so. */
export const ALL_BUCKETS = ':all';

export const LOCKS_OPTIONS = ['local', 'server'] as const;
export type LocksOption = (typeof LOCKS_OPTIONS)[number];

export interface MountOptions {
  /** The store: a client over the network, or the store of this process itself. */
  readonly client: StoreCalls;
  /** `ALL_BUCKETS` shows every bucket that the access key may see, each as a directory. */
  readonly bucket: string;
  /** Shows only the keys that start with it; a slash is added at its end. Default: the whole bucket. */
  readonly prefix?: string;
  /** Where; created when it is not there. */
  readonly directory: string;
  readonly readOnly?: boolean;
  /** Lets other users in; the kernel compares owner and mode in any case. */
  readonly allowOther?: boolean;
  /** Owner and masked mode of what has none in the store. Default: those of this process. */
  readonly uid?: number;
  readonly gid?: number;
  readonly umask?: number;
  /** Most bytes kept of what was read. Default 96 MiB, at least 16 MiB. */
  readonly readMemoryBytes?: number;
  /** Most bytes of data that is not stored yet; writers wait when it is full. Default 96 MiB, at least 16 MiB. */
  readonly writeMemoryBytes?: number;
  /** How many paths are remembered. Default 200,000 (about 130 MB when full). */
  readonly attributeCountMax?: number;
  /** How long attributes hold, here and in the kernel, while no watch is live. Default 1000. */
  readonly attributeTtlMs?: number;
  /**
   * Whether opening a file asks the store for its newest version: what another mount has closed is seen then for sure.
   * Without, it is seen when the store's watch has told of it, a moment later, and opening costs no call. Default true.
   */
  readonly checksOnOpen?: boolean;
  /**
   * Who keeps the locks of flock(2) and fcntl(2): `local`, the kernel, for the programs of this machine; `server`, the
   * store, for those of all mounts that say so (Linux driver). Default `local`.
   */
  readonly locks?: LocksOption;
  /** When files that stay open are stored. Default 5000. */
  readonly commitIntervalMs?: number;
  /** How long an operation waits for a store that takes no data. Default 60,000. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  readonly onEvent?: OnMountEvent;
  /** Default: `linux` where it was built, else `fuse-native`, which is told as an event. */
  readonly driver?: Driver | DriverName;
  /** For the bytes of removed files that are still open. Default: the system's folder for temporary files. */
  readonly scratchDirectory?: string;
  /** A folder on a local disk that keeps what was read, also for the next mount; one mount at a time has it. Default: none. */
  readonly cacheDirectory?: string;
  /** Most bytes kept there. Default 10 GiB, at least 64 MiB. */
  readonly cacheBytes?: number;
  /** The part of that disk that stays free all the same. Default 0.12. */
  readonly cacheFreeShareMin?: number;
}

export interface CacheSettings {
  readonly directory: string;
  readonly limitBytes: number;
  readonly freeShareMin: number;
}

/** Every option with its value; fails with `EINVAL` and says which one is wrong. */
export function parseMountOptions(options: MountOptions): {
  readonly fileSystem: FileSystemOptions;
  readonly driver: Driver;
  readonly cache: CacheSettings | undefined;
} {
  const { prefix = '', scratchDirectory } = options;
  const umask = options.umask ?? process.umask();
  requireThat(umask >= 0 && umask <= 0o777, 'umask is between 0 and 0777');
  requireThat(!prefix.startsWith('/') && !prefix.includes('//'), 'prefix is a path without leading slash');
  requireThat(options.bucket !== ALL_BUCKETS || prefix === '', 'there is no prefix of all buckets');
  const onEvent = options.onEvent ?? (() => undefined);
  const { locks } = options;
  requireThat(locks === undefined || LOCKS_OPTIONS.includes(locks), 'locks is local or server');
  const driver = typeof options.driver === 'object' ? options.driver : chooseDriver(options.driver, onEvent);
  requireThat(
    locks !== 'server' || driver.hasServerLocks,
    `the driver ${driver.name} cannot keep locks at the server; use the Linux driver, or locks=local`
  );
  return {
    cache: cacheSettings(options),
    driver,
    fileSystem: {
      store: options.client,
      bucket: options.bucket,
      prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`,
      readOnly: options.readOnly ?? false,
      uid: options.uid ?? process.getuid?.() ?? 0,
      gid: options.gid ?? process.getgid?.() ?? 0,
      umask,
      readMemoryBytes: atLeast(
        'readMemoryBytes',
        options.readMemoryBytes ?? READ_MEMORY_BYTES,
        MEMORY_BYTES_MIN
      ),
      writeMemoryBytes: atLeast(
        'writeMemoryBytes',
        options.writeMemoryBytes ?? WRITE_MEMORY_BYTES,
        MEMORY_BYTES_MIN
      ),
      attributeCountMax: atLeast('attributeCountMax', options.attributeCountMax ?? ATTRIBUTE_COUNT_MAX, 1),
      attributeTtlMs: atLeast('attributeTtlMs', options.attributeTtlMs ?? 1000, 0),
      locks: options.locks === 'server' ? { newId: randomId } : undefined,
      checksOnOpen: options.checksOnOpen ?? true,
      commitIntervalMs: atLeast('commitIntervalMs', options.commitIntervalMs ?? 5000, 1),
      deadlineMs: atLeast('deadlineMs', options.deadlineMs ?? 60_000, 1),
      clock: options.clock ?? systemClock,
      openScratch: () => openScratchFile(scratchDirectory),
      onEvent
    }
  };
}

function cacheSettings(options: MountOptions): CacheSettings | undefined {
  const { cacheDirectory, cacheBytes, cacheFreeShareMin, directory } = options;
  const limitBytes = atLeast('cacheBytes', cacheBytes ?? CACHE_BYTES, CACHE_BYTES_MIN);
  const freeShareMin = atLeast('cacheFreeShareMin', cacheFreeShareMin ?? CACHE_FREE_SHARE_MIN, 0);
  requireThat(freeShareMin < 1, 'cacheFreeShareMin is less than 1');
  if (cacheDirectory === undefined) return undefined;
  // The drive would wait for itself.
  const below = relative(resolve(directory), resolve(cacheDirectory));
  requireThat(below.startsWith('..') || isAbsolute(below), 'cacheDirectory is not in the mounted directory');
  return { directory: cacheDirectory, limitBytes, freeShareMin };
}

function atLeast(name: string, value: number, least: number): number {
  requireThat(Number.isFinite(value) && value >= least, `${name} is a number of at least ${least}`);
  return value;
}

function requireThat(condition: boolean, message: string): void {
  if (!condition) throw new FileSystemError('EINVAL', message);
}
