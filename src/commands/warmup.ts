import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { defineCommand, valueOr } from '../command.js';
import { walkLocal } from '../copy/local-tree.js';
import { runTransfers } from '../copy/transfer-pool.js';
import { parseJobs } from '../option-values.js';
import { jsonOption } from '../shared-options.js';
import { formatSize } from '../size.js';
import { CommandError, UsageError } from '../usage-error.js';

const JOBS = 8;
const CHUNK_BYTES = 1024 * 1024;

export const warmup = defineCommand({
  name: 'warmup',
  parameters: '<path...>',
  summary: 'read files of a drive, so that its caches have them',
  details:
    'Paths are files or directories on a drive. With --cache-dir the drive keeps what is read over its end, and the kernel\n' +
    'may serve whole files by itself.',
  options: {
    jobs: valueOr('-j, --jobs <number>', 'how many files at once', { parse: parseJobs, otherwise: JOBS }),
    json: jsonOption('what was read as JSON')
  },
  example: 'warmup ./drive/models',
  async run(context, paths, { jobs, json }) {
    if (paths.length === 0) throw new UsageError('what should be read? name files or directories of a drive');
    const { output, signal } = context;
    let files = 0;
    let bytes = 0;
    const failures: string[] = [];
    using progress = output.progress({ action: 'reading', unit: 'bytes' });
    const buffers: Buffer[] = [];
    async function* found(): AsyncGenerator<string> {
      for (const path of paths)
        for await (const entry of walkLocal(context.localPath(path), { isFollowing: false })) {
          if (entry.origin === 'failed') failures.push(`${entry.path || path}: ${entry.error}`);
          else if (entry.type === 'file') {
            progress.expect(Number(entry.stats.size));
            yield entry.localPath;
          }
        }
    }
    await runTransfers(found(), {
      workersMax: jobs,
      bytesMax: jobs * CHUNK_BYTES,
      bytesOf: () => CHUNK_BYTES,
      signal,
      async run(path) {
        const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
        try {
          const count = await readWhole(path, buffer, signal, (part) => progress.advance(part));
          bytes += count;
          files += 1;
        } catch (error) {
          signal.throwIfAborted();
          failures.push(`${path}: ${error instanceof Error ? error.message : error}`);
        } finally {
          buffers.push(buffer);
        }
      }
    });
    if (json) await output.json({ files, bytes, failed: failures.length });
    else await output.line(`${files} files, ${formatSize(bytes)}`);
    for (const failure of failures) output.note(`stampede: ${failure}`);
    if (failures.length > 0) throw new CommandError(`${failures.length} could not be read`);
  }
});

/** @returns How many bytes it has. */
async function readWhole(
  path: string,
  buffer: Buffer,
  signal: AbortSignal,
  onBytes: (count: number) => void
): Promise<number> {
  const file = await openPastPages(path);
  try {
    for (let offset = 0; ; ) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) return offset;
      offset += bytesRead;
      onBytes(bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** What the kernel has in its page cache would else not reach the drive, whose cache outlives it. */
async function openPastPages(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return await open(path, 'r');
  }
}
