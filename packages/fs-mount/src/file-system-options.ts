import type { StoreCalls } from '@stampede/client';
import type { Attributes } from './attributes.js';
import type { Clock } from './clock.js';
import type { DiskCache } from './disk-cache/index.js';
import type { OnMountEvent } from './mount-event.js';
import type { OpenScratch } from './scratch.js';

export interface FileSystemOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  /** The keys that are shown start with it; '' or ending in a slash. */
  readonly prefix: string;
  /** Whether its root is that of the mount, which has a folder of its own there. Default true. */
  readonly isAtRoot?: boolean | undefined;
  /** What the bucket itself shows, which has no key to keep it in. */
  readonly rootAttributes?: Partial<Attributes> | undefined;
  /** The times of directories without a marker. Default: now. */
  readonly bornAtMs?: number | undefined;
  readonly readOnly: boolean;
  /** What objects show that have no attributes of their own. */
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
  readonly readMemoryBytes: number;
  readonly writeMemoryBytes: number;
  /** How many paths are remembered. */
  readonly attributeCountMax: number;
  /** How long they are while no watch reports changes. */
  readonly attributeTtlMs: number;
  /** Whether opening a file asks the store for its newest version, also while the watch is live. */
  readonly checksOnOpen: boolean;
  /** Where the store keeps the locks of programs: names of sessions, which nobody else has or guesses. */
  readonly locks?: { readonly newId: () => string } | undefined;
  readonly commitIntervalMs: number;
  /** How long an operation waits for a store that does not answer. */
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly openScratch: OpenScratch;
  /** Becomes the file system's. */
  readonly diskCache?: DiskCache | undefined;
  readonly onEvent: OnMountEvent;
}
