import { type Attributes, attributesOfStat } from '../attributes.js';
import { BoundedMap } from '../bounded-map.js';
import { BucketFileSystem } from '../bucket-file-system.js';
import type { ChangeListener } from '../change-listener.js';
import type { DriveMemory } from '../drive-memory.js';
import type { FileSystemOptions } from '../file-system-options.js';
import type { MountEvent } from '../mount-event.js';
import type { KnownBucket } from './bucket-list.js';
import { joinPath } from './bucket-path.js';

/** Each has a watch; what is in use beyond has none, and shows changes by others after the TTL. */
export const OPEN_COUNT_MAX = 64;
/** A watch costs the store something also while nobody looks. */
export const IDLE_MS_MAX = 5 * 60_000;
const ROOT_COUNT_MAX = 10_000;

export interface OpenBucketsOptions {
  /** What each bucket's file system has, beside its name. */
  readonly shared: Omit<FileSystemOptions, 'bucket' | 'prefix'>;
  readonly memory: DriveMemory;
}

/** A bucket's file system that is there for whoever has entered it. */
export interface OpenBucket {
  readonly name: string;
  readonly fileSystem: BucketFileSystem;
  useCount: number;
  usedAtMs: number;
  hasWatch: boolean;
}

/**
 * The file systems of the buckets that are in use. One that was not used for a while is closed, and where there are many
 * the one that was not used for longest makes way for the next; never one that has something open, not stored, or under
 * way.
 */
export class OpenBuckets {
  readonly #options: OpenBucketsOptions;
  /** Which was used last comes last. */
  readonly #open = new Map<string, OpenBucket>();
  /** The attributes of buckets themselves, which have no key to keep them in. */
  readonly #roots = new BoundedMap<string, Partial<Attributes>>({ limit: ROOT_COUNT_MAX });
  #listener: ChangeListener | undefined;
  #isStarted = false;
  #timer: Disposable | undefined;

  constructor(options: OpenBucketsOptions) {
    this.#options = options;
  }

  /** Those that are open follow changes from now on. */
  start(): void {
    this.#isStarted = true;
    for (const open of this.#open.values()) this.#startWatch(open);
  }

  follow(listener: ChangeListener): void {
    this.#listener = listener;
  }

  find(name: string): BucketFileSystem | undefined {
    return this.#open.get(name)?.fileSystem;
  }

  all(): readonly OpenBucket[] {
    return [...this.#open.values()];
  }

  /** Opens the bucket where it is not; it stays open until as many have left it. */
  enter(bucket: KnownBucket): OpenBucket {
    return this.enterOpen(bucket.name) ?? this.#entered(this.#add(bucket));
  }

  /** As `enter`, where it is open already. */
  enterOpen(name: string): OpenBucket | undefined {
    const open = this.#open.get(name);
    return open && this.#entered(open);
  }

  leave(open: OpenBucket): void {
    open.useCount--;
  }

  /** What the bucket itself is to stat(2). */
  attributesOf({ name, createdAtMs }: KnownBucket): Attributes {
    const open = this.find(name);
    if (open) return open.rootAttributes;
    const defaults = { ...this.#options.shared, mountedAtMs: createdAtMs };
    return { ...attributesOfStat({ type: 'directory' }, defaults), ...this.#roots.get(name) };
  }

  /** Of a bucket that was just made. */
  keepAttributes(name: string, attributes: Partial<Attributes>): void {
    this.#roots.set(name, attributes);
  }

  /** The bucket is gone. What is still open in it, or not stored, stays until that ends. */
  forget(name: string): void {
    const open = this.#open.get(name);
    if (open && isIdle(open)) this.#close(open);
    this.#roots.delete(name);
  }

  close(): void {
    this.#timer?.[Symbol.dispose]();
    for (const { fileSystem } of this.#open.values()) fileSystem.close();
  }

  #entered(open: OpenBucket): OpenBucket {
    open.useCount++;
    open.usedAtMs = this.#options.shared.clock.monotonicMs();
    this.#open.delete(open.name);
    this.#open.set(open.name, open);
    return open;
  }

  #add({ name, createdAtMs }: KnownBucket): OpenBucket {
    this.#makeRoom();
    const { shared, memory } = this.#options;
    const rootAttributes = this.#roots.get(name);
    const fileSystem = new BucketFileSystem(
      {
        ...shared,
        bucket: name,
        prefix: '',
        bornAtMs: createdAtMs,
        ...(rootAttributes && { rootAttributes }),
        isAtRoot: false,
        onEvent: (event) => shared.onEvent(eventOf(name, event))
      },
      memory
    );
    fileSystem.follow(this.#listenerOf(name));
    const open = { name, fileSystem, useCount: 0, usedAtMs: 0, hasWatch: false };
    this.#open.set(name, open);
    if (this.#isStarted) this.#startWatch(open);
    this.#armTimer();
    return open;
  }

  #startWatch(open: OpenBucket): void {
    const watchCount = this.all().filter(({ hasWatch }) => hasWatch).length;
    if (open.hasWatch || watchCount >= OPEN_COUNT_MAX) return;
    open.hasWatch = true;
    open.fileSystem.start();
  }

  #makeRoom(): void {
    for (const open of this.#open.values()) {
      if (this.#open.size < OPEN_COUNT_MAX) return;
      if (isIdle(open)) this.#close(open);
    }
  }

  #armTimer(): void {
    if (this.#timer || this.#open.size === 0) return;
    this.#timer = this.#options.shared.clock.setTimer(IDLE_MS_MAX, () => {
      this.#timer = undefined;
      this.#closeUnused();
      this.#armTimer();
    });
  }

  #closeUnused(): void {
    const nowMs = this.#options.shared.clock.monotonicMs();
    for (const open of this.#open.values())
      if (isIdle(open) && nowMs - open.usedAtMs >= IDLE_MS_MAX) this.#close(open);
  }

  #close({ name, fileSystem }: OpenBucket): void {
    this.#roots.set(name, fileSystem.rootAttributes);
    fileSystem.close();
    this.#open.delete(name);
    // Nobody tells of changes in it any more.
    this.#listener?.treeChanged(`/${name}/`);
    if (!this.#isStarted) return;
    for (const other of this.#open.values()) this.#startWatch(other);
  }

  #listenerOf(bucket: string): ChangeListener {
    const at = (path: string) => joinPath({ bucket, path });
    return {
      changed: (path, change) => this.#listener?.changed(at(path), change),
      treeChanged: (path) => this.#listener?.treeChanged(at(path)),
      bytesChanged: (path) => this.#listener?.bytesChanged(at(path)),
      guarded: async (path) => this.#listener?.guarded(at(path)),
      refreshed: async (path) => this.#listener?.refreshed(at(path)),
      allChanged: () => this.#listener?.treeChanged(`/${bucket}/`)
    };
  }
}

function isIdle({ useCount, fileSystem }: OpenBucket): boolean {
  return useCount === 0 && fileSystem.isIdle;
}

/** As the whole drive tells it. */
function eventOf(bucket: string, event: MountEvent): MountEvent {
  if ('path' in event) return { ...event, path: `/${bucket}${event.path}` };
  return event.type === 'watchLost' || event.type === 'watchLive' ? { ...event, bucket } : event;
}
