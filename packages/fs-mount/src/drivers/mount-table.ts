import { mkdir, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join, parse, resolve } from 'node:path';
import { FileSystemError } from '../errno.js';
import { askMount } from './ask-mount.js';
import { runBounded } from './run-bounded.js';

const ANSWER_MS_MAX = 3000;
const UNMOUNT_MS_MAX = 20_000;
const LINK_COUNT_MAX = 40;

export interface MountEntry {
  /** Of the mount point, without symbolic links. */
  readonly path: string;
  /** Of a drive: `stampede:BUCKET/PREFIX`. */
  readonly source: string;
  readonly type: string;
  /** `MAJOR:MINOR`, as the kernel names it. */
  readonly device: string;
}

/**
 * The path under which the kernel lists a mount point: without symbolic links. Asks only what is above it, as what is
 * mounted there may not answer.
 */
export async function mountPathOf(directory: string, linkCountMax = LINK_COUNT_MAX): Promise<string> {
  const { dir, base } = parse(resolve(directory));
  const above = await realpath(dir).catch(() => dir);
  const path = join(above, base);
  const target = linkCountMax > 0 ? await readlink(path).catch(() => undefined) : undefined;
  return target === undefined ? path : mountPathOf(resolve(above, target), linkCountMax - 1);
}

/** What is mounted on exactly this directory. Never touches the directory, which may not answer. */
export async function findMount(directory: string): Promise<MountEntry | undefined> {
  const table = (await readFile('/proc/self/mountinfo', 'utf8').catch(() => '')).split('\n');
  // Also what is above may not answer: a path that is in the table as it is need not be looked at.
  const listed = resolve(directory);
  return entryOf(table, listed) ?? entryOf(table, await mountPathOf(listed));
}

function entryOf(table: readonly string[], path: string): MountEntry | undefined {
  // Of several on one directory the last one is seen.
  const line = table.findLast((one) => unescapeOctal(one.split(' ')[4] ?? '') === path);
  if (line === undefined) return undefined;
  const [type = '', source = ''] = line.slice(line.indexOf(' - ') + 3).split(' ');
  return { path, type, source: unescapeOctal(source), device: line.split(' ')[2] ?? '' };
}

export async function isMountPoint(directory: string): Promise<boolean> {
  return (await findMount(directory)) !== undefined;
}

/**
 * Makes the directory ready to mount on: creates it, and clears away what a crashed mount left behind.
 *
 * @throws FileSystemError `EBUSY` when it is a mount already, `ENOTDIR`, `ENOTEMPTY`, `EACCES`.
 */
export async function prepareMountPoint(directory: string): Promise<void> {
  if (await isMountPoint(directory)) {
    if (await answers(directory))
      throw new FileSystemError(
        'EBUSY',
        `${directory} is a mount already; unmount it first: umount ${directory}`
      );
    await unmountDirectory(directory, { lazy: true });
  }
  await makeEmptyDirectory(directory);
}

/** Files that were there would be hidden, and who looks for them would find the wrong place. */
async function makeEmptyDirectory(directory: string): Promise<void> {
  const names = await mkdir(directory, { recursive: true })
    .then(() => readdir(directory))
    .catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw notUsable(directory, error);
      throw new FileSystemError('ENOTDIR', `${directory} is no directory; choose another mount point`);
    });
  if (names.length > 0)
    throw new FileSystemError('ENOTEMPTY', `${directory} has files in it; mount on an empty directory`);
}

function notUsable(directory: string, cause: NodeJS.ErrnoException): FileSystemError {
  const message = `${directory} cannot be used as a mount point: ${cause.message}`;
  return new FileSystemError(cause.code === 'EACCES' ? 'EACCES' : 'EIO', message, { cause });
}

/**
 * Detaches a mount point, named as the kernel lists it. Without `lazy` it fails while a program uses it.
 *
 * @throws FileSystemError `EBUSY` where it is in use, `ETIMEDOUT` when the kernel does not come to an end with it.
 */
export async function unmountDirectory(
  directory: string,
  { lazy }: { readonly lazy: boolean }
): Promise<void> {
  const commands: [string, string[]][] = [
    // By itself umount(8) asks what is mounted there, which may not answer; a simpler one has no such option.
    ['umount', ['-c', ...(lazy ? ['-l'] : []), directory]],
    ['umount', [...(lazy ? ['-l'] : []), directory]],
    ['fusermount3', ['-u', ...(lazy ? ['-z'] : []), directory]],
    ['fusermount', ['-u', ...(lazy ? ['-z'] : []), directory]]
  ];
  let failure: string | undefined;
  for (const [command, parameters] of process.getuid?.() === 0 ? commands : commands.toReversed()) {
    const outcome = await runBounded(command, parameters, { timeoutMs: UNMOUNT_MS_MAX });
    if (outcome.type === 'ended' && outcome.code === 0) return;
    if (!(await isMountPoint(directory))) return;
    // A command that is not installed says nothing about the mount; one that waits is not followed by more that do.
    if (outcome.type === 'ended') failure ??= outcome.complaints;
    if (outcome.type === 'late') throw notUnmounted(directory);
  }
  const message = `${directory} could not be unmounted; close what uses it (fuser -m ${directory}) and try again`;
  throw new FileSystemError('EBUSY', message, { cause: new Error(failure) });
}

function notUnmounted(directory: string): FileSystemError {
  return new FileSystemError(
    'ETIMEDOUT',
    `${directory} could not be unmounted within ${UNMOUNT_MS_MAX / 1000} s: the kernel waits for the process of the drive; end that process and try again`
  );
}

async function answers(directory: string): Promise<boolean> {
  const answer = await askMount(directory, 'space', { timeoutMs: ANSWER_MS_MAX });
  return answer.type !== 'failed' || (answer.code !== 'ENOTCONN' && answer.code !== 'EIO');
}

function unescapeOctal(text: string): string {
  return text.includes('\\')
    ? Buffer.from(
        text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
        'latin1'
      ).toString()
    : text;
}
