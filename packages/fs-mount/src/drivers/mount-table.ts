import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, realpath, statfs } from 'node:fs/promises';
import { join, parse, resolve } from 'node:path';
import { promisify } from 'node:util';
import { FileSystemError } from '../errno.js';

const run = promisify(execFile);
const ANSWER_TIMEOUT_MS = 3000;
const LINK_COUNT_MAX = 40;

export interface MountEntry {
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
  const path = await mountPathOf(directory);
  const table = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  // Of several on one directory the last one is seen.
  const line = table.split('\n').findLast((one) => unescapeOctal(one.split(' ')[4] ?? '') === path);
  if (line === undefined) return undefined;
  const [type = '', source = ''] = line.slice(line.indexOf(' - ') + 3).split(' ');
  return { type, source: unescapeOctal(source), device: line.split(' ')[2] ?? '' };
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

/** Detaches a mount point. Without `lazy` it fails while a program uses it. */
export async function unmountDirectory(
  directory: string,
  { lazy }: { readonly lazy: boolean }
): Promise<void> {
  const commands: [string, string[]][] = [
    ['umount', [...(lazy ? ['-l'] : []), directory]],
    ['fusermount3', ['-u', ...(lazy ? ['-z'] : []), directory]],
    ['fusermount', ['-u', ...(lazy ? ['-z'] : []), directory]]
  ];
  let failure: unknown;
  for (const [command, parameters] of process.getuid?.() === 0 ? commands : commands.toReversed()) {
    try {
      await run(command, parameters);
      return;
    } catch (error) {
      if (!(await isMountPoint(directory))) return;
      // A command that is not installed says nothing about the mount.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') failure ??= error;
    }
  }
  const message = `${directory} could not be unmounted; close what uses it (fuser -m ${directory}) and try again`;
  throw new FileSystemError('EBUSY', message, { cause: failure });
}

async function answers(directory: string): Promise<boolean> {
  const timeout = new Promise<boolean>((resolve) => setTimeout(resolve, ANSWER_TIMEOUT_MS, true).unref());
  // Attributes may come from the kernel's cache after the mount's process has died; this always asks it.
  const answer = statfs(directory).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOTCONN' && error.code !== 'EIO'
  );
  return Promise.race([answer, timeout]);
}

function unescapeOctal(text: string): string {
  return text.includes('\\')
    ? Buffer.from(
        text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
        'latin1'
      ).toString()
    : text;
}
