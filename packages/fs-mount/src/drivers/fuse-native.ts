import { setTimeout } from 'node:timers/promises';
import { FileSystemError } from '../errno.js';
import type { FileSystem } from '../file-system.js';
import type { Driver, DriverOptions, MountedDirectory } from './driver.js';
import { type FuseBase, loadFuseNative } from './fuse-native-binding.js';
import { driverClass } from './fuse-native-class.js';
import { countedOperations } from './fuse-native-counted.js';
import { withMonitorFolder } from './fuse-native-monitor.js';
import { FuseNativeOperations } from './fuse-native-operations.js';
import { isMountPoint, mountPathOf, prepareMountPoint, unmountDirectory } from './mount-table.js';

const ENDED_POLL_MS = 1000;

/** The addon's threads go on using the memory of a mount after it has ended. */
const everMounted: FuseBase[] = [];

/**
 * The driver on the npm package fuse-native (libfuse 2.9, high-level). What its C code loses, and what is done here:
 * - utimens hands over atime twice: mtime is read from the request's native memory, which the addon shows us (ms only);
 * - a change of only atime or only mtime (`touch -m`, `tar -x`) never arrives: nothing can be done;
 * - libfuse renames open files to `.fuse_hidden…` when they are unlinked or replaced: that stays inside the mount;
 * - no caller, no flags at create: owners are the mount's defaults, and O_EXCL holds within the mount only.
 * The process must not touch its own mount with synchronous calls: nobody would answer.
 */
export function fuseNativeDriver(): Driver {
  return { name: 'fuse-native', hasServerLocks: false, mount };
}

async function mount(fileSystem: FileSystem, options: DriverOptions): Promise<MountedDirectory> {
  const Fuse = loadFuseNative();
  await prepareMountPoint(options.directory);
  const directory = await mountPathOf(options.directory);
  const operations = new FuseNativeOperations(fileSystem, options.onEvent);
  const counted = countedOperations(operations.table(), options.monitor);
  const table = withMonitorFolder(counted, options.monitorFolder({ canStream: false }));
  const fuse = new (driverClass(Fuse, options))(directory, table, { timeout: false });
  everMounted.push(fuse);
  await open(fuse, directory);
  const polling = new AbortController();
  const ended = whenEnded(directory, polling.signal).then(async () => {
    fuse.close(() => undefined);
    // The kernel sends no release for what was open when a mount is torn away.
    await operations.releaseAll();
    options.onEvent({ type: 'unmounted' });
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

function open(fuse: FuseBase, directory: string): Promise<void> {
  return new Promise((done, fail) => {
    fuse.open((error) => {
      if (!error) return done();
      const hint = process.getuid?.() === 0 ? 'is /dev/fuse there?' : 'is fuse3 installed, for fusermount?';
      fail(new FileSystemError('EIO', `${directory} could not be mounted: ${hint}`, { cause: error }));
    });
  });
}

/** Politely at first; a program that still uses the mount keeps it, detached from the tree, until it lets go. */
async function detach(directory: string): Promise<void> {
  try {
    await unmountDirectory(directory, { lazy: false });
  } catch {
    await unmountDirectory(directory, { lazy: true });
  }
}

/** libfuse does not tell when somebody else unmounts: the mount table does. */
async function whenEnded(directory: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await isMountPoint(directory)))
    await setTimeout(ENDED_POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
}
