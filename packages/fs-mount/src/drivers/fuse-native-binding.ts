import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { FileSystemError } from '../errno.js';

const require = createRequire(import.meta.url);
/** Keeps a library loaded although Node closes it again (dlopen(3), Linux). */
const RTLD_NODELETE = 0x1000;

/** A reply: 0 or a negative errno, then what the operation returns. */
export type Signal = (result: number, ...values: readonly unknown[]) => void;
export type Handler = (native: Buffer, operation: number, ...parameters: readonly unknown[]) => void;

/** What of fuse-native's class the driver uses; the package has no types. */
export interface FuseBase {
  open(done: (error: Error | null) => void): void;
  close(done: (error: Error | null) => void): void;
  _fuseOptions(): string;
  _makeHandlerArray(): (Handler | undefined)[];
}
export interface FuseConstructor {
  new (directory: string, operations: OperationTable, options: { readonly timeout: false }): FuseBase;
  unmount(directory: string, done: (error: Error | null) => void): void;
}
/** By fuse-native's names of the operations. */
export type OperationTable = Readonly<Record<string, (...parameters: never[]) => void>>;

/**
 * Loads the addon. It is linked to libfuse.so.2, of which the package brings a copy that the loader does not find: where
 * the system has none, that copy is loaded first, so nothing has to be installed.
 */
export function loadFuseNative(): FuseConstructor {
  try {
    return require('fuse-native') as FuseConstructor;
  } catch (error) {
    if (!String(error).includes('libfuse')) throw unavailable(error);
  }
  try {
    preloadLibrary();
    return require('fuse-native') as FuseConstructor;
  } catch (error) {
    throw unavailable(error);
  }
}

function preloadLibrary(): void {
  const folder = dirname(require.resolve('fuse-native/package.json'));
  const platform = `${process.platform}-${process.arch}`;
  const candidates = [
    join(folder, 'build/Release/libfuse.so'),
    join(folder, 'prebuilds', platform, 'libfuse.so')
  ];
  const library = candidates.find((path) => existsSync(path));
  if (library === undefined) throw new Error(`no libfuse in ${folder}`);
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    // Node refuses it as an addon, which it is not; it is in the process all the same.
    if (!String(error).includes('self-register')) throw error;
  }
}

function unavailable(cause: unknown): FileSystemError {
  const message = 'the fuse-native driver does not load here; install libfuse2, or build the linux driver';
  return new FileSystemError('ENOSYS', message, { cause });
}
