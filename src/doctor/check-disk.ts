import { randomUUID } from 'node:crypto';
import { access, constants, open, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LIMITS } from '@stampede/client';
import { formatSize } from '../size.js';
import type { Check } from './check.js';

const PROBE_BYTES = 4096;
const PROBE_COUNT = 16;
const GIB = 1024 ** 3;
const FREE_BYTES_MIN = GIB;
const FREE_BYTES_GOOD = 5 * GIB;
/** Slower than this per write, every small write is felt. */
const SYNC_MS_GOOD = 50;
const TMPFS_TYPES = [0x01021994, 0x858458f6];

/** How checks of a folder are named, and what chooses another one. */
export interface DirectoryNames {
  readonly directory: string;
  readonly choose: string;
}

const DATA: DirectoryNames = { directory: 'data folder', choose: 'choose another folder with --data' };

/** Whether the folder of the store can be written, or created. */
export async function checkDataDirectory(data: string, names = DATA): Promise<Check> {
  const name = names.directory;
  const directory = await existingDirectory(data);
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    const message = directory === data ? `${data} can be written` : `${data} can be created`;
    return { name, verdict: 'ok', message };
  } catch {
    return {
      name,
      verdict: 'fail',
      message: `${directory} cannot be written`,
      fix: `change its owner (chown), or ${names.choose}`
    };
  }
}

/** Whether the disk makes writes durable when it is told to, and how fast. */
export async function checkDurability(data: string, nowMs: () => number): Promise<Check> {
  const name = 'fdatasync';
  const directory = await existingDirectory(data);
  const probe = join(directory, `.stampede-doctor-${randomUUID().slice(0, 13)}`);
  try {
    const ms = await timeSync(probe, nowMs);
    const message = `a durable write takes ${ms < 1 ? ms.toFixed(2) : ms.toFixed(1)} ms`;
    if (TMPFS_TYPES.includes((await statfs(directory)).type))
      return {
        name,
        verdict: 'warn',
        message: `${directory} is in memory: everything is lost with the next restart of the machine`,
        fix: 'choose a folder on a disk with --data'
      };
    if (ms <= SYNC_MS_GOOD) return { name, verdict: 'ok', message };
    return { name, verdict: 'warn', message, fix: 'choose a faster disk with --data, or --durability os' };
  } catch (error) {
    return {
      name,
      verdict: 'fail',
      message: `a file in ${directory} cannot be made durable (${(error as NodeJS.ErrnoException).code})`,
      fix: 'see "dmesg" for errors of the disk, or choose another folder with --data'
    };
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

export async function checkSpace(data: string): Promise<Check> {
  const name = 'free space';
  const { bavail, blocks, bsize, bfree } = await statfs(await existingDirectory(data));
  const freeBytes = bavail * bsize;
  const share = blocks === 0 ? 0 : (blocks - bfree) / blocks;
  const message = `${formatSize(freeBytes)} free, ${Math.round(share * 100)} % used`;
  const fix = 'free some space, or choose a folder on another disk with --data';
  if (freeBytes < FREE_BYTES_MIN) return { name, verdict: 'fail', message, fix };
  if (freeBytes < FREE_BYTES_GOOD || share > LIMITS.spaceHighWatermark)
    return { name, verdict: 'warn', message, fix };
  return { name, verdict: 'ok', message };
}

async function timeSync(path: string, nowMs: () => number): Promise<number> {
  const file = await open(path, 'wx', 0o600);
  try {
    const startedAtMs = nowMs();
    for (let index = 0; index < PROBE_COUNT; index++) {
      await file.write(Buffer.alloc(PROBE_BYTES, index + 1), 0, PROBE_BYTES, index * PROBE_BYTES);
      await file.datasync();
    }
    return (nowMs() - startedAtMs) / PROBE_COUNT;
  } finally {
    await file.close();
  }
}

/** The folder, or the nearest one above it that exists. */
export async function existingDirectory(path: string): Promise<string> {
  for (let directory = path; ; directory = dirname(directory)) {
    const isThere = await access(directory).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code === 'EACCES'
    );
    if (isThere || directory === dirname(directory)) return directory;
  }
}
