/**
 * A driver whose kernel remembers what it was told. Paths are those of the mount; names that stand for keys no path can
 * spell (`%=…`) are left out: they are told for a moment only.
 */
export interface ChangeListener {
  /** Others made, changed or removed what is at the path. */
  changed(path: string, change: { readonly isGone: boolean }): void;
  /** Others moved or removed what is at the path, or begins with it, and below. */
  treeChanged(path: string): void;
  /** A file that is open here has bytes of others by now. */
  bytesChanged(path: string): void;
  /** From now on names that begin with this path are looked up each time; resolves when the kernel does so. */
  guarded(path: string): Promise<void>;
  /** Resolves when the kernel reads the file's bytes anew. */
  refreshed(path: string): Promise<void>;
  /** Anything may have changed unseen. */
  allChanged(): void;
}
