import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { StoreError } from '../api/index.js';
import { systemCodeOf } from './disk-error.js';
import { findLogDamage } from './level-log-check.js';
import { LevelStore } from './level-store.js';
import type { OrderedStore } from './ordered-store.js';
import { systemDisk } from './system-disk.js';

export interface ClassicLevelOptions {
  /** Memory for uncompressed blocks that were read. */
  readonly cacheBytes?: number;
  /** Memory for writes before they become a table file; up to twice this is held, and replayed at open. */
  readonly writeBufferBytes?: number;
}

const CACHE_BYTES_DEFAULT = 32 * 1024 * 1024;
const WRITE_BUFFER_BYTES_DEFAULT = 8 * 1024 * 1024;

/**
 * Opens or creates an ordered store on this machine's disk. After a failed write the store refuses further writes:
 * close it and open it again.
 *
 * @throws StoreError `DiskFailed` when the database is damaged, not readable or open elsewhere.
 */
export async function openClassicLevelStore(
  directory: string,
  options: ClassicLevelOptions = {}
): Promise<OrderedStore> {
  await systemDisk().createDirectory(directory);
  await checkLogs(directory);
  const database = new ClassicLevel<Uint8Array, Uint8Array>(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    cacheSize: options.cacheBytes ?? CACHE_BYTES_DEFAULT,
    writeBufferSize: options.writeBufferBytes ?? WRITE_BUFFER_BYTES_DEFAULT
  });
  try {
    await database.open();
  } catch (error) {
    throw openError(directory, error);
  }
  return new LevelStore(directory, database);
}

/** The engine itself would open a database whose log is damaged, without what was in the damaged place. */
async function checkLogs(directory: string): Promise<void> {
  const disk = systemDisk();
  const names = await disk.list(directory);
  for (const name of names.filter((name) => name.endsWith('.log'))) {
    const file = await disk.findFile(join(directory, name));
    if (!file) continue;
    try {
      const log = Buffer.allocUnsafe(await file.size());
      const damagedOffset = findLogDamage(log.subarray(0, await file.read(log, 0)));
      if (damagedOffset === undefined) continue;
      throw new StoreError(
        'DiskFailed',
        `The database ${directory} is damaged: ${name} at byte ${damagedOffset}. Restore or rebuild the folder.`
      );
    } finally {
      await file.close();
    }
  }
}

function openError(directory: string, error: unknown): StoreError {
  // The library wraps what the engine said.
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (systemCodeOf(cause) === 'LEVEL_LOCKED') {
    const message = `The database ${directory} is in use. Stop the other process, or choose another folder.`;
    return new StoreError('DiskFailed', message, { cause });
  }
  if (/No space left|Disk quota exceeded/i.test(reason)) {
    return new StoreError('NoSpace', `Cannot open the database ${directory}: the disk is full. Free space.`, {
      cause
    });
  }
  const message = `Cannot open the database ${directory}: ${reason}. Restore or rebuild the folder.`;
  return new StoreError('DiskFailed', message, { cause });
}
