import { access, constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.js';

export interface FuseFacts {
  readonly device: string;
  readonly isRoot: boolean;
  readonly programDirectories: readonly string[];
}

/** The device that drives are mounted with. */
export async function checkFuseDevice({ device }: FuseFacts): Promise<Check> {
  const name = 'fuse device';
  try {
    // Whether it may be used shows only when it is opened: containers refuse that.
    await (await open(device, 'r+')).close();
    return { name, verdict: 'ok', message: `${device} can be used` };
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        return {
          name,
          verdict: 'fail',
          message: `there is no ${device}: drives cannot be mounted`,
          fix: `load it with "modprobe fuse"; in a container start it with --device ${device} --cap-add SYS_ADMIN`
        };
      case 'EACCES':
        return {
          name,
          verdict: 'fail',
          message: `you may not use ${device}`,
          fix: `as root: chmod 666 ${device}`
        };
      default:
        return {
          name,
          verdict: 'fail',
          message: `${device} cannot be opened (${(error as NodeJS.ErrnoException).code})`,
          fix: `in a container start it with --device ${device} --cap-add SYS_ADMIN; else see "dmesg"`
        };
    }
  }
}

/** The program that mounts for users other than root. */
export async function checkFuseHelper({ isRoot, programDirectories }: FuseFacts): Promise<Check> {
  const name = 'fuse helper';
  const found = await findProgram('fusermount', programDirectories);
  if (found !== undefined) return { name, verdict: 'ok', message: found };
  if (isRoot) return { name, verdict: 'ok', message: 'not needed: root mounts without' };
  const fix = 'install the package fuse3 (apt-get install fuse3)';
  const newer = await findProgram('fusermount3', programDirectories);
  if (newer === undefined)
    return { name, verdict: 'fail', message: 'fusermount is missing: only root can mount', fix };
  return {
    name,
    verdict: 'fail',
    message: `there is ${newer} but no fusermount, which the driver calls: only root can mount`,
    fix: `as root: ln -s ${newer} ${newer.slice(0, -1)}`
  };
}

async function findProgram(name: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false
    );
    if (isThere) return path;
  }
  return undefined;
}
