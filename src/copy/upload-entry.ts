import { constants } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import { LIMITS, type ObjectHead, type StoreClient } from '@stampede/client';
import { CommandError } from '../usage-error.js';
import type { LocalEntry } from './entry.js';
import { attributesOfStats } from './file-mode.js';

const READ_BYTES = 1024 * 1024;
/** Files up to this size are read whole. */
const SMALL_BYTES = 1024n * 1024n;
const UNDECODABLE = '\ufffd';

export interface UploadTarget {
  readonly store: StoreClient;
  readonly bucket: string;
  readonly key: string;
  readonly signal: AbortSignal;
  readonly onBytes: (count: number) => void;
}

/** Stores a local file, link or directory (as a marker), with its mode and time of modification. */
export async function uploadEntry(entry: LocalEntry, target: UploadTarget): Promise<ObjectHead> {
  if (entry.localPath.includes(UNDECODABLE))
    throw new CommandError('its name is not UTF-8; rename it first (convmv -f latin1 -t utf8)');
  switch (entry.type) {
    case 'file':
      return uploadFile(entry, target);
    case 'symlink':
      return putEmpty(target, {
        ...attributesOfStats(entry.stats),
        symlinkTarget: await readlink(entry.localPath)
      });
    case 'directory':
      return markDirectory(target, attributesOfStats(entry.stats));
    case 'other':
      throw new CommandError('it is neither file nor directory nor link; it was left out');
  }
}

/** Most bytes of buffers that uploading the entry takes. */
export function uploadBytes({ type, stats }: LocalEntry): number {
  return type === 'file' ? transferBytes(Number(stats.size)) : 0;
}

/** An upload or download holds a small object whole, and a few blocks of a large one. */
export function transferBytes(size: number): number {
  return Math.min(size, 4 * LIMITS.bodyBytesMax);
}

async function uploadFile(entry: LocalEntry, target: UploadTarget): Promise<ObjectHead> {
  const { store, bucket, key, signal, onBytes } = target;
  // A link that took the file's place since it was looked at is not followed, and a pipe does not make us wait.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (entry.isFollowed ? 0 : constants.O_NOFOLLOW);
  const file = await open(entry.localPath, flags);
  try {
    const stats = await file.stat({ bigint: true });
    if (!stats.isFile()) throw new CommandError('it is no longer a file');
    let reported = 0;
    return await store.upload({
      bucket,
      key,
      body: stats.size <= SMALL_BYTES ? await file.readFile() : () => piecesOf(file),
      attributes: attributesOfStats(stats),
      signal,
      onProgress({ storedBytes }) {
        onBytes(storedBytes - reported);
        reported = storedBytes;
      }
    });
  } finally {
    await file.close();
  }
}

/** The bytes of a file in one buffer over and over: each piece is used up before the next is asked for. */
async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

async function putEmpty(
  { store, bucket, key, signal }: UploadTarget,
  attributes: NonNullable<ObjectHead['attributes']>
): Promise<ObjectHead> {
  return store.objects.put({ bucket, key, body: new Uint8Array(0), attributes }, { signal });
}

/** A marker that is there already keeps what else it carries. */
async function markDirectory(
  { store, bucket, key, signal }: UploadTarget,
  attributes: NonNullable<ObjectHead['attributes']>
): Promise<ObjectHead> {
  return store.objects.setAttributes({ bucket, key: `${key}/`, attributes, create: true }, { signal });
}
