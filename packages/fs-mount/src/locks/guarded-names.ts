const KEY_COUNT_MAX = 10_000;

/**
 * Names that begin with the name of a file that programs lock, as those of journals and of locks made by files do: what was
 * there a moment ago says nothing to who has the lock now.
 */
export class GuardedNames {
  readonly #keys = new Set<string>();
  /** Names of locked files, by the prefix of their directory. */
  readonly #names = new Map<string, Set<string>>();

  /** False when it is known already. */
  add(key: string): boolean {
    if (this.#keys.has(key)) return false;
    if (this.#keys.size >= KEY_COUNT_MAX) this.#clear();
    this.#keys.add(key);
    const { directory, name } = split(key);
    this.#names.set(directory, (this.#names.get(directory) ?? new Set()).add(name));
    return true;
  }

  has(key: string): boolean {
    if (this.#names.size === 0) return false;
    const { directory, name } = split(key);
    for (const locked of this.#names.get(directory) ?? [])
      if (name.length > locked.length && name.startsWith(locked)) return true;
    return false;
  }

  /** Those that are locked again come back. */
  #clear(): void {
    this.#keys.clear();
    this.#names.clear();
  }
}

/** Whether the key's name is that of the locked file and more, in the same directory. */
export function isGuardedBy(key: string, locked: string): boolean {
  return key.length > locked.length && key.startsWith(locked) && !key.includes('/', locked.length);
}

function split(key: string): { readonly directory: string; readonly name: string } {
  const start = key.lastIndexOf('/', key.length - 2) + 1;
  return { directory: key.slice(0, start), name: key.slice(start) };
}
