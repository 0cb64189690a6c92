/** A file in memory; open handles keep it when its name is gone. */
export interface ModelFile {
  content: Buffer;
}

/** What a POSIX file system does, as plainly as it can be said: the oracle of the random tests. */
export class ModelFileSystem {
  /** Files by path; directories have `undefined`. */
  readonly #nodes = new Map<string, ModelFile | undefined>([['/', undefined]]);

  /** The errno name an operation would fail with; `ok` when it was done. */
  create(path: string): string {
    if (!this.#isDirectory(parentOf(path))) return 'ENOENT';
    if (this.#isDirectory(path)) return 'EISDIR';
    if (!this.#nodes.has(path)) this.#nodes.set(path, { content: Buffer.alloc(0) });
    return 'ok';
  }

  file(path: string): ModelFile | undefined {
    return this.#nodes.get(path);
  }

  exists(path: string): boolean {
    return this.#nodes.has(path);
  }

  isDirectory(path: string): boolean {
    return this.#isDirectory(path);
  }

  mkdir(path: string): string {
    if (!this.#isDirectory(parentOf(path))) return 'ENOENT';
    if (this.#nodes.has(path)) return 'EEXIST';
    this.#nodes.set(path, undefined);
    return 'ok';
  }

  unlink(path: string): string {
    if (!this.#nodes.has(path)) return 'ENOENT';
    if (this.#isDirectory(path)) return 'EISDIR';
    this.#nodes.delete(path);
    return 'ok';
  }

  rmdir(path: string): string {
    if (!this.#nodes.has(path)) return 'ENOENT';
    if (!this.#isDirectory(path)) return 'ENOTDIR';
    if (this.names(path).length > 0) return 'ENOTEMPTY';
    this.#nodes.delete(path);
    return 'ok';
  }

  rename(from: string, to: string): string {
    if (!this.#nodes.has(from)) return 'ENOENT';
    if (from === to) return 'ok';
    if (!this.#isDirectory(parentOf(to))) return 'ENOENT';
    if (this.#isDirectory(from)) return this.#renameDirectory(from, to);
    if (this.#isDirectory(to)) return 'EISDIR';
    this.#nodes.set(to, this.#nodes.get(from));
    this.#nodes.delete(from);
    return 'ok';
  }

  names(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`;
    return [...this.#nodes.keys()]
      .filter((key) => key !== '/' && key.startsWith(prefix) && !key.includes('/', prefix.length))
      .map((key) => key.slice(prefix.length))
      .sort();
  }

  paths(): readonly string[] {
    return [...this.#nodes.keys()];
  }

  #renameDirectory(from: string, to: string): string {
    if (to.startsWith(`${from}/`)) return 'EINVAL';
    if (this.#nodes.has(to) && !this.#isDirectory(to)) return 'ENOTDIR';
    if (this.#nodes.has(to) && this.names(to).length > 0) return 'ENOTEMPTY';
    for (const [path, node] of [...this.#nodes]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.#nodes.delete(path);
      this.#nodes.set(to + path.slice(from.length), node);
    }
    return 'ok';
  }

  #isDirectory(path: string): boolean {
    return this.#nodes.has(path) && this.#nodes.get(path) === undefined;
  }
}

export function writeModel(file: ModelFile, offset: number, bytes: Uint8Array): void {
  const size = Math.max(file.content.length, offset + bytes.length);
  const content = Buffer.alloc(size);
  file.content.copy(content);
  content.set(bytes, offset);
  file.content = content;
}

export function truncateModel(file: ModelFile, size: number): void {
  const content = Buffer.alloc(size);
  file.content.copy(content, 0, 0, size);
  file.content = content;
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}
