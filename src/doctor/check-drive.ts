import { access, constants, readFile, statfs } from 'node:fs/promises';
import { formatSize } from '../size.js';
import type { Check } from './check.js';
import { existingDirectory } from './check-disk.js';

const PASSTHROUGH_KERNEL: readonly [number, number] = [6, 9];
/** Number of CAP_SYS_ADMIN. */
const SYS_ADMIN = 21n;
const GIB = 1024 ** 3;
const CACHE_FREE_BYTES_MIN = GIB;
/** The cache stops below it. */
const CACHE_FREE_PART_MIN = 0.12;

const OTHER_FOLDER = 'choose another folder with --cache-dir';

const OVERLAY = 0x794c7630;
const IN_MEMORY: readonly number[] = [0x01021994, 0x858458f6];
const NETWORK: Readonly<Record<number, string>> = {
  26985: 'NFS',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  1702057286: 'FUSE',
  16914839: '9p',
  12805120: 'Ceph',
  1397113167: 'AFS'
};

/** @param why   There is no linux driver, from the package of the drive; undefined where there is one. */
export function checkDriver(why: string | undefined): Check {
  const name = 'drive driver';
  if (why === undefined) return { name, verdict: 'ok', message: 'linux' };
  return {
    name,
    verdict: 'warn',
    message: `fuse-native, which is slower: there is no linux driver, as ${why}`,
    fix: 'install a C compiler (apt-get install gcc libc6-dev), then: node packages/fs-mount/native/build.mjs'
  };
}

export interface KernelFacts {
  /** As `uname -r` says it. */
  readonly release: string;
  readonly hasLinuxDriver: boolean;
  readonly statusFile?: string;
}

/** Whether the kernel can serve files of the disk cache by itself. Without it all works, slower. */
export async function checkPassthrough(facts: KernelFacts): Promise<Check> {
  const name = 'passthrough';
  const missing = await whyNoPassthrough(facts);
  if (!missing) return { name, verdict: 'ok', message: 'possible for drives with --cache-dir' };
  const [message, fix] = missing;
  return { name, verdict: 'warn', message: `not possible: ${message}; drives work without, slower`, fix };
}

async function whyNoPassthrough({
  release,
  hasLinuxDriver,
  statusFile = '/proc/self/status'
}: KernelFacts): Promise<readonly [message: string, fix: string] | undefined> {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  const [wantedMajor, wantedMinor] = PASSTHROUGH_KERNEL;
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor))
    return [`Linux ${release} is older than ${PASSTHROUGH_KERNEL.join('.')}`, 'upgrade the kernel'];
  if (!hasLinuxDriver) return ['only the linux driver has it', 'see "drive driver"'];
  const text = await readFile(statusFile, 'utf8').catch(() => '');
  const word = /^CapEff:\s*([0-9a-f]+)/m.exec(text)?.[1] ?? '0';
  if (((BigInt(`0x${word}`) >> SYS_ADMIN) & 1n) === 1n) return undefined;
  return ['this user lacks CAP_SYS_ADMIN', 'mount as root; in a container start it with --cap-add SYS_ADMIN'];
}

/** What mount(8) calls for lines of fstab. */
export async function checkMountHelper(helper = '/sbin/mount.stampede'): Promise<Check> {
  const name = 'mount helper';
  const isThere = await access(helper, constants.X_OK).then(
    () => true,
    () => false
  );
  if (isThere) return { name, verdict: 'ok', message: helper };
  return {
    name,
    verdict: 'warn',
    message: `there is no ${helper}: lines of /etc/fstab cannot mount drives`,
    fix: `as root, where fstab is to mount drives: ln -s "$PWD/bin/mount.stampede" ${helper}`
  };
}

/** Whether users other than root may let others into their drives. */
export async function checkAllowOther(isRoot: boolean, configFile = '/etc/fuse.conf'): Promise<Check> {
  const name = 'allow other';
  if (isRoot) return { name, verdict: 'ok', message: 'root may use --allow-other' };
  const text = await readFile(configFile, 'utf8').catch(() => '');
  if (/^\s*user_allow_other\s*$/m.test(text))
    return { name, verdict: 'ok', message: `${configFile} lets users use --allow-other` };
  return {
    name,
    verdict: 'warn',
    message: `${configFile} does not let users use --allow-other: only who mounts a drive can see it`,
    fix: `as root: echo user_allow_other >> ${configFile}`
  };
}

/** The folder for --cache-dir. */
export async function checkCacheDirectory(directory: string): Promise<readonly Check[]> {
  const name = 'cache folder';
  const nearest = await existingDirectory(directory);
  try {
    await access(nearest, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    const fix = `change its owner (chown), or ${OTHER_FOLDER}`;
    return [{ name, verdict: 'fail', message: `${nearest} cannot be written`, fix }];
  }
  const { type, bavail, blocks, bsize } = await statfs(nearest);
  return [judgePlace(type, directory), judgeSpace(bavail * bsize, blocks * bsize)];
}

function judgePlace(type: number, path: string): Check {
  const name = 'cache folder';
  const network = NETWORK[type];
  if (network !== undefined)
    return {
      name,
      verdict: 'fail',
      message: `${path} is on a file system of a network or program (${network})`,
      fix: `a cache is to be on a disk of this machine: ${OTHER_FOLDER}`
    };
  if (type === OVERLAY)
    return {
      name,
      verdict: 'warn',
      message: `${path} is on an overlay, as in a container: the kernel gives no passthrough there`,
      fix: 'use a volume or a folder of the host'
    };
  if (IN_MEMORY.includes(type))
    return {
      name,
      verdict: 'warn',
      message: `${path} is in memory: it is lost with the next restart of the machine`,
      fix: `${OTHER_FOLDER}, on a disk`
    };
  return { name, verdict: 'ok', message: `${path} can be written` };
}

function judgeSpace(freeBytes: number, totalBytes: number): Check {
  const name = 'cache space';
  const message = `${formatSize(freeBytes)} of ${formatSize(totalBytes)} free`;
  const fix = `free some space, or ${OTHER_FOLDER}`;
  if (freeBytes < totalBytes * CACHE_FREE_PART_MIN)
    return { name, verdict: 'fail', message: `${message}: below 12 % nothing is kept`, fix };
  if (freeBytes < CACHE_FREE_BYTES_MIN) return { name, verdict: 'warn', message, fix };
  return { name, verdict: 'ok', message };
}
