import { createWriteStream } from 'node:fs';
import {
  chmod,
  type FileHandle,
  lutimes,
  open,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  utimes
} from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Download, ObjectHead, StoreClient } from '@stampede/client';
import { CommandError } from '../usage-error.js';
import type { StoreEntry } from './entry.js';
import { modifiedAt, permissionsOf, secondsOf } from './file-mode.js';
import { temporaryName } from './local-target.js';

const NEW_FILE_MODE = 0o666;

export interface DownloadTarget {
  readonly store: StoreClient;
  readonly signal: AbortSignal;
  readonly onBytes: (count: number) => void;
}

/**
 * Writes an object to `place`, with its mode and time of modification. The file appears there in one step when it is
 * whole; a link that stood there is replaced, not followed.
 */
export async function downloadEntry(
  entry: StoreEntry,
  place: string,
  target: DownloadTarget
): Promise<ObjectHead> {
  const { head } = entry;
  if (entry.type === 'symlink') return createLink(head, place);
  if (head.key.endsWith('/'))
    throw new CommandError(
      'its key ends in a slash, which no file name can; copy it alone under another name'
    );
  const { store, signal } = target;
  const { bucket, key } = head;
  const download = await store.download({ bucket, key, signal });
  const temporary = temporaryName(place);
  try {
    await writeWhole(download, temporary, target);
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return download.head;
}

/**
 * Where a file that the user named is to be written: behind a link that stands there; `isStream` for devices and pipes,
 * which are written to as they are.
 */
export async function explicitPlace(
  path: string
): Promise<{ readonly place: string; readonly isStream: boolean }> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) return { place: path, isStream: false };
  return { place: await realpath(path), isStream: !found.isFile() };
}

/** Writes to a device or pipe. */
export async function downloadToStream(
  head: ObjectHead,
  path: string,
  { store, signal, onBytes }: DownloadTarget
): Promise<void> {
  const { bucket, key } = head;
  const { body } = await store.download({ bucket, key, signal });
  await pipeline(counted(body, onBytes), createWriteStream(path, { flags: 'r+' }), { signal });
}

/** Gives a directory the mode and time of its marker; after everything in it was written. */
export async function finishDirectory(head: ObjectHead, place: string): Promise<void> {
  const mode = permissionsOf(head);
  if (mode !== undefined) await chmod(place, mode);
  const seconds = secondsOf(modifiedAt(head));
  await utimes(place, seconds, seconds);
}

async function writeWhole(
  { head, body }: Download,
  temporary: string,
  { onBytes }: DownloadTarget
): Promise<void> {
  const mode = permissionsOf(head);
  // Until it has its own mode nobody else may read what may be private.
  const file = await open(temporary, 'wx', mode === undefined ? NEW_FILE_MODE : 0o600);
  try {
    for await (const piece of counted(body, onBytes)) await writeAll(file, piece);
    if (mode !== undefined) await file.chmod(mode);
    const seconds = secondsOf(modifiedAt(head));
    await file.utimes(seconds, seconds);
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; )
    written += (await file.write(bytes, written, bytes.length - written, null)).bytesWritten;
}

async function createLink(head: ObjectHead, place: string): Promise<ObjectHead> {
  const { symlinkTarget } = head.attributes;
  if (symlinkTarget === undefined) throw new CommandError('it is a link that points nowhere');
  const temporary = temporaryName(place);
  await symlink(symlinkTarget, temporary);
  try {
    const seconds = secondsOf(modifiedAt(head));
    await lutimes(temporary, seconds, seconds);
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return head;
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    yield piece;
    onBytes(piece.length);
  }
}
