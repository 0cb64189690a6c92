import { FileSystemError } from '../../errno.js';

/** How often an operation begins anew because what it names was renamed while it waited. */
const TRIES_MAX = 1000;

interface Hold {
  readonly paths: readonly string[];
  readonly isExclusive: boolean;
  readonly ended: Promise<void>;
  readonly end: () => void;
}

/**
 * Keeps names as they are while something is done by path: the kernel sends an open and a rename of the same name at the
 * same time. Who removes or renames has the paths, and all below them, for himself. In the order of arrival, so that nobody
 * waits for ever; who has a path must not ask for another.
 */
export class PathLocks {
  /** Waiting or running, in the order of arrival. */
  readonly #shared = new Set<Hold>();
  readonly #exclusive = new Set<Hold>();

  /** Runs with the path that holds while it runs. `pathOf` throws for what has none. */
  async shared<Result>(pathOf: () => string, run: (path: string) => Promise<Result>): Promise<Result> {
    return this.#run(
      () => [pathOf()],
      false,
      ([path]) => run(path!)
    );
  }

  /** As `shared`, alone on these paths. */
  async exclusive<Result>(
    pathsOf: () => readonly string[],
    run: (paths: readonly string[]) => Promise<Result>
  ): Promise<Result> {
    return this.#run(pathsOf, true, run);
  }

  async #run<Result>(
    pathsOf: () => readonly string[],
    isExclusive: boolean,
    run: (paths: readonly string[]) => Promise<Result>
  ): Promise<Result> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const paths = pathsOf();
      const hold = newHold(paths, isExclusive);
      const before = this.#conflicting(hold);
      const holds = isExclusive ? this.#exclusive : this.#shared;
      holds.add(hold);
      try {
        if (before.length > 0) {
          await Promise.all(before.map(({ ended }) => ended));
          const now = pathsOf();
          if (paths.some((path, index) => path !== now[index])) continue;
        }
        return await run(paths);
      } finally {
        holds.delete(hold);
        hold.end();
      }
    }
    throw new FileSystemError('EBUSY', 'the name is being changed all the time; try again');
  }

  #conflicting(hold: Hold): Hold[] {
    const found: Hold[] = [];
    for (const other of this.#exclusive) if (isInTheWay(hold, other)) found.push(other);
    if (hold.isExclusive) for (const other of this.#shared) if (isInTheWay(hold, other)) found.push(other);
    return found;
  }
}

function newHold(paths: readonly string[], isExclusive: boolean): Hold {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { paths, isExclusive, ended, end };
}

function isInTheWay(one: Hold, other: Hold): boolean {
  return one.paths.some((path) =>
    other.paths.some(
      (otherPath) =>
        path === otherPath ||
        (one.isExclusive && isBelow(otherPath, path)) ||
        (other.isExclusive && isBelow(path, otherPath))
    )
  );
}

function isBelow(path: string, directory: string): boolean {
  return path.length > directory.length && path[directory.length] === '/' && path.startsWith(directory);
}
