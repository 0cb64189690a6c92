import { access, constants, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from './check.js';

export interface FuseFacts {
  readonly device: string;
  readonly isRoot: boolean;
  readonly programDirectories: readonly string[];
  /** It calls fusermount3; the other one calls fusermount. */
  readonly hasLinuxDriver: boolean;
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
export async function checkFuseHelper(facts: FuseFacts): Promise<Check> {
  const { isRoot, programDirectories, hasLinuxDriver } = facts;
  const name = 'fuse helper';
  const wanted = hasLinuxDriver ? 'fusermount3' : 'fusermount';
  const found = await findProgram(wanted, programDirectories);
  if (found !== undefined) return isRoot ? { name, verdict: 'ok', message: found } : await judgeRights(found);
  if (isRoot) return { name, verdict: 'ok', message: 'not needed: root mounts without' };
  const fix = 'install the package fuse3 (apt-get install fuse3)';
  const newer = await findProgram('fusermount3', programDirectories);
  if (newer === undefined)
    return { name, verdict: 'fail', message: `${wanted} is missing: only root can mount`, fix };
  return {
    name,
    verdict: 'fail',
    message: `there is ${newer} but no fusermount, which the driver calls: only root can mount`,
    fix: `as root: ln -s ${newer} ${newer.slice(0, -1)}`
  };
}

const SET_USER_ID = 0o4000;

/** It mounts with the rights of root, whoever calls it. */
async function judgeRights(program: string): Promise<Check> {
  const name = 'fuse helper';
  const { mode, uid } = await stat(program);
  if (uid === 0 && (mode & SET_USER_ID) !== 0) return { name, verdict: 'ok', message: program };
  return {
    name,
    verdict: 'fail',
    message: `${program} has not the rights of root: only root can mount`,
    fix: `as root: chown root ${program} && chmod u+s ${program}`
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
