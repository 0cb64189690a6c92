import { S_IFDIR } from '../attributes.js';
import { FileSystemError } from '../errno.js';
import {
  MONITOR_FILE_NAMES,
  type MonitorFile,
  type MonitorFileName,
  type MonitorFolder
} from '../monitor/index.js';
import { MONITOR_NAME } from '../path.js';
import type { OperationTable } from './fuse-native-binding.js';
import { encodeStat, encodeType } from './fuse-native-format.js';

const FOLDER_PATH = `/${MONITOR_NAME}`;
const O_ACCMODE = 3;
/** Handles of the folder's files, far above those that are counted up from 1. */
const HANDLE_MIN = 2 ** 30;
const NEVER = new AbortController().signal;

type Done = (result: number, ...values: readonly unknown[]) => void;
type Operation = (...parameters: unknown[]) => void;

/**
 * Lays the folder `.stampede` over a table of operations. Operations on its paths do not reach the file system; nothing
 * in it can be changed.
 */
export function withMonitorFolder(table: OperationTable, folder: MonitorFolder): OperationTable {
  const own = new MonitorFolderOperations(folder).table();
  const wrapped: Record<string, Operation> = {};
  for (const [name, operation] of Object.entries(table) as [string, Operation][])
    wrapped[name] = (...parameters) => {
      // What a symbolic link holds is text.
      const paths = name === 'symlink' ? parameters.slice(1) : parameters;
      const isOurs = paths.some((parameter) => isOurPath(parameter));
      if (!isOurs) return operation(...parameters);
      const answer = own[name];
      if (answer) return answer(...parameters);
      (parameters.at(-1) as Done)(-new FileSystemError('EPERM', '').errno);
    };
  return wrapped as OperationTable;
}

function isOurPath(path: unknown): boolean {
  if (typeof path !== 'string' || !path.startsWith(FOLDER_PATH)) return false;
  return path.length === FOLDER_PATH.length || path[FOLDER_PATH.length] === '/';
}

class MonitorFolderOperations {
  readonly #folder: MonitorFolder;
  readonly #files = new Map<number, MonitorFile>();
  #lastHandle = HANDLE_MIN;

  constructor(folder: MonitorFolder) {
    this.#folder = folder;
  }

  table(): Record<string, Operation> {
    const attributes = (path: string, done: Done) =>
      answer(done, () => encodeStat(this.#folder.attributes(nameOf(path))));
    const operations = {
      getattr: attributes,
      fgetattr: (path: string, _handle: number, done: Done) => attributes(path, done),
      readdir: (_path: string, done: Done) => {
        const stats = MONITOR_FILE_NAMES.map((name) => encodeType(this.#folder.attributes(name).mode));
        done(0, ['.', '..', ...MONITOR_FILE_NAMES], [encodeType(S_IFDIR), encodeType(S_IFDIR), ...stats]);
      },
      open: (path: string, flags: number, done: Done) => answer(done, () => this.#open(path, flags)),
      read: (_path: string, handle: number, into: Uint8Array, length: number, offset: number, done: Done) =>
        void this.#read(handle, into.subarray(0, length), offset).then(done),
      flush: (_path: string, _handle: number, done: Done) => done(0),
      release: (_path: string, handle: number, done: Done) => {
        this.#files.get(handle)?.close();
        this.#files.delete(handle);
        done(0);
      },
      listxattr: (_path: string, done: Done) => done(0, [])
    };
    return operations as unknown as Record<string, Operation>;
  }

  #open(path: string, flags: number): number {
    const name = nameOf(path);
    if (name === undefined) throw new FileSystemError('EISDIR', `${path} is a directory`);
    if ((flags & O_ACCMODE) !== 0) throw new FileSystemError('EACCES', `${path} is only read`);
    this.#files.set(++this.#lastHandle, this.#folder.open(name));
    return this.#lastHandle;
  }

  async #read(handle: number, into: Uint8Array, offset: number): Promise<number> {
    const bytes = await this.#files.get(handle)?.read(offset, into.byteLength, NEVER);
    if (!bytes) return -new FileSystemError('EBADF', '').errno;
    into.set(bytes);
    return bytes.byteLength;
  }
}

/** Undefined for the folder itself. */
function nameOf(path: string): MonitorFileName | undefined {
  if (path === FOLDER_PATH) return undefined;
  const name = MONITOR_FILE_NAMES.find((one) => path === `${FOLDER_PATH}/${one}`);
  if (name === undefined) throw new FileSystemError('ENOENT', `there is no ${path}`);
  return name;
}

function answer(done: Done, run: () => unknown): void {
  try {
    done(0, run());
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    done(-error.errno);
  }
}
