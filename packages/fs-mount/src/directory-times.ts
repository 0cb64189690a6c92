import type { Timestamp } from '@stampede/client';
import { type Attributes, timestampOfMs } from './attributes.js';
import { BoundedMap } from './bounded-map.js';
import type { Clock } from './clock.js';
import { directoryPrefixOf } from './path.js';

const DIRECTORY_COUNT_MAX = 10_000;

/**
 * When names last came to or went from directories through this mount. Programs look there for what is new (Python for
 * modules, updatedb for files). Kept in memory alone: to store it would cost a call more for each name.
 */
export class DirectoryTimes {
  readonly #clock: Clock;
  readonly #changedAt = new BoundedMap<string, Timestamp>({ limit: DIRECTORY_COUNT_MAX });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A name was made, removed or renamed; by its key without trailing slash. */
  nameChanged(key: string): void {
    const directory = directoryPrefixOf(key).slice(0, -1);
    this.#changedAt.set(directory, timestampOfMs(this.#clock.nowMs()));
  }

  /** Its times were set, or it is gone. */
  forget(key: string): void {
    this.#changedAt.delete(key);
  }

  /** Directories have other keys. */
  moveTree(from: string, to: string): void {
    for (const key of [...this.#changedAt.keys()]) {
      if (key !== from && !key.startsWith(`${from}/`)) continue;
      const time = this.#changedAt.get(key)!;
      this.#changedAt.delete(key);
      this.#changedAt.set(to + key.slice(from.length), time);
    }
  }

  /** A directory's attributes with what is known here. */
  latest(key: string, attributes: Attributes): Attributes {
    const changedAt = this.#changedAt.get(key);
    if (!changedAt || isLater(attributes.mtime, changedAt)) return attributes;
    return { ...attributes, mtime: changedAt, ctime: changedAt };
  }
}

function isLater(one: Timestamp, other: Timestamp): boolean {
  return (
    one.seconds > other.seconds || (one.seconds === other.seconds && one.nanoseconds > other.nanoseconds)
  );
}
