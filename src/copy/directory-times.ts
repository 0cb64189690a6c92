import type { ObjectHead } from '@stampede/client';

interface OpenDirectory {
  readonly path: string;
  readonly head: ObjectHead;
  readonly parent: OpenDirectory | undefined;
  /** Entries under way, and directories below that are not finished. */
  openCount: number;
  isLeft: boolean;
}

/**
 * Gives directories their own mode and time when nothing more is written into them: writing changes the time, and the
 * mode may forbid writing. Entries arrive in the order of their keys, so that a directory is left for good once an
 * entry outside of it arrives, and only the directories above the current entry are remembered.
 */
export class DirectoryTimes {
  readonly #finish: (path: string, head: ObjectHead) => Promise<void>;
  #current: OpenDirectory | undefined;

  constructor(finish: (path: string, head: ObjectHead) => Promise<void>) {
    this.#finish = finish;
  }

  /** A directory that has a marker; what is in it follows. */
  async enter(path: string, head: ObjectHead): Promise<void> {
    await this.#leaveUntil(path);
    const parent = this.#current;
    if (parent) parent.openCount += 1;
    this.#current = { path, head, parent, openCount: 0, isLeft: false };
  }

  /** Called in the order of the entries; the returned function, once the entry is written. */
  async begin(path: string): Promise<() => Promise<void>> {
    await this.#leaveUntil(path);
    const directory = this.#current;
    if (directory) directory.openCount += 1;
    return () => this.#entryDone(directory);
  }

  /** Nothing follows. */
  async end(): Promise<void> {
    while (this.#current) await this.#leave();
  }

  async #leaveUntil(path: string): Promise<void> {
    while (this.#current && !isBelow(path, this.#current.path)) await this.#leave();
  }

  async #leave(): Promise<void> {
    const directory = this.#current!;
    this.#current = directory.parent;
    directory.isLeft = true;
    await this.#finishIfDone(directory);
  }

  async #entryDone(directory: OpenDirectory | undefined): Promise<void> {
    if (!directory) return;
    directory.openCount -= 1;
    await this.#finishIfDone(directory);
  }

  async #finishIfDone({ path, head, parent, isLeft, openCount }: OpenDirectory): Promise<void> {
    if (!isLeft || openCount > 0) return;
    await this.#finish(path, head);
    await this.#entryDone(parent);
  }
}

function isBelow(path: string, directory: string): boolean {
  return directory === '' || path.startsWith(`${directory}/`);
}
