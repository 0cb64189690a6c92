import { access, constants } from 'node:fs/promises';
import { relative } from 'node:path';
import { isStoreError } from '@stampede/client';
import { type DriverName, FileSystemError, type LocksOption } from '@stampede/fs-mount';
import { asText, defineCommand, value, valueOr } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { DEFAULT_DATA_DIRECTORY } from '../config.js';
import { DEFAULT_PORT } from '../credentials.js';
import { assertApart, prepareDataDirectory } from '../data-directory.js';
import { openDrive } from '../drive.js';
import { type Log, openLog } from '../log.js';
import { parseNodeCount, parseOneOf, parsePort } from '../option-values.js';
import { readyText } from '../ready-text.js';
import { cacheOptions, cacheSettings, driverOption, jsonOption, locksOption } from '../shared-options.js';
import type { RunningStamp, StampStartOptions } from '../stamp-start.js';
import { CommandError } from '../usage-error.js';

const DRIVE_BUCKET = 'drive';
const DURABILITIES = ['sync', 'os'] as const;

export const up = defineCommand({
  name: 'up',
  parameters: '',
  summary: 'run a store here, in one process on one folder, and mount it',
  details:
    'It runs until Ctrl-C, which stores everything, unmounts and stops; a second Ctrl-C gives up what is not stored\n' +
    'yet and says what that is. What listens on other addresses than 127.0.0.1 is reachable without encryption.',
  options: {
    data: valueOr('--data <dir>', 'folder that holds the store', {
      parse: asText,
      otherwise: DEFAULT_DATA_DIRECTORY
    }),
    mount: value(
      '--mount <dir>',
      `mount its bucket "${DRIVE_BUCKET}" there, created when it is missing`,
      asText
    ),
    driver: driverOption,
    ...cacheOptions,
    locks: locksOption,
    port: valueOr('--port <number>', 'where it listens; 0 takes a free one', {
      parse: parsePort,
      otherwise: DEFAULT_PORT
    }),
    host: valueOr('--host <address>', 'on which address', { parse: asText, otherwise: '127.0.0.1' }),
    nodes: valueOr('--nodes <number>', 'extent nodes, each with its folder; three or more keep 3 copies', {
      parse: parseNodeCount,
      otherwise: 1
    }),
    durability: valueOr<(typeof DURABILITIES)[number]>(
      '--durability <level>',
      'what "stored" waits for: sync (the disk) or os (its caches: a power cut loses the last seconds)',
      { parse: parseOneOf(DURABILITIES), otherwise: 'sync' }
    ),
    json: jsonOption('one line of JSON when it is ready')
  },
  example: 'up --mount ./drive',
  async run(context, _parameters, options) {
    const { data, mount, driver, locks, port, host, nodes, durability, json } = options;
    const { world, output, shutdown, signal } = context;
    const directory = context.localPath(data);
    const driveDirectory = mount === undefined ? undefined : context.localPath(mount);
    if (driveDirectory !== undefined) assertApart(directory, driveDirectory);
    const cache = cacheSettings(options, (path) => context.localPath(path));
    await prepareDataDirectory(directory);
    const logger = openLog(world.stderr, {
      level: world.environment.logLevel,
      hasColor: world.environment.hasColor
    });
    const stamp = await start(context, { directory, host, port, nodeCount: nodes, durability, logger });
    const mounted =
      driveDirectory === undefined
        ? undefined
        : await mountDrive(context, { stamp, directory: driveDirectory, driver, locks, cache, logger });
    if (signal.aborted) return;
    const { endpoint } = stamp;
    if (json) {
      const drive = mounted && { mount: driveDirectory, bucket: DRIVE_BUCKET };
      await output.json({ endpoint, data: directory, ...drive, pid: process.pid });
    } else {
      const shown = (path: string) => shortPath(world.workingDirectory, path);
      await output.write(
        readyText({
          data: shown(directory),
          endpoint,
          commandName: world.commandName,
          isDefaultData: context.localPath(DEFAULT_DATA_DIRECTORY) === directory,
          drive: mounted && { directory: shown(driveDirectory!), bucket: DRIVE_BUCKET },
          hasBucket: driveDirectory !== undefined
        })
      );
    }
    await shutdown.requested();
  }
});

async function start({ world, shutdown }: CommandContext, options: StampStartOptions): Promise<RunningStamp> {
  let stamp: RunningStamp;
  try {
    stamp = await world.startStamp(options);
  } catch (error) {
    throw startFailure(error, options);
  }
  shutdown.opened({
    name: 'store',
    async close() {
      await stamp.close();
      return [];
    }
  });
  return stamp;
}

/** What the user can do about it, in the words of the command line. */
function startFailure(error: unknown, { directory, port, host }: StampStartOptions): unknown {
  const codes = codesOf(error);
  if (codes.includes('EADDRINUSE'))
    return new CommandError(`port ${port} is in use; stop what listens there, or choose another with --port`);
  if (codes.includes('EADDRNOTAVAIL') || codes.includes('ENOTFOUND'))
    return new CommandError(`${host} is no address of this machine; choose another with --host`);
  if (codes.includes('LEVEL_LOCKED'))
    return new CommandError(
      `${directory} is in use by another process; stop that one, or choose another folder with --data`
    );
  return error;
}

/** The codes of an error and of what caused it. */
function codesOf(error: unknown): readonly string[] {
  const codes: string[] = [];
  for (let cause = error; cause instanceof Error && codes.length < 10; cause = cause.cause)
    codes.push('code' in cause ? String(cause.code) : '');
  return codes;
}

interface DriveRequest {
  readonly stamp: RunningStamp;
  readonly directory: string;
  readonly driver: DriverName | undefined;
  readonly locks: LocksOption | undefined;
  readonly cache: ReturnType<typeof cacheSettings>;
  readonly logger: Log;
}

/** @returns Whether it is mounted: where the machine cannot, the store serves without, and says so. */
async function mountDrive(
  context: CommandContext,
  { stamp, directory, driver, locks, cache, logger }: DriveRequest
): Promise<boolean> {
  const { world, output, signal } = context;
  try {
    await stamp.calls.buckets.create({ bucket: DRIVE_BUCKET }, { signal });
  } catch (error) {
    if (!isStoreError(error, 'BucketAlreadyExists')) throw error;
  }
  const why = await whyNoFuse(world.fuseDevice);
  const doctor = `"${world.commandName} doctor" says what to fix`;
  if (why !== undefined) {
    output.note(
      `stampede: ${why}, so there is no drive at ${directory}; the store serves without it; ${doctor}`
    );
    return false;
  }
  try {
    const drive = await openDrive(context, logger, {
      client: stamp.calls,
      bucket: DRIVE_BUCKET,
      directory,
      ...cache,
      ...(driver !== undefined && { driver }),
      ...(locks !== undefined && { locks })
    });
    void drive.ended.then(() => {
      if (!signal.aborted)
        output.note(`stampede: the drive at ${directory} was unmounted; the store serves on`);
    });
    return true;
  } catch (error) {
    // No device, no right to mount, or no driver for this platform.
    if (!(error instanceof FileSystemError) || !['EIO', 'ENOSYS'].includes(error.code)) throw error;
    output.note(`stampede: ${error.message}; the store serves without it; ${doctor}`);
    return false;
  }
}

async function whyNoFuse(device: string): Promise<string | undefined> {
  try {
    await access(device, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return isMissing ? `there is no ${device} on this machine` : `you may not use ${device}`;
  }
}

/** Relative where that is shorter to read: below the working directory. */
function shortPath(workingDirectory: string, path: string): string {
  const below = relative(workingDirectory, path);
  return below === '' || below.startsWith('..') ? path : `./${below}`;
}
