import { type Attributes, S_IFDIR, S_IFREG, timestampOfMs } from '../attributes.js';
import type { Clock } from '../clock.js';
import type { FileSystem } from '../file-system.js';
import type { Monitor } from './monitor.js';
import type { OperationLogReader } from './operation-log.js';
import { type MountFacts, statsText } from './stats-text.js';

export const MONITOR_FILE_NAMES = ['stats', 'log'] as const;
export type MonitorFileName = (typeof MONITOR_FILE_NAMES)[number];

/** What a driver without streams says a file has: more than it ever has; the end shows when it is read. */
const SIZE_SHOWN_BYTES = 1024 * 1024;
const BLOCK_BYTES = 4096;

export interface MonitorFile {
  /** Bytes from `offset` on, none at the end. The log waits for its next line. */
  read(offset: number, bytesMax: number, signal: AbortSignal): Promise<Uint8Array>;
  close(): void;
}

export interface MonitorFolderOptions {
  readonly monitor: Monitor;
  readonly fileSystem: FileSystem;
  readonly facts: MountFacts;
  readonly clock: Clock;
  readonly uid: number;
  readonly gid: number;
  /**
   * Whether reads of the log may wait for lines. Where they may not, a file is what there was when it was opened, and
   * the log what happened since it was opened before.
   */
  readonly canStream: boolean;
}

/** The folder `.stampede`: what the mount counts, and what it does as it happens. Only its owner may read the log. */
export class MonitorFolder {
  readonly #options: MonitorFolderOptions;
  #recent: OperationLogReader | undefined;

  constructor(options: MonitorFolderOptions) {
    this.#options = options;
  }

  /** Of the folder itself without a name. */
  attributes(name?: MonitorFileName): Attributes {
    const { clock, uid, gid, canStream } = this.#options;
    const now = timestampOfMs(clock.nowMs());
    const size = name === undefined || canStream ? 0 : SIZE_SHOWN_BYTES;
    const modes = { stats: S_IFREG | 0o444, log: S_IFREG | 0o400 };
    return {
      mode: name === undefined ? S_IFDIR | 0o555 : modes[name],
      uid,
      gid,
      size,
      linkCount: 1,
      rdev: 0,
      blockBytes: BLOCK_BYTES,
      // With fewer cp(1) would look for holes.
      sectorCount: size / 512,
      isGuess: false,
      atime: now,
      mtime: now,
      ctime: now
    };
  }

  open(name: MonitorFileName): MonitorFile {
    if (name === 'stats') return snapshot(Buffer.from(this.#stats()));
    if (!this.#options.canStream) return snapshot(this.#recentLines());
    const reader = this.#options.monitor.log.open();
    return {
      read: (_offset, bytesMax, signal) => reader.read(bytesMax, signal),
      close: () => reader.close()
    };
  }

  /** Whoever waits for the log gets its end. */
  close(): void {
    this.#options.monitor.log.close();
  }

  #stats(): string {
    const { monitor, fileSystem, facts } = this.#options;
    return statsText(monitor, fileSystem.status, facts);
  }

  #recentLines(): Uint8Array {
    const { log } = this.#options.monitor;
    const reader = this.#recent;
    this.#recent ??= log.open();
    if (!reader) return Buffer.from('# from now on; read it again\n');
    // Nobody has read for long: lines are written again when somebody does.
    const isForgotten = reader.hasDropped;
    const lines = reader.take(SIZE_SHOWN_BYTES);
    if (isForgotten) {
      reader.close();
      this.#recent = undefined;
    }
    return lines;
  }
}

function snapshot(bytes: Uint8Array): MonitorFile {
  return {
    read: async (offset, bytesMax) => bytes.subarray(offset, offset + bytesMax),
    close: () => undefined
  };
}
