import type { Mount, MountEvent, MountOptions } from '@stampede/fs-mount';
import type { CommandContext } from './command-context.js';
import type { Log } from './log.js';
import { formatSize } from './size.js';

/** A mounted drive that is flushed and unmounted with the command. */
export interface Drive {
  /** Resolves when somebody else has unmounted it and everything is stored. */
  readonly ended: Promise<void>;
}

export async function openDrive(
  { world, shutdown }: CommandContext,
  log: Log,
  options: Omit<MountOptions, 'onEvent'>
): Promise<Drive> {
  const mount = await world.mount({ ...options, onEvent: (event) => logEvent(log, event) });
  // Asking a mount twice to close makes it give up: asked for by a second signal, never by accident.
  let closing: Promise<readonly string[]> | undefined;
  const close = () => {
    closing ??= closeMount(mount);
    return closing;
  };
  shutdown.opened({
    name: `drive at ${options.directory}`,
    close,
    giveUp: () => {
      mount.close().catch(() => undefined);
    }
  });
  const ended = mount.ended.then(close).then(
    () => undefined,
    // Told once, by the command when it closes what it opened.
    () => undefined
  );
  return { ended };
}

async function closeMount(mount: Mount): Promise<readonly string[]> {
  const unstored = await mount.close();
  return unstored.map(({ path, bytes }) => `${path} (${formatSize(bytes)})`);
}

/** How loud each event is, and what it means. Total by type. */
const EVENTS = {
  commitFailed: ['warn', 'data could not be stored yet; it is kept and tried again'],
  dataLost: ['error', 'data is lost: the store refuses it'],
  locksLost: [
    'error',
    'locks are lost: the store did not answer in time; programs that have the file open get errors'
  ],
  removalFailed: ['warn', 'a removal did not happen; the file shows again'],
  bucketRefused: ['warn', 'a bucket was not made or deleted'],
  watchLost: ['info', 'changes by others show later: the watch of the store ended'],
  watchLive: ['debug', 'changes by others show at once'],
  driverMissing: [
    'warn',
    'the drive is slower and keeps less of times and flags: a better driver is not here'
  ],
  cacheDamaged: ['warn', 'a file of the disk cache was damaged; it is fetched anew'],
  cacheFailed: ['warn', 'the disk of the cache refused something; it is left alone for a while'],
  unmounted: ['info', 'the drive is unmounted'],
  bug: ['error', 'an operation failed with something unexpected; please report it']
} as const satisfies Record<MountEvent['type'], readonly ['debug' | 'info' | 'warn' | 'error', string]>;

function logEvent(log: Log, event: MountEvent): void {
  const { type, ...fields } = event;
  const [level, message] = EVENTS[type];
  // Under this name the logger writes the stack and the cause.
  const details = 'error' in fields ? { ...fields, error: undefined, err: fields.error } : fields;
  log[level](details, message);
}
