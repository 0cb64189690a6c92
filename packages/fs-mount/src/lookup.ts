import { isStoreError, type StatResult, type StoreCalls, type WatchEvent } from '@stampede/client';
import type { AttributeCache } from './attribute-cache.js';
import { type DirectoryEntry, listDirectory } from './directory.js';
import type { GuardedNames } from './locks/index.js';
import { cacheKeyOf, type Target } from './target.js';

export interface LookupOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly cache: AttributeCache;
  /** Names of which nothing is remembered. */
  readonly guarded: GuardedNames;
}

/** What keys are in the store, as far as possible without asking it. */
export class Lookup {
  readonly #options: LookupOptions;

  constructor(options: LookupOptions) {
    this.#options = options;
  }

  /** What is known without asking the store. */
  findKnown(target: Target): StatResult | undefined {
    const { cache, guarded } = this.#options;
    return guarded.has(target.key) ? undefined : cache.find(cacheKeyOf(target));
  }

  async stat(target: Target): Promise<StatResult> {
    return this.findKnown(target) ?? this.ask(target);
  }

  /** As `stat`, always from the store. */
  async ask(target: Target): Promise<StatResult> {
    const { cache } = this.#options;
    const ticket = cache.begin();
    try {
      const stat = await this.#ask(target);
      cache.fill(ticket, cacheKeyOf(target), stat);
      return stat;
    } finally {
      cache.end(ticket);
    }
  }

  /** Lists a directory; each page fills the attribute cache, so that what follows asks nothing. */
  async *list(prefix: string): AsyncGenerator<DirectoryEntry[]> {
    const { store, bucket, cache } = this.#options;
    const ticket = cache.begin();
    try {
      for await (const entries of listDirectory({ store, bucket, prefix })) {
        for (const { target, stat } of entries) cache.fill(ticket, cacheKeyOf(target), stat);
        yield entries;
      }
    } finally {
      cache.end(ticket);
    }
  }

  /** Remembers what an own change made of a key. */
  changed(key: string, stat: StatResult): void {
    const { cache } = this.#options;
    cache.set(key, stat);
    cache.forget(`${key}\0`);
  }

  /** Forgets what a change made anywhere may have overtaken. Own changes come back here too. */
  apply(event: WatchEvent): void {
    if (event.type === 'reset') this.#options.cache.clear();
    else if (event.type === 'renamePrefix') this.#forgetTrees([event.prefix, event.to]);
    else if (event.type === 'deletePrefix') this.#forgetTrees([event.prefix]);
    else this.#applyToKey(event);
  }

  #applyToKey(event: Extract<WatchEvent, { readonly type: 'put' | 'delete' }>): void {
    const { cache } = this.#options;
    const key = event.type === 'put' ? event.head.key : event.key;
    this.#forgetAncestors(key, event.type);
    const own = key.endsWith('/') ? key.slice(0, -1) : key;
    const known = cache.find(own);
    if (event.type === 'put') {
      const head = known && known.type !== 'none' ? known.head : undefined;
      if (head && head.key === key && head.generation >= event.head.generation) return;
    } else if (known?.type === 'none') {
      return;
    }
    cache.forget(own);
    cache.forget(`${key}\0`);
  }

  async #ask({ key, form }: Target): Promise<StatResult> {
    const { store, bucket } = this.#options;
    if (form === 'any') return store.objects.stat({ bucket, path: key });
    try {
      return { type: 'object', head: await store.objects.head({ bucket, key }) };
    } catch (error) {
      if (isStoreError(error, 'NoSuchKey')) return { type: 'none' };
      throw error;
    }
  }

  #forgetTrees(prefixes: readonly string[]): void {
    const { cache } = this.#options;
    for (const prefix of prefixes) {
      cache.forgetPrefix(prefix);
      if (prefix.endsWith('/')) cache.forget(prefix.slice(0, -1));
      this.#forgetAncestors(prefix, 'put');
      this.#forgetAncestors(prefix, 'delete');
    }
  }

  /** A new key makes directories of its prefixes, a deleted one may have been the last in them. */
  #forgetAncestors(key: string, type: 'put' | 'delete'): void {
    const { cache } = this.#options;
    let end = key.lastIndexOf('/', key.length - 2);
    for (; end > 0; end = key.lastIndexOf('/', end - 1)) {
      const ancestor = key.slice(0, end);
      const known = cache.find(ancestor);
      if (!known) continue;
      const isDirectory = known.type === 'directory';
      if (type === 'put' ? !isDirectory : isDirectory && known.head === undefined) cache.forget(ancestor);
    }
  }
}
