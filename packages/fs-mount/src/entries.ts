import type { PosixAttributes, StatResult, StoreCalls, WatchEvent } from '@stampede/client';
import { type AttributeCache, isSame } from './attribute-cache.js';
import {
  type AttributeDefaults,
  type Attributes,
  attributesOfStat,
  S_IFDIR,
  S_IFMT,
  S_IFREG
} from './attributes.js';
import type { DirectoryTimes } from './directory-times.js';
import type { FileState } from './file-state.js';
import type { GuardedNames } from './locks/index.js';
import { Lookup } from './lookup.js';
import type { OpenFiles } from './open-files.js';
import { formatComponent, nameInRoot } from './path.js';
import type { Removals } from './removals.js';
import { type Target, TargetResolver } from './target.js';

/** A name in a directory; `type` is the S_IFMT part of its mode. */
export interface NamedEntry {
  readonly name: string;
  readonly type: number;
  /** What is known of it when asked, without asking the store; `gone` when it was removed since. */
  attributes(): Attributes | 'gone' | undefined;
}

/** What a path is: a file whose state is here, or what the store says. */
export type Found =
  | { readonly type: 'state'; readonly state: FileState; readonly target: Target }
  | (StatResult & { readonly target: Target });

export interface EntriesOptions {
  readonly store: StoreCalls;
  readonly bucket: string;
  readonly prefix: string;
  readonly cache: AttributeCache;
  readonly guarded: GuardedNames;
  readonly files: OpenFiles;
  readonly removals: Removals;
  readonly defaults: AttributeDefaults;
  readonly times: DirectoryTimes;
  /** Whether `.stampede` in its root is another's name. Default true. */
  readonly isAtRoot: boolean | undefined;
}

/** What the mount shows: the store, with the changes that it does not have yet laid over. */
export class Entries {
  readonly #options: EntriesOptions;
  readonly #targets: TargetResolver;
  readonly #lookup: Lookup;
  /** Removed files that are still open, by the name a driver keeps for them. Never in the store. */
  readonly #aliases = new Map<string, FileState>();

  constructor(options: EntriesOptions) {
    this.#options = options;
    this.#targets = new TargetResolver(options);
    this.#lookup = new Lookup(options);
  }

  resolve(path: string): Target | Promise<Target> {
    return this.#targets.resolve(path);
  }

  isRoot({ key }: Target): boolean {
    return key === this.#options.prefix.slice(0, -1);
  }

  async find(path: string): Promise<Found> {
    const alias = this.#aliases.get(path);
    if (alias) return { type: 'state', state: alias, target: { key: alias.key, form: 'file' } };
    return this.findTarget(await this.#targets.resolve(path));
  }

  async findTarget(target: Target): Promise<Found> {
    return this.#findHere(target) ?? this.#foundAs(target, await this.#lookup.stat(target));
  }

  /**
   * As `find`, and never older than the call: for opening, so that what other mounts have closed is seen. With `mayKnow`
   * what is remembered counts.
   */
  async findToOpen(
    path: string,
    mayKnow: boolean
  ): Promise<{ readonly found: Found; readonly isNews: boolean }> {
    const target = this.#aliases.has(path) ? undefined : await this.#targets.resolve(path);
    const here = target && this.#findHere(target);
    if (!target || here) return { found: here ?? (await this.find(path)), isNews: false };
    const known = this.#lookup.findKnown(target);
    const stat = mayKnow && known ? known : await this.#lookup.ask(target);
    return { found: this.#foundAs(target, stat), isNews: !known || !isSame(known, stat) };
  }

  /** What is known better here than in the store. */
  #findHere(target: Target): Found | undefined {
    const { files, removals } = this.#options;
    const state = files.find(target.key);
    if (state?.isDirty) return { type: 'state', state, target };
    if (removals.has(target.key)) return { type: 'none', target };
    return target.key === '' ? { type: 'directory', target } : undefined;
  }

  #foundAs(target: Target, stat: StatResult): Found {
    const { files } = this.#options;
    // While the store was asked a program may have opened the file and written to it.
    const now = files.find(target.key);
    if (now && stat.type === 'object') now.adopt(stat.head);
    if (now && (now.isDirty || (stat.type === 'object' && now.base)))
      return { type: 'state', state: now, target };
    if (stat.type === 'none' && this.isRoot(target)) return { type: 'directory', target };
    return foundOf(stat, target);
  }

  attributes(found: Exclude<Found, { readonly type: 'none' }>): Attributes {
    return found.type === 'state' ? found.state.attributes() : this.#attributesOf(found.target, found);
  }

  /** The names in a directory, in pages and in no particular order. */
  async *list(target: Target): AsyncGenerator<NamedEntry[]> {
    const { files, removals, isAtRoot = true } = this.#options;
    const prefix = target.key === '' ? '' : `${target.key}/`;
    const shown = isAtRoot && this.isRoot(target) ? nameInRoot : (name: string) => name;
    const unstored = new Map([...files.unstoredIn(prefix)].map((state) => [state.key, state]));
    for await (const page of this.#lookup.list(prefix)) {
      const names: NamedEntry[] = [];
      for (const entry of page) {
        unstored.delete(entry.target.key);
        if (entry.stat.type === 'object' && removals.has(entry.target.key)) continue;
        const attributes = () => this.#knownAttributes(entry.target);
        names.push({ name: shown(entry.name), type: typeOf(entry.stat), attributes });
      }
      yield names;
    }
    // While the store was asked some were removed or renamed, and have no key here any more; others were stored and closed,
    // and the page on which they would be had been read before.
    const rest = [...unstored].filter(([key, state]) => state.key === key && !state.isDetached);
    yield rest.map(([key, state]) => ({
      name: shown(formatComponent({ type: 'plain', name: key.slice(prefix.length) })),
      type: state.attributes().mode & S_IFMT,
      attributes: () => this.#knownAttributes({ key, form: 'any' })
    }));
  }

  #knownAttributes(target: Target): Attributes | 'gone' | undefined {
    const { files, removals } = this.#options;
    const state = files.find(target.key);
    if (state) return state.attributes();
    if (removals.has(target.key)) return 'gone';
    const stat = this.#lookup.findKnown(target);
    if (!stat) return undefined;
    return stat.type === 'none' ? 'gone' : this.#attributesOf(target, stat);
  }

  #attributesOf({ key }: Target, stat: Exclude<StatResult, { readonly type: 'none' }>): Attributes {
    const { defaults, times } = this.#options;
    const attributes = attributesOfStat(stat, defaults);
    return stat.type === 'directory' ? times.latest(key, attributes) : attributes;
  }

  /** Whether a directory has a name in it that the store does not know yet. */
  hasUnstored(prefix: string): boolean {
    return this.#options.files.under(prefix).some((state) => !state.base && state.isDirty);
  }

  keepAlias(path: string, state: FileState): void {
    this.#aliases.set(path, state);
  }

  /** A directory got another name: what was removed in it and is still open is asked for under the new one. */
  moveAliases(from: string, to: string): void {
    for (const [path, state] of [...this.#aliases]) {
      if (!path.startsWith(`${from}/`)) continue;
      this.#aliases.delete(path);
      this.#aliases.set(to + path.slice(from.length), state);
    }
  }

  /** True when the name was one of a removed file. */
  dropAlias(path: string): boolean {
    return this.#aliases.delete(path);
  }

  get hasAliases(): boolean {
    return this.#aliases.size > 0;
  }

  isAlias(path: string): boolean {
    return this.#aliases.has(path);
  }

  changed(key: string, stat: StatResult): void {
    this.#lookup.changed(key, stat);
  }

  forgetTree(key: string): void {
    this.#options.cache.forgetPrefix(`${key}/`);
    this.#options.cache.forget(key);
  }

  apply(event: WatchEvent): void {
    this.#lookup.apply(event);
  }
}

/** The attributes as they are stored; empty for a directory without a marker. */
export function posixAttributesOf(found: Exclude<Found, { readonly type: 'none' }>): PosixAttributes {
  if (found.type === 'state') return found.state.posixAttributes;
  return found.head?.attributes ?? {};
}

/** Made for every lookup, so without spreading. */
function foundOf(stat: StatResult, target: Target): Found {
  if (stat.type === 'none') return { type: 'none', target };
  if (stat.type === 'object') return { type: 'object', head: stat.head, target };
  return stat.head ? { type: 'directory', head: stat.head, target } : { type: 'directory', target };
}

function typeOf(stat: Exclude<StatResult, { readonly type: 'none' }>): number {
  if (stat.type === 'directory') return S_IFDIR;
  return (stat.head.attributes.mode ?? 0) & S_IFMT || S_IFREG;
}
