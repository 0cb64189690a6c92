import { isStoreError, LIMITS, type StoreCalls } from '@stampede/client';
import { FileSystemError } from './errno.js';
import {
  bytesOfName,
  COMPONENT_BYTES_MAX,
  type Component,
  componentsOf,
  longHash,
  parseComponent
} from './path.js';

/** What a path names in the bucket. `file`: the object of exactly this key, even where a directory has the name. */
export interface Target {
  readonly key: string;
  readonly form: 'any' | 'file';
}

/** Under which key the attribute cache knows a target; no key of the store ends in NUL here. */
export function cacheKeyOf({ key, form }: Target): string {
  return form === 'file' ? `${key}\0` : key;
}

export interface TargetResolverOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  /** '' or ending in a slash. */
  readonly prefix: string;
}

/** Turns paths into keys. Only names that stand for long components need the store. */
export class TargetResolver {
  readonly #options: TargetResolverOptions;

  constructor(options: TargetResolverOptions) {
    this.#options = options;
  }

  /** Fails with `ENAMETOOLONG`, or `ENOENT` for an escaped name that stands for nothing. */
  resolve(path: string): Target | Promise<Target> {
    const { prefix } = this.#options;
    if (path === '/') return { key: prefix.slice(0, -1), form: 'any' };
    if (path.includes('%=')) return this.#resolveEscaped(path);
    const key = prefix + path.slice(1);
    if (key.length * 3 > COMPONENT_BYTES_MAX) assertBytes(path, key);
    return { key, form: 'any' };
  }

  async #resolveEscaped(path: string): Promise<Target> {
    const { prefix } = this.#options;
    const components = componentsOf(path).map(parseComponent);
    let directory = prefix;
    for (const component of components.slice(0, -1)) {
      const found = component.type === 'long' ? await this.#findLong(directory, component) : component;
      if (found.type !== 'plain') throw new FileSystemError('ENOTDIR', `${path} leads through a file`);
      directory += `${found.name}/`;
    }
    const last = components.at(-1)!;
    const found = last.type === 'long' ? await this.#findLong(directory, last) : last;
    if (found.type === 'marker') return { key: directory, form: 'file' };
    const key = directory + found.name;
    if (last.type === 'plain') assertBytes(path, key);
    return { key, form: found.type === 'file' ? 'file' : 'any' };
  }

  async #findLong(
    directory: string,
    wanted: Extract<Component, { readonly type: 'long' }>
  ): Promise<Extract<Component, { readonly type: 'plain' | 'file' }>> {
    const { store, bucket } = this.#options;
    const prefix = directory + wanted.head;
    let continuationToken: string | undefined;
    do {
      const page = await store.objects
        .list({ bucket, prefix, delimiter: '/', ...(continuationToken && { continuationToken }) })
        .catch((error: unknown) => {
          if (isStoreError(error, 'InvalidArgument')) return { objects: [], commonPrefixes: [] };
          throw error;
        });
      const keys = [
        ...page.objects.map((head) => head.key),
        ...page.commonPrefixes.map((common) => common.prefix.slice(0, -1))
      ];
      for (const key of keys) {
        const name = key.slice(directory.length);
        for (const type of ['plain', 'file'] as const)
          if (longHash({ type, name }) === wanted.hash) return { type, name };
      }
      continuationToken = 'continuationToken' in page ? page.continuationToken : undefined;
    } while (continuationToken !== undefined);
    throw new FileSystemError('ENOENT', 'no key has this long name');
  }
}

function assertBytes(path: string, key: string): void {
  if (componentsOf(path).some((component) => bytesOfName(component).byteLength > COMPONENT_BYTES_MAX))
    throw new FileSystemError('ENAMETOOLONG', `a name has at most ${COMPONENT_BYTES_MAX} bytes`);
  if (Buffer.byteLength(key) > LIMITS.keyBytesMax)
    throw new FileSystemError('ENAMETOOLONG', `a key has at most ${LIMITS.keyBytesMax} bytes`);
}
