import type { FileSystem } from '../file-system.js';
import type { Monitor, MonitorFolder } from '../monitor/index.js';
import type { OnMountEvent } from '../mount-event.js';

export interface DriverOptions {
  readonly directory: string;
  /** Shown as the source of the mount. */
  readonly source: string;
  readonly readOnly: boolean;
  /** Users other than the one who mounted may enter. */
  readonly allowOther: boolean;
  /** How long the kernel may remember attributes and names. */
  readonly attributeTtlMs: number;
  readonly onEvent: OnMountEvent;
  /** Counts the operations. */
  readonly monitor: Monitor;
  /**
   * The folder that the root has beside what the file system has, unlisted. `canStream`: reads of it may wait, and go on
   * past the size that is shown.
   */
  monitorFolder(options: { readonly canStream: boolean }): MonitorFolder;
}

/** A directory that shows a file system. */
export interface MountedDirectory {
  /** Resolves when the directory no longer shows it, whoever ended that. */
  readonly ended: Promise<void>;
  /** Detaches the directory; requests that the kernel has accepted are still answered. */
  unmount(): Promise<void>;
}

/** Brings the requests of a kernel to a file system. Adding one: implement this and pass the conformance suite. */
export interface Driver {
  readonly name: string;
  /** Whether locks of programs come to the file system, where that keeps them. */
  readonly hasServerLocks: boolean;
  mount(fileSystem: FileSystem, options: DriverOptions): Promise<MountedDirectory>;
}
