import { dirname } from 'node:path/posix';
import type { Random } from './random.js';

type NameChange<Content> =
  | { readonly type: 'link'; readonly path: string; readonly content: Content }
  | { readonly type: 'unlink'; readonly path: string }
  | { readonly type: 'rename'; readonly from: string; readonly path: string; readonly content: Content }
  | { readonly type: 'removeTree'; readonly path: string };

interface Names<Content> {
  readonly files: Map<string, Content>;
  readonly directories: Set<string>;
}

/**
 * The names of an in-memory disk, and which changes of them a crash may still lose. As on a file system with a
 * journal, a crash keeps the changes up to some point in their order; syncing a directory keeps those that touch it.
 */
export class MemoryNames<Content> {
  #current: Names<Content> = { files: new Map(), directories: new Set(['/']) };
  #durable: Names<Content> = { files: new Map(), directories: new Set(['/']) };
  /** Changes that no sync of their directory followed, oldest first. */
  #unsynced: NameChange<Content>[] = [];

  find(path: string): Content | undefined {
    return this.#current.files.get(path);
  }

  /** What a crash would leave under the name if it kept no unsynced change. */
  findDurable(path: string): Content | undefined {
    return this.#durable.files.get(path);
  }

  hasDirectory(path: string): boolean {
    return this.#current.directories.has(path);
  }

  contents(): IterableIterator<Content> {
    return this.#current.files.values();
  }

  list(directory: string): string[] {
    const prefix = directory === '/' ? '/' : `${directory}/`;
    const names: string[] = [];
    for (const path of [...this.#current.files.keys(), ...this.#current.directories]) {
      const name = path.slice(prefix.length);
      if (path.startsWith(prefix) && name !== '' && !name.includes('/')) names.push(name);
    }
    return names.sort();
  }

  createDirectory(path: string): void {
    for (let parent = path; !this.#current.directories.has(parent); parent = dirname(parent)) {
      // A removal of the same name must not come after this creation, which is durable at once.
      this.#commit((change) => change.type === 'removeTree' && isUnder(parent, change.path));
      this.#current.directories.add(parent);
      this.#durable.directories.add(parent);
    }
  }

  change(change: NameChange<Content>): void {
    apply(this.#current, change);
    this.#unsynced.push(change);
  }

  syncDirectory(directory: string): void {
    this.#commit(
      (change) =>
        dirname(change.path) === directory || (change.type === 'rename' && dirname(change.from) === directory)
    );
  }

  /** The names that a crash leaves; without `random` every unsynced change is lost. */
  afterCrash(random?: Random): MemoryNames<Content> {
    const left = new MemoryNames<Content>();
    left.#durable = copyOf(this.#durable);
    const keptCount = random ? Math.floor(random.fraction() * (this.#unsynced.length + 1)) : 0;
    for (const change of this.#unsynced.slice(0, keptCount)) apply(left.#durable, change);
    left.#current = copyOf(left.#durable);
    return left;
  }

  mapContents(map: (content: Content) => Content): void {
    const mapped = new Map<Content, Content>();
    for (const [path, content] of this.#durable.files) {
      const left = mapped.get(content) ?? map(content);
      mapped.set(content, left);
      this.#durable.files.set(path, left);
    }
    this.#current = copyOf(this.#durable);
  }

  #commit(isWanted: (change: NameChange<Content>) => boolean): void {
    let rest: NameChange<Content>[] = [];
    for (const change of this.#unsynced) {
      if (!isWanted(change)) {
        rest.push(change);
        continue;
      }
      apply(this.#durable, change);
      rest = rest.filter((older) => !isSuperseded(older, change));
    }
    this.#unsynced = rest;
  }
}

/** Whether an older change must not come back after a newer one of the same name is durable. */
function isSuperseded<Content>(older: NameChange<Content>, newer: NameChange<Content>): boolean {
  if (newer.type === 'removeTree') return isUnder(older.path, newer.path);
  return older.path === newer.path || (newer.type === 'rename' && older.path === newer.from);
}

function apply<Content>(names: Names<Content>, change: NameChange<Content>): void {
  switch (change.type) {
    case 'link':
      names.files.set(change.path, change.content);
      return;
    case 'unlink':
      names.files.delete(change.path);
      return;
    case 'rename':
      names.files.delete(change.from);
      names.files.set(change.path, change.content);
      return;
    case 'removeTree':
      for (const path of names.files.keys()) if (isUnder(path, change.path)) names.files.delete(path);
      for (const path of names.directories) if (isUnder(path, change.path)) names.directories.delete(path);
  }
}

function isUnder(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

function copyOf<Content>(names: Names<Content>): Names<Content> {
  return { files: new Map(names.files), directories: new Set(names.directories) };
}
