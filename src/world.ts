import type { Readable, Writable } from 'node:stream';
import type { StoreClient } from '@stampede/client';
import type {
  AskMountOptions,
  Mount,
  MountAnswer,
  MountEntry,
  MountOptions,
  MountQuestion
} from '@stampede/fs-mount';
import type { Connection, Environment } from './config.js';
import type { LogStream } from './log.js';
import type { StartConfigured } from './server/start-configured.js';
import type { StartStamp } from './stamp-start.js';
import type { DaemonRequest, DaemonStart } from './start-daemon.js';

export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Everything a command reaches outside itself, save local files; tests replace it. */
export interface World {
  readonly stdin: Readable;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream & LogStream;
  readonly environment: Environment;
  /** Where relative paths start. */
  readonly workingDirectory: string;
  /** How this command is called, for hints: `stampede` or `./bin/stampede`. */
  readonly commandName: string;
  readonly nowMs: () => number;
  readonly connect: (connection: Connection) => Promise<StoreClient>;
  readonly startStamp: StartStamp;
  readonly startServer: StartConfigured;
  readonly mount: (options: MountOptions) => Promise<Mount>;
  readonly findMount: (directory: string) => Promise<MountEntry | undefined>;
  readonly askMount: (
    directory: string,
    question: MountQuestion,
    options: AskMountOptions
  ) => Promise<MountAnswer>;
  readonly unmount: (directory: string, options: { readonly lazy: boolean }) => Promise<void>;
  /** Runs the same command line once more, in the background. */
  readonly startDaemon: (request: DaemonRequest) => Promise<DaemonStart>;
  /** In a process that was started so: tells that it is ready. */
  readonly reportReady: (() => void) | undefined;
  /** The device that drives are mounted with. */
  readonly fuseDevice: string;
  /** Calls back on SIGINT, SIGTERM and SIGHUP, until the returned function is called. */
  readonly onSignal: (listener: () => void) => () => void;
  /** Ends the process where it stands. */
  readonly exit: (code: number) => void;
}
