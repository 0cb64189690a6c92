import { isStoreError } from '@stampede/client';
import { AllBucketsFileSystem } from '../all-buckets/index.js';
import { BucketFileSystem } from '../bucket-file-system.js';
import { FileSystemError } from '../errno.js';
import type { FileSystem } from '../file-system.js';
import type { FileSystemOptions } from '../file-system-options.js';
import type { MountEvent } from '../mount-event.js';
import { openMemoryScratch } from './memory-scratch.js';
import { ObservedStore } from './observed-store.js';
import { VirtualClock } from './virtual-clock.js';

const MIB = 1024 * 1024;
export const BUCKET = 'drive';

/** A file system on a store in memory, with a clock and a scratch of the test. */
export interface Drive<Shown extends FileSystem = BucketFileSystem> extends AsyncDisposable {
  readonly fileSystem: Shown;
  readonly store: ObservedStore;
  readonly clock: VirtualClock;
  readonly events: MountEvent[];
}

export async function startDrive(
  options: Partial<FileSystemOptions> & { store?: never } = {}
): Promise<Drive> {
  const store = new ObservedStore();
  await store.direct.buckets.create({ bucket: BUCKET });
  return driveOn(store, options);
}

/** A further mount of the same bucket. */
export function driveOn(store: ObservedStore, options: Partial<FileSystemOptions> = {}): Drive {
  return driveOf(store, options, (all) => new BucketFileSystem(all));
}

/** A drive of every bucket. */
export function allBucketsOn(
  store: ObservedStore,
  options: Partial<FileSystemOptions> = {}
): Drive<AllBucketsFileSystem> {
  return driveOf(store, options, (all) => new AllBucketsFileSystem(all));
}

function driveOf<Shown extends FileSystem>(
  store: ObservedStore,
  options: Partial<FileSystemOptions>,
  make: (options: FileSystemOptions) => Shown
): Drive<Shown> {
  const clock = new VirtualClock();
  const events: MountEvent[] = [];
  const fileSystem = make({
    bucket: BUCKET,
    prefix: '',
    readOnly: false,
    uid: 1000,
    gid: 1000,
    umask: 0o022,
    readMemoryBytes: 32 * MIB,
    writeMemoryBytes: 32 * MIB,
    attributeCountMax: 10_000,
    attributeTtlMs: 1000,
    checksOnOpen: true,
    commitIntervalMs: 5000,
    deadlineMs: 60_000,
    clock,
    openScratch: openMemoryScratch,
    onEvent: (event) => events.push(event),
    ...options,
    store: store.observed
  });
  return {
    fileSystem,
    store,
    clock,
    events,
    async [Symbol.asyncDispose]() {
      fileSystem.close();
    }
  };
}

/** Creates a file as a program does: create, write, close. */
export async function writeFile(fileSystem: FileSystem, path: string, content: Uint8Array | string) {
  const handle = await fileSystem.create(path, 0o644, { writable: true, truncate: true });
  try {
    await handle.write(0, typeof content === 'string' ? Buffer.from(content) : content);
    await handle.flush();
  } finally {
    await handle.release();
  }
}

export async function readFile(fileSystem: FileSystem, path: string): Promise<Buffer> {
  const handle = await fileSystem.open(path);
  try {
    const content = Buffer.alloc(handle.attributes().size);
    const count = await handle.read(0, content);
    return content.subarray(0, count);
  } finally {
    await handle.release();
  }
}

export async function namesIn(fileSystem: FileSystem, path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const page of fileSystem.readdir(path)) names.push(...page.map((entry) => entry.name));
  return names.sort();
}

/** The object's bytes as another face sees them, or undefined. */
export async function stored(store: ObservedStore, key: string): Promise<string | undefined> {
  try {
    const { body } = await store.direct.objects.read({ bucket: BUCKET, key });
    return Buffer.from(body).toString();
  } catch (error) {
    if (isStoreError(error, 'NoSuchKey')) return undefined;
    throw error;
  }
}

/** The errno name an operation fails with; `ok` when it does not. */
export async function errnoOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
    return 'ok';
  } catch (error) {
    if (error instanceof FileSystemError) return error.code;
    if (isStoreError(error)) return `store:${error.code}`;
    throw error;
  }
}

/** Bytes that tell where they belong. */
export function pattern(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (index + seed) % 251;
  return bytes;
}
