import { resolve } from 'node:path';
import type { StoreClient } from '@stampede/client';
import { type ConnectionOptions, resolveConnection } from './config.js';
import type { Output } from './output.js';
import type { Shutdown } from './shutdown.js';
import type { World } from './world.js';

/** What a running command works with. */
export class CommandContext {
  readonly world: World;
  readonly output: Output;
  readonly shutdown: Shutdown;
  #credentialsSource: string | undefined;
  #endpoint: string | undefined;

  constructor(world: World, { output, shutdown }: { readonly output: Output; readonly shutdown: Shutdown }) {
    this.world = world;
    this.output = output;
    this.shutdown = shutdown;
  }

  /** Aborts when the command is to end. */
  get signal(): AbortSignal {
    return this.shutdown.signal;
  }

  /** Where the credentials of the store came from, once there is one. */
  get credentialsSource(): string | undefined {
    return this.#credentialsSource;
  }

  get endpoint(): string | undefined {
    return this.#endpoint;
  }

  /** The store that options, environment and files name; closed with the command. */
  async store(options: ConnectionOptions): Promise<StoreClient> {
    const { environment, workingDirectory, connect } = this.world;
    const connection = await resolveConnection(options, environment, workingDirectory);
    this.#credentialsSource = connection.source;
    this.#endpoint = connection.endpoint;
    const store = await connect(connection);
    this.shutdown.opened({
      name: 'connection',
      async close() {
        await store.close();
        return [];
      }
    });
    return store;
  }

  localPath(path: string): string {
    return resolve(this.world.workingDirectory, path);
  }
}
