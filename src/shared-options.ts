import { DRIVER_NAMES, type DriverName, LOCKS_OPTIONS, type LocksOption } from '@stampede/fs-mount';
import { asText, flag, type OptionSpec, value } from './command.js';
import { DEFAULT_DATA_DIRECTORY } from './config.js';
import { parseId, parseOneOf, parseUmask } from './option-values.js';
import { formatSize, parseSize } from './size.js';
import { UsageError } from './usage-error.js';

const CONNECTION = 'Connection:';
const MIB = 1024 * 1024;
const MOUNT_MEMORY_BYTES_MIN = 16 * MIB;
const CACHE_BYTES_MIN = 64 * MIB;

/** How every command that talks to a store finds it. */
export const connectionOptions = {
  endpoint: grouped(
    CONNECTION,
    value(
      '--endpoint <url>',
      'where the store listens (else STAMPEDE_ENDPOINT, else as the credentials say)',
      asText
    )
  ),
  accessKey: grouped(
    CONNECTION,
    value('--access-key <key>', 'else STAMPEDE_ACCESS_KEY, else from a file', asText)
  ),
  secretKey: grouped(
    CONNECTION,
    value('--secret-key <secret>', 'else STAMPEDE_SECRET_KEY; others on this machine can see it here', asText)
  ),
  data: grouped(
    CONNECTION,
    value(
      '--data <dir>',
      `folder of a local store, for its credentials (default: ${DEFAULT_DATA_DIRECTORY})`,
      asText
    )
  )
};

export function jsonOption(description: string): OptionSpec<boolean> {
  return flag('--json', `print ${description}`);
}

export function recursiveOption(description: string): OptionSpec<boolean> {
  return flag('-r, --recursive', description);
}

export const driverOption = value(
  '--driver <name>',
  `what speaks to the kernel: ${DRIVER_NAMES.join(' or ')} (default: the first that is here)`,
  parseOneOf(DRIVER_NAMES)
);

export const cacheOptions = {
  cacheDir: value('--cache-dir <dir>', 'folder that keeps on disk what was read (default: none)', asText),
  cacheSize: value('--cache-size <size>', 'most that it takes (default: 10GiB)', parseCacheSize)
};

export const locksOption = value(
  '--locks <where>',
  'who keeps the locks of programs: local, the kernel, or server, for all mounts with it (default: local)',
  parseOneOf(LOCKS_OPTIONS)
);

/** How a drive shows the bucket. */
export const driveOptions = {
  driver: driverOption,
  ...cacheOptions,
  locks: locksOption,
  allowOther: { flags: '--allow-other', description: 'let other users in', defaultValue: false },
  uid: value('--uid <number>', 'owner of what has none in the store (default: you)', parseId),
  gid: value('--gid <number>', 'group of what has none in the store (default: yours)', parseId),
  umask: value('--umask <octal>', 'bits taken from the mode of what has none in the store', parseUmask),
  readMemory: value('--read-memory <size>', 'most memory for what was read (default: 96MiB)', parseMemory),
  writeMemory: value(
    '--write-memory <size>',
    'most memory for what is not stored yet (default: 96MiB)',
    parseMemory
  )
};

export interface CacheValues {
  readonly cacheDir: string | undefined;
  readonly cacheSize: number | undefined;
}

export interface DriveValues extends CacheValues {
  readonly driver: DriverName | undefined;
  readonly locks: LocksOption | undefined;
  readonly allowOther: boolean;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly umask: number | undefined;
  readonly readMemory: number | undefined;
  readonly writeMemory: number | undefined;
}

/** The options as `mount` of the drive takes them. */
export function cacheSettings({ cacheDir, cacheSize }: CacheValues, localPath: (path: string) => string) {
  if (cacheSize !== undefined && cacheDir === undefined)
    throw new UsageError('--cache-size is of a disk cache; say where with --cache-dir');
  return {
    ...(cacheDir !== undefined && { cacheDirectory: localPath(cacheDir) }),
    ...(cacheSize !== undefined && { cacheBytes: cacheSize })
  };
}

/** The options as `mount` of the drive takes them. */
export function driveSettings(values: DriveValues, localPath: (path: string) => string) {
  const { driver, locks, allowOther, uid, gid, umask, readMemory, writeMemory } = values;
  return {
    allowOther,
    ...cacheSettings(values, localPath),
    ...(driver !== undefined && { driver }),
    ...(locks !== undefined && { locks }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(umask !== undefined && { umask }),
    ...(readMemory !== undefined && { readMemoryBytes: readMemory }),
    ...(writeMemory !== undefined && { writeMemoryBytes: writeMemory })
  };
}

function parseCacheSize(text: string): number {
  const bytes = parseSize(text);
  if (bytes < CACHE_BYTES_MIN)
    throw new UsageError(`${text} is too little; give at least ${formatSize(CACHE_BYTES_MIN)}`);
  return bytes;
}

function parseMemory(text: string): number {
  const bytes = parseSize(text);
  if (bytes < MOUNT_MEMORY_BYTES_MIN)
    throw new UsageError(`${text} is too little; give at least ${formatSize(MOUNT_MEMORY_BYTES_MIN)}`);
  return bytes;
}

function grouped<Value>(group: string, option: OptionSpec<Value>): OptionSpec<Value> {
  return { ...option, group };
}
