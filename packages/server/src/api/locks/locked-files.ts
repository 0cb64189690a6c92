import type { LockSpaceName } from '../lock-calls.js';
import { type LockOwner, LockSpace } from './lock-space.js';

/** The locks of one file. They stay with it when its name changes or goes. */
export interface LockedFile {
  readonly id: string;
  /** Bucket and key; undefined once the file has no name. */
  place: string | undefined;
  readonly spaces: Readonly<Record<LockSpaceName, LockSpace>>;
}

/** A change of names that locks follow. The key that is replaced has another file from then on. */
export type NameChange =
  | {
      readonly type: 'rename';
      readonly bucket: string;
      readonly key: string;
      readonly to: string;
      readonly isExchange: boolean;
    }
  | { readonly type: 'delete'; readonly bucket: string; readonly keys: readonly string[] }
  | { readonly type: 'renamePrefix'; readonly bucket: string; readonly prefix: string; readonly to: string }
  | { readonly type: 'deletePrefix'; readonly bucket: string; readonly prefix: string };

/** Which files have locks, by their names and by their ids. */
export class LockedFiles {
  readonly #byPlace = new Map<string, LockedFile>();
  readonly #byId = new Map<string, LockedFile>();
  readonly #idPrefix: string;
  #idCount = 0;
  #segmentCount = 0;

  /** @param idPrefix   Of no other life of this service. */
  constructor(idPrefix: string) {
    this.#idPrefix = idPrefix;
  }

  /** Locks in all files. */
  get segmentCount(): number {
    return this.#segmentCount;
  }

  get count(): number {
    return this.#byId.size;
  }

  find(place: string, id: string | undefined, isUnnamed: boolean): LockedFile | undefined {
    const known = id === undefined ? undefined : this.#byId.get(id);
    return known ?? (isUnnamed ? undefined : this.#byPlace.get(place));
  }

  findOrCreate(place: string, id: string | undefined, isUnnamed: boolean): LockedFile {
    const found = this.find(place, id, isUnnamed);
    if (found) return found;
    const newSpace = () =>
      new LockSpace((change) => {
        this.#segmentCount += change;
      });
    const file: LockedFile = {
      id: isUnnamed && id !== undefined ? id : `${this.#idPrefix}-${++this.#idCount}`,
      place: isUnnamed ? undefined : place,
      spaces: { flock: newSpace(), range: newSpace() }
    };
    this.#byId.set(file.id, file);
    if (file.place !== undefined) this.#byPlace.set(file.place, file);
    return file;
  }

  forgetIfEmpty(file: LockedFile): void {
    if (!file.spaces.flock.isEmpty || !file.spaces.range.isEmpty) return;
    this.#byId.delete(file.id);
    this.#leave(file);
  }

  apply(change: NameChange): void {
    if (this.#byPlace.size === 0) return;
    const { bucket } = change;
    if (change.type === 'delete') for (const key of change.keys) this.#removed(placeOf(bucket, key));
    else if (change.type === 'deletePrefix')
      for (const place of this.#below(bucket, change.prefix)) this.#removed(place);
    else if (change.type === 'renamePrefix') this.#movePrefix(change);
    else this.#move(change);
  }

  #move({ bucket, key, to, isExchange }: Extract<NameChange, { readonly type: 'rename' }>): void {
    if (key === to) return;
    const [from, target] = [placeOf(bucket, key), placeOf(bucket, to)];
    const [one, other] = [this.#byPlace.get(from), this.#byPlace.get(target)];
    if (one) this.#leave(one);
    if (other) this.#leave(other);
    if (one) this.#enter(one, target);
    if (other && isExchange) this.#enter(other, from);
  }

  #movePrefix({ bucket, prefix, to }: Extract<NameChange, { readonly type: 'renamePrefix' }>): void {
    const start = placeOf(bucket, prefix);
    const moved = this.#below(bucket, prefix).map((place) => this.#byPlace.get(place)!);
    const targets = moved.map(({ place }) => placeOf(bucket, to) + place!.slice(start.length));
    for (const file of moved) this.#leave(file);
    for (const [index, file] of moved.entries()) {
      this.#removed(targets[index]!);
      this.#enter(file, targets[index]!);
    }
  }

  #below(bucket: string, prefix: string): string[] {
    const start = placeOf(bucket, prefix);
    return [...this.#byPlace.keys()].filter((place) => place.startsWith(start));
  }

  #removed(place: string): void {
    const file = this.#byPlace.get(place);
    if (file) this.#leave(file);
  }

  #leave(file: LockedFile): void {
    if (file.place !== undefined && this.#byPlace.get(file.place) === file) this.#byPlace.delete(file.place);
    file.place = undefined;
  }

  #enter(file: LockedFile, place: string): void {
    file.place = place;
    this.#byPlace.set(place, file);
  }
}

export function placeOf(bucket: string, key: string): string {
  return `${bucket}\0${key}`;
}

/** An owner of one session is nobody in another. */
export function ownerOf(session: string, owner: string): LockOwner {
  return `${session}\0${owner}`;
}
