import { defineCommand, flag, valueOr } from '../command.js';
import type { CommandContext } from '../command-context.js';
import { parseDriveStats } from '../drive-stats.js';
import { parseSeconds } from '../option-values.js';
import { formatSize } from '../size.js';
import { CommandError } from '../usage-error.js';

/** A drive knows its numbers by itself: a healthy one says them at once, also while its store is away. */
const ANSWER_MS_MAX = 30_000;
const STORE_MS_MAX = 600_000;
const NOT_STORED: ReadonlySet<string> = new Set(['EIO', 'ETIMEDOUT', 'ENOSPC', 'EDQUOT']);

export const umount = defineCommand({
  name: 'umount',
  parameters: '<dir>',
  summary: 'unmount a drive; also one whose process has crashed',
  options: {
    force: flag('-f, --force', 'even while programs use it: they keep it until they let go'),
    timeout: {
      ...valueOr('--timeout <seconds>', 'how long to wait until everything is stored', {
        parse: parseSeconds,
        otherwise: STORE_MS_MAX
      }),
      defaultText: String(STORE_MS_MAX / 1000)
    }
  },
  example: 'umount /mnt/photos',
  async run(context, [place = ''], { force, timeout }) {
    const { findMount, unmount } = context.world;
    const directory = context.localPath(place);
    const found = await findMount(directory);
    if (!found) throw new CommandError(`nothing is mounted at ${directory}`);
    if (!found.source.startsWith('stampede:'))
      throw new CommandError(`${directory} is no drive of Stampede, but ${found.source}; use umount`);
    if (!force) await store(context, found.path, timeout);
    await unmount(found.path, { lazy: force });
  }
});

/** What a program was told is there may be on its way still: with the drive's last call it is durable. */
async function store({ world, signal }: CommandContext, directory: string, timeoutMs: number): Promise<void> {
  const { askMount } = world;
  const answerMs = Math.min(ANSWER_MS_MAX, timeoutMs);
  const alive = await askMount(directory, 'stats', {
    timeoutMs: answerMs,
    signal
  });
  if (alive.type === 'silent')
    throw new CommandError(
      `the drive at ${directory} has not answered for ${answerMs / 1000} s: its process is stopped or stuck, or the machine is very busy; let that process go on or end it and try again, or detach the drive with --force`
    );
  const synced = await askMount(directory, 'sync', { timeoutMs, signal });
  if (synced.type === 'silent') {
    const left = await unstoredIn(world, directory);
    throw new CommandError(
      `not everything could be stored within ${timeoutMs / 1000} s${left}, so the drive stays and goes on storing; try again, wait longer with --timeout, or give it up with --force`
    );
  }
  // A drive whose process is gone has nothing that could be stored.
  if (synced.type === 'failed' && (synced.code === undefined || NOT_STORED.has(synced.code)))
    throw new CommandError(
      `not everything could be stored (${synced.code ?? 'interrupted'}), so the drive stays; see whether the store is there, or give it up with --force`
    );
}

async function unstoredIn({ askMount }: CommandContext['world'], directory: string): Promise<string> {
  const answer = await askMount(directory, 'stats', { timeoutMs: ANSWER_MS_MAX });
  if (answer.type !== 'answered') return '';
  const bytes = parseDriveStats(answer.text).samples.get('unstored_bytes');
  return bytes === undefined ? '' : ` (${formatSize(bytes)} are left)`;
}
