import type { StoreCalls } from '@stampede/client';
import type { Credentials } from './credentials.js';
import type { Log } from './log.js';

/** What `up` needs of the store it starts; the shape of the server package's `startStamp`. */
export interface StampStartOptions {
  /** The data folder; the store writes `credentials.json` into it. */
  readonly directory: string;
  readonly host: string;
  readonly port: number;
  readonly nodeCount: number;
  readonly durability: 'sync' | 'os';
  readonly logger: Log;
}

export interface RunningStamp {
  /** The store in this process, with every right. */
  readonly calls: StoreCalls;
  readonly credentials: Credentials;
  readonly endpoint?: string | undefined;
  /** Makes everything durable and frees the folder and the port. */
  close(): Promise<void>;
}

export type StartStamp = (options: StampStartOptions) => Promise<RunningStamp>;
