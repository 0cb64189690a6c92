import { writeFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { FileSystemError } from '../errno.js';
import type { FileSystem } from '../file-system.js';
import type { Driver, DriverOptions, MountedDirectory } from './driver.js';
import { type Addon, loadAddon } from './linux/addon.js';
import { openDevice } from './linux/device.js';
import { Session } from './linux/session.js';
import { findMount, isMountPoint, mountPathOf, prepareMountPoint, unmountDirectory } from './mount-table.js';

const ENDED_POLL_MS = 1000;
/** How long a closed mount waits for answers that programs wait for. */
const IDLE_MS_MAX = 5000;
const READAHEAD_KIB = 1024;

/**
 * The driver that speaks the kernel's protocol itself, through the addon in native/: no thread between a request and
 * its answer, requests of a mebibyte, times to the nanosecond, and the flags, caller and handles that the file system
 * wants to know. The process must not touch its own mount with synchronous calls: nobody would answer.
 */
export function linuxDriver(): Driver {
  return {
    name: 'linux',
    hasServerLocks: true,
    async mount(fileSystem, options) {
      const addon = loadAddon();
      if (typeof addon === 'string')
        throw new FileSystemError('ENOSYS', `there is no linux driver here: ${addon}`);
      return mount(addon, fileSystem, options);
    }
  };
}

/** Why there is no such driver here, or undefined. */
export function whyNoLinuxDriver(): string | undefined {
  const addon = loadAddon();
  return typeof addon === 'string' ? addon : undefined;
}

async function mount(
  addon: Addon,
  fileSystem: FileSystem,
  options: DriverOptions
): Promise<MountedDirectory> {
  const { onEvent } = options;
  await prepareMountPoint(options.directory);
  const directory = await mountPathOf(options.directory);
  const device = await openDevice(addon, directory, options);
  const session = new Session({ ...options, addon, device, fileSystem });
  await widenReadahead(directory).catch(() => undefined);
  const polling = new AbortController();
  const ended = Promise.race([session.ended, whenDetached(directory, polling.signal)]).then(async () => {
    polling.abort();
    const isIdle = session.idle();
    await Promise.race([isIdle, setTimeout(IDLE_MS_MAX, undefined, { ref: false })]);
    await session.close();
    onEvent({ type: 'unmounted' });
  });
  return {
    ended,
    async unmount() {
      if (await isMountPoint(directory)) await detach(directory);
      polling.abort();
      await ended;
    }
  };
}

/** The kernel reads ahead 128 KiB by default, whatever the driver can take; only root may change that. */
async function widenReadahead(directory: string): Promise<void> {
  const mounted = await findMount(directory);
  if (mounted) await writeFile(`/sys/class/bdi/${mounted.device}/read_ahead_kb`, String(READAHEAD_KIB));
}

/** Politely at first; a program that still uses the mount keeps it, detached from the tree, until it lets go. */
async function detach(directory: string): Promise<void> {
  try {
    await unmountDirectory(directory, { lazy: false });
  } catch {
    await unmountDirectory(directory, { lazy: true });
  }
}

/** While programs still use a directory that somebody detached, the kernel goes on asking: the mount table tells. */
async function whenDetached(directory: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await isMountPoint(directory)))
    await setTimeout(ENDED_POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
}
