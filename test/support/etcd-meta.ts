import type { MetaStore } from '@stampede/server';
import { type EtcdMetaStoreOptions, openEtcdMetaStore } from '@stampede/server/etcd';
import { systemClock, systemRandom } from '@stampede/server/platform';
import { CutProxy } from './cut-proxy.js';

/* Meta stores on a real etcd, and what tests do with them. */

export type MetaChange = ReturnType<MetaStore['watch']> extends AsyncIterable<infer Change> ? Change : never;

export function openMeta(
  options: Pick<EtcdMetaStoreOptions, 'endpoints'> & Partial<EtcdMetaStoreOptions>
): MetaStore {
  return openEtcdMetaStore({ prefix: '/test/', clock: systemClock(), random: systemRandom(), ...options });
}

/** A store whose connection the test has in hand. */
export interface ProxiedMeta extends AsyncDisposable {
  readonly store: MetaStore;
  readonly proxy: CutProxy;
}

export async function openProxied(
  endpoint: string,
  options: Partial<EtcdMetaStoreOptions> = {}
): Promise<ProxiedMeta> {
  const proxy = await CutProxy.open(Number(new URL(endpoint).port));
  const store = openMeta({ ...options, endpoints: [`http://127.0.0.1:${proxy.port}`] });
  return {
    store,
    proxy,
    async [Symbol.asyncDispose]() {
      await store.close();
      await proxy[Symbol.asyncDispose]();
    }
  };
}

/** Everything that a watch gives until it is stopped. */
export class WatchLog {
  readonly changes: MetaChange[] = [];
  readonly #stop = new AbortController();
  readonly #reading: Promise<void>;
  #isEnded = false;

  constructor(store: MetaStore, prefix: string, afterRevision: number) {
    this.#reading = this.#read(store.watch(prefix, { afterRevision, signal: this.#stop.signal }));
    const end = (): void => {
      this.#isEnded = true;
    };
    this.#reading.then(end, end);
  }

  /** Rejects when the watch failed. */
  async until(holds: () => boolean): Promise<void> {
    await until(() => this.#isEnded || holds());
    if (this.#isEnded) await this.#reading;
  }

  /** @throws what the watch ended with, without having been stopped. */
  async end(): Promise<void> {
    await this.#reading;
  }

  /** @throws what the watch ended with. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  async #read(changes: AsyncIterable<MetaChange>): Promise<void> {
    for await (const change of changes) this.changes.push(change);
  }
}

export function revisionOf(change: MetaChange): number {
  return change.type === 'put' ? change.entry.revision : change.revision;
}

export function keyOf(change: MetaChange): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

/** The runner's time limit ends a wait in vain. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await systemClock().sleep(20);
}

export function put(key: string, value: string): { readonly key: string; readonly value: Uint8Array } {
  return { key, value: Buffer.from(value) };
}
