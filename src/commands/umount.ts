import { open, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { defineCommand, flag } from '../command.js';
import { CommandError } from '../usage-error.js';

const NOT_STORED: ReadonlySet<string> = new Set(['EIO', 'ETIMEDOUT', 'ENOSPC', 'EDQUOT']);

export const umount = defineCommand({
  name: 'umount',
  parameters: '<dir>',
  summary: 'unmount a drive; also one whose process has crashed',
  options: {
    force: flag('-f, --force', 'even while programs use it: they keep it until they let go')
  },
  example: 'umount /mnt/photos',
  async run(context, [place = ''], { force }) {
    const { findMount, unmount } = context.world;
    const directory = await mountPointOf(context.localPath(place));
    const found = await findMount(directory);
    if (!found) throw new CommandError(`nothing is mounted at ${directory}`);
    if (!found.source.startsWith('stampede:'))
      throw new CommandError(`${directory} is no drive of Stampede, but ${found.source}; use umount`);
    if (!force) await store(directory);
    await unmount(directory, { lazy: force });
  }
});

/** What a program was told is there may be on its way still: with the drive's last call it is durable. */
async function store(directory: string): Promise<void> {
  try {
    const root = await open(directory, 'r');
    try {
      await root.sync();
    } finally {
      await root.close();
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // A drive whose process is gone has nothing that could be stored.
    if (!NOT_STORED.has(code)) return;
    throw new CommandError(
      `not everything could be stored (${code}), so the drive stays; see whether the store is there, or give it up with --force`
    );
  }
}

/** As the mount table has it. Only the parent is looked at: a drive whose process is gone may not answer. */
async function mountPointOf(directory: string): Promise<string> {
  const parent = await realpath(dirname(directory)).catch(() => dirname(directory));
  return join(parent, basename(directory));
}
