import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { FileSystemError } from '../../errno.js';
import type { DriverOptions } from '../driver.js';
import type { Addon } from './addon.js';

/** Where the child finds its end of the socket. */
const SOCKET_DESCRIPTOR = 3;

/** Mounts the directory and returns the descriptor through which the kernel asks. */
export async function openDevice(addon: Addon, directory: string, options: DriverOptions): Promise<number> {
  const source = options.source.replaceAll(/[^\w./:-]/g, '_');
  if (process.getuid?.() === 0) {
    const device = addon.mountDirectory(directory, source, kernelOptions(options));
    if (device >= 0) return device;
    // In a container root may not mount, where the installed program may.
    if (-device !== constants.errno.EPERM) throw notMounted(directory, errnoName(-device));
  }
  return openThroughProgram(addon, { directory, source, options });
}

function kernelOptions({ readOnly, allowOther }: DriverOptions): string {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const options = ['rootmode=40000', `user_id=${uid}`, `group_id=${gid}`, 'default_permissions'];
  return [...(readOnly ? ['ro'] : []), ...options, ...(allowOther ? ['allow_other'] : [])].join(',');
}

/** fusermount3 has the right to mount for users; it passes the device back through a socket. */
async function openThroughProgram(
  addon: Addon,
  mount: { readonly directory: string; readonly source: string; readonly options: DriverOptions }
): Promise<number> {
  const pair = addon.socketPair();
  if (typeof pair === 'number') throw notMounted(mount.directory, errnoName(-pair));
  const [ours, theirs] = pair;
  try {
    const failure = await runFusermount(mount, theirs).finally(() => addon.closeDescriptor(theirs));
    const device = addon.receiveDevice(ours);
    if (device >= 0) return device;
    throw notMounted(mount.directory, failure ?? errnoName(-device));
  } finally {
    addon.closeDescriptor(ours);
  }
}

/** Resolves with what it complained about. */
function runFusermount(
  mount: { readonly directory: string; readonly source: string; readonly options: DriverOptions },
  socket: number
): Promise<string | undefined> {
  const { directory, source, options } = mount;
  const settings = [
    `fsname=${source}`,
    'subtype=stampede',
    'default_permissions',
    ...(options.allowOther ? ['allow_other'] : []),
    ...(options.readOnly ? ['ro'] : [])
  ];
  const child = spawn('fusermount3', ['-o', settings.join(','), '--', directory], {
    stdio: ['ignore', 'ignore', 'pipe', socket],
    env: { ...process.env, _FUSE_COMMFD: String(SOCKET_DESCRIPTOR) }
  });
  return new Promise((resolve) => {
    let complaints = '';
    child.stderr!.on('data', (text) => {
      complaints = (complaints + text).slice(-1000);
    });
    child.once('error', () => resolve('is fuse3 installed, for fusermount3?'));
    child.once('close', (code) => resolve(code === 0 ? undefined : complaints.trim() || `exit ${code}`));
  });
}

function notMounted(directory: string, why: string): FileSystemError {
  return new FileSystemError('EIO', `${directory} could not be mounted: ${why}`);
}

function errnoName(errno: number): string {
  const found = Object.entries(constants.errno).find(([, value]) => value === errno);
  const hint = errno === constants.errno.ENOENT ? ' (is /dev/fuse there?)' : '';
  return `${found?.[0] ?? `errno ${errno}`}${hint}`;
}
