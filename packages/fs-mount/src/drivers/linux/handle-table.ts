import { FileSystemError } from '../../errno.js';
import type { FileHandle } from '../../file-handle.js';
import type { DirectoryHandle } from './directory-handle.js';
import type { Node } from './node-table.js';
import type { OpenMode } from './passthrough.js';

export interface OpenFile {
  readonly node: Node;
  readonly handle: FileHandle;
  readonly mode: OpenMode;
  /** Opened for reading and writing: as what a mapping that changes the file needs. */
  readonly isMappable: boolean;
}

/** What the kernel has open, by the numbers it was given. */
export class HandleTable {
  readonly #files = new Map<number, OpenFile>();
  readonly #directories = new Map<number, DirectoryHandle>();
  #last = 0;

  addFile(file: OpenFile): number {
    if (file.isMappable) file.node.mappableCount++;
    this.#files.set(++this.#last, file);
    return this.#last;
  }

  file(fh: number): OpenFile {
    const found = this.#files.get(fh);
    if (!found) throw new FileSystemError('EBADF', 'the file is not open');
    return found;
  }

  removeFile(fh: number): OpenFile {
    const found = this.file(fh);
    this.#files.delete(fh);
    if (found.isMappable) found.node.mappableCount--;
    return found;
  }

  addDirectory(directory: DirectoryHandle): number {
    this.#directories.set(++this.#last, directory);
    return this.#last;
  }

  directory(fh: number): DirectoryHandle {
    const found = this.#directories.get(fh);
    if (!found) throw new FileSystemError('EBADF', 'the directory is not open');
    return found;
  }

  removeDirectory(fh: number): DirectoryHandle {
    const found = this.directory(fh);
    this.#directories.delete(fh);
    return found;
  }

  /** For the end of a mount, where the kernel sends no more releases. */
  async releaseAll(): Promise<void> {
    const files = [...this.#files.values()];
    const directories = [...this.#directories.values()];
    this.#files.clear();
    this.#directories.clear();
    await Promise.allSettled([
      ...files.map(({ handle }) => handle.release()),
      ...directories.map((directory) => directory.close())
    ]);
  }
}
